import { afterEach } from '@jest/globals';
import type { OutboundClient, OutboundClientOptions } from '../../../src/common/outbound/outbound-client.js';
import type { OutboundOutcome } from '../../../src/common/outbound/outbound-outcome.js';
import { localClient, type Receiver } from './receivers.js';

const open: { close: () => Promise<void> }[] = [];

/** Closes what `running` and `clientWith` opened, clients first, after each test of the file that calls it. */
export function closeAfterEach(): void {
  afterEach(async () => {
    for (const each of open.splice(0)) await each.close();
  });
}

export function clientWith(options: Partial<OutboundClientOptions> = {}): OutboundClient {
  const client = localClient(options);
  open.unshift(client);
  return client;
}

export async function running(starting: Promise<Receiver>): Promise<Receiver> {
  const receiver = await starting;
  open.push(receiver);
  return receiver;
}

export const BODY = '{"type":"webhook.test"}';

/** One attempt with a webhook's usual headers. */
export function post(
  client: OutboundClient,
  url: string,
  more: { allowedHosts?: readonly string[] } = {},
): Promise<OutboundOutcome> {
  const headers = { 'content-type': 'application/json', 'webhook-id': 'msg_1' };
  return client.post({ url, headers, body: BODY, allowedHosts: [], ...more });
}

/** `timeout`, `reset` …, or `response 200`. */
export function classOf(outcome: OutboundOutcome): string {
  return outcome.kind === 'error' ? outcome.errorClass : `response ${outcome.status}`;
}
