import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { MessageReader } from '../../support/crash/postgres-wire.js';
import { startTcpRelay, type TcpRelay } from '../../support/crash/tcp-relay.js';
import { startGateway, type Gateway } from '../../support/gateway.js';
import { useStage } from '../../support/stage.js';

const ENV = { GATEWAY_ROLE: 'api' };
const stage = useStage({ env: ENV });

/** What a server says to a session that it ends, as it does in a shutdown or a failover. */
const ENDED = errorResponse({
  S: 'FATAL',
  V: 'FATAL',
  C: '57P01',
  M: 'terminating connection due to administrator command',
});

let ends = false;
let ended = 0;
let relay: TcpRelay;
let gateway: Gateway;

function errorResponse(fields: Record<string, string>): Buffer {
  const body = Buffer.from(
    `${Object.entries(fields)
      .map(([field, text]) => `${field}${text}\0`)
      .join('')}\0`,
  );
  const head = Buffer.from('E\0\0\0\0');
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

/** Once `ends` is set, a session ends in the same breath in which it is ready for its first query. */
function startEndingRelay({ hostname, port }: URL): Promise<TcpRelay> {
  return startTcpRelay({ host: hostname, port: Number(port) }, ({ client, server }) => {
    const messages = new MessageReader(true);
    return {
      fromClient: (chunk) => void server.write(chunk),
      fromServer: (chunk) => {
        const ready = messages.push(chunk).some(({ type }) => type === 'Z');
        if (!ends || !ready) return void client.write(chunk);
        ended += 1;
        client.end(Buffer.concat([chunk, ENDED]));
      },
      serverEnded: () => undefined,
    };
  });
}

beforeAll(async () => {
  const url = new URL(stage.databaseUrl);
  relay = await startEndingRelay(url);
  url.host = `127.0.0.1:${relay.port}`;
  gateway = await startGateway(url.href, stage.simulator.url, ENV);
});

afterAll(async () => {
  await gateway?.close();
  await relay?.close();
});

describe('a session that the database ends as soon as it is there', () => {
  it('should be a 503 for whoever was given it, and not the end of the process', async () => {
    const team = await stage.team();
    ends = true;
    // In transactions, and more of them than there are open connections.
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        request(gateway.url)
          .post('/v1/webhook-endpoints')
          .set(team.auth)
          .send({ url: `https://hooks.example.com/${i}` }),
      ),
    );
    ends = false;
    expect(ended).toBeGreaterThan(0);
    expect(answers.map(({ status }) => status).filter((status) => status !== 201 && status !== 503)).toEqual([]);
    await request(gateway.url).get('/health/ready').expect(200);
  });
});
