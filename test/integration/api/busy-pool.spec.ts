import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import request, { type Response } from 'supertest';
import { startTcpRelay, type TcpRelay } from '../../support/crash/tcp-relay.js';
import { startGateway, type Gateway } from '../../support/gateway.js';
import { useStage, type Team } from '../../support/stage.js';

const ENV = { GATEWAY_ROLE: 'api' };
/** More than there are connections. */
const REQUESTS = 40;
/** So many are let go while one waits for a connection, and not all. */
const PACE_MS = 500;
const stage = useStage({ env: ENV });

let holds = false;
/** by connection, what Postgres has answered */
const held = new Map<object, () => void>();
let relay: TcpRelay;
let gateway: Gateway;
let team: Team;

/** While `holds`, an answer waits until it is let go. */
function startHoldingRelay({ hostname, port }: URL): Promise<TcpRelay> {
  return startTcpRelay({ host: hostname, port: Number(port) }, (pair) => {
    let kept: Buffer[] = [];
    const letGo = (): void => {
      pair.client.write(Buffer.concat(kept));
      kept = [];
    };
    return {
      fromClient: (chunk) => void pair.server.write(chunk),
      fromServer: (chunk) => {
        kept.push(chunk);
        if (holds) held.set(pair, letGo);
        else letGo();
      },
      serverEnded: () => undefined,
    };
  });
}

function letGo(count: number): void {
  for (const [pair, arrive] of [...held].slice(0, count)) {
    held.delete(pair);
    arrive();
  }
}

/** Asks for more than there are connections, and lets answers go, so many at a time, until somebody is refused. */
async function overload(ask: () => Promise<Response>, atATime: number): Promise<Response[]> {
  holds = true;
  const answers: Response[] = [];
  const asked = Array.from({ length: REQUESTS }, async () => void answers.push(await ask()));
  while (!answers.some(({ status }) => status === 503)) {
    await pause(PACE_MS);
    letGo(atATime);
  }
  holds = false;
  letGo(held.size);
  await Promise.all(asked);
  return answers.filter(({ status }) => status === 503);
}

function saidBy(refused: Response[]): unknown[] {
  return [...new Set(refused.map(({ body }) => (body as { detail: string }).detail))];
}

const list = () => request(gateway.url).get('/v1/jobs').set(team.auth).then();
const addEndpoint = () =>
  request(gateway.url).post('/v1/webhook-endpoints').set(team.auth).send({ url: 'https://hooks.example.com/' }).then();

beforeAll(async () => {
  const url = new URL(stage.databaseUrl);
  relay = await startHoldingRelay(url);
  url.host = `127.0.0.1:${relay.port}`;
  gateway = await startGateway(url.href, stage.simulator.url, ENV);
  team = await stage.team();
});

/** Its key is known, and all connections are there. */
beforeEach(async () => {
  await Promise.all(Array.from({ length: REQUESTS }, list));
});

afterAll(async () => {
  await gateway?.close();
  await relay?.close();
});

describe('a request for which no connection becomes free', () => {
  it('should be told that the gateway is busy while the database answers', async () => {
    const refused = await overload(list, 1);
    expect(saidBy(refused)).toEqual(['The gateway is busy.']);
    for (const { headers } of refused) expect(headers['retry-after']).toBe('5');
    expect(gateway.logs()).toContain('"msg":"The gateway is busy."');
  });

  it('should be told the same when it is for a transaction', async () => {
    const refused = await overload(addEndpoint, 1);
    // Those that have begun take too long, too.
    expect(saidBy(refused)).toContain('The gateway is busy.');
    expect(saidBy(refused)).not.toContain('The database cannot be reached.');
  });

  it('should be told that the database cannot be reached when it answers nobody', async () => {
    expect(saidBy(await overload(list, 0))).toEqual(['The database cannot be reached.']);
  });
});
