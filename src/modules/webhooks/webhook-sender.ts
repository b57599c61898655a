import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { OutboundClient, type OutboundOutcome } from '../../common/outbound/outbound-client.js';
import { attemptRecord, type AttemptRecord } from './attempt-record.js';
import type { ClaimedDelivery } from './delivery-claims.store.js';
import { EndpointHeaders } from './endpoint-headers.js';
import { webhookHeaders } from './signature.js';
import { SigningSecrets } from './signing-secrets.js';

/** An attempt that was made. */
export interface Sent {
  outcome: OutboundOutcome;
  attempt: AttemptRecord;
}

/** What is sent beside the body. */
export interface Signed {
  headers: Record<string, string>;
  /** the client's own ones among them */
  own: Record<string, string>;
  startedAt: Date;
}

/** Signs a webhook and makes one attempt. */
@Injectable()
export class WebhookSender implements OnModuleDestroy {
  constructor(
    private readonly secrets: SigningSecrets,
    private readonly headers: EndpointHeaders,
    private readonly outbound: OutboundClient,
  ) {}

  async onModuleDestroy(): Promise<void> {
    await this.outbound.close();
  }

  /** Null when there is no secret to sign with: the tenant or the endpoint was deleted. */
  async sign(delivery: ClaimedDelivery): Promise<Signed | null> {
    const { id, tenantId, endpointId, body, headersCiphertext } = delivery;
    const secrets = await this.secrets.find({ tenantId, endpointId });
    if (secrets.length === 0) return null;
    const own = endpointId === null ? {} : this.headers.read(tenantId, endpointId, headersCiphertext);
    const startedAt = new Date();
    const headers = { ...own, ...webhookHeaders(id, Math.floor(startedAt.getTime() / 1000), body, secrets) };
    return { headers, own, startedAt };
  }

  async send({ url, body, callbackAllowedHosts }: ClaimedDelivery, { headers, own, startedAt }: Signed): Promise<Sent> {
    const outcome = await this.outbound.post({ url, headers, body, allowedHosts: callbackAllowedHosts });
    return { outcome, attempt: attemptRecord(startedAt, url, headers, own, outcome) };
  }
}
