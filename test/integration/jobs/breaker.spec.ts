import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { JobsSubmitter } from '../../../src/modules/jobs/jobs.submitter.js';
import { startSimulator, type Simulator } from '../../../simulator/simulator.js';
import { createTenant, eventually, startGateway, type Gateway } from '../../support/gateway.js';
import { freePort } from '../../support/ports.js';
import { CREATE_IMAGE, idOf, sourceUrl, useStage, type Team } from '../../support/stage.js';

const CIRCUIT = 'gateway_tensorpix_circuit_open';
const TOKENS = 'gateway_tensorpix_token_circuits_open';
const ENV = { TENSORPIX_TIMEOUT_MS: '1000', RECONCILE_GRACE_MS: '400' };
/** Its own gateway runs no loops: it would send what the gateways of the tests have parked, to its own TensorPix. */
const stage = useStage({ env: { ...ENV, GATEWAY_ROLE: 'api' } });

async function circuit(gateway: Gateway, gauge = CIRCUIT): Promise<number> {
  const { text } = await request(gateway.url).get('/metrics');
  const line = text.split('\n').find((each) => each.startsWith(`${gauge} `));
  return Number(line?.slice(gauge.length));
}

async function teamAt(gateway: Gateway, token: string): Promise<Team> {
  const tenant = await createTenant(gateway.url, token);
  return { ...tenant, token, auth: { authorization: `Bearer ${tenant.key}` } };
}

function create(gateway: Gateway, team: Team, headers: Record<string, string> = {}) {
  return request(gateway.url)
    .post('/v1/jobs')
    .set(team.auth)
    .set(headers)
    .send({ video_url: sourceUrl(), ml_models: [1] });
}

describe('a TensorPix that cannot be reached', () => {
  it('should open the circuit, park every job with 202, and send each once, by itself, when it is back', async () => {
    const port = await freePort();
    const gateway = await startGateway(stage.databaseUrl, `http://127.0.0.1:${port}`, ENV);
    let simulator: Simulator | undefined;
    try {
      const team = await teamAt(gateway, 'token-of-nowhere-one');
      const ids: string[] = [];
      await eventually(
        async () => {
          const created = await create(gateway, team);
          expect([created.status, created.body.status, created.body.status_reason]).toEqual([
            202,
            'submitting',
            'upstream_unavailable',
          ]);
          ids.push(idOf(created));
          return circuit(gateway);
        },
        (open) => open === 1,
      );
      const strict = await create(gateway, team, { prefer: 'handling=strict', 'idempotency-key': 'while-open' });
      expect([strict.status, strict.body.code]).toEqual([502, 'upstream_error']);
      simulator = await startSimulator({ port, autoCreateAccounts: true, queueMs: 600_000 });
      for (const id of ids) await stage.untilRow(id, ({ tensorpix_id }) => tensorpix_id !== null);
      expect(await circuit(gateway)).toBe(0);
      const again = await create(gateway, team, { prefer: 'handling=strict', 'idempotency-key': 'while-open' });
      expect([again.status, again.headers['idempotency-replayed']]).toEqual([201, undefined]);
      const sent = simulator.control.requests().filter(({ method }) => method === 'POST');
      expect(sent).toHaveLength(ids.length + 1);
      for (const id of ids)
        expect((await stage.eventTypes(id)).filter((type) => type === 'job.queued')).toHaveLength(1);
      expect((await stage.row(idOf(strict))).status).toBe('failed');
    } finally {
      await gateway.close();
      await simulator?.close();
    }
  });
});

describe('a TensorPix that answers one token with errors only', () => {
  it('should be left alone but for one probe at a time, serve the others, and end every job once', async () => {
    const gateway = await startGateway(stage.databaseUrl, stage.simulator.url, { ...ENV, GATEWAY_ROLE: 'api' });
    let worker: Gateway | undefined;
    try {
      const team = await stage.team();
      stage.simulator.control.addFault({ match: { path: '/api/', token: team.token }, fault: 'bad_gateway' });
      const called = await Promise.all(Array.from({ length: 10 }, () => create(gateway, team)));
      expect(called.map(({ body }) => String(body.status))).toEqual(Array.from({ length: 10 }, () => 'unconfirmed'));
      expect([await circuit(gateway), await circuit(gateway, TOKENS)]).toEqual([0, 1]);
      // The pause is one second at least: these are answered without a call.
      const before = stage.creates(team);
      const parked = await Promise.all(Array.from({ length: 10 }, () => create(gateway, team)));
      const reasons = parked.map(({ status, body }) => `${status},${body.status_reason}`);
      expect(new Set(reasons)).toEqual(new Set(['202,upstream_unavailable']));
      const tried = stage.creates(team) - before;
      expect(parked.filter(({ body }) => body.status === 'unconfirmed')).toHaveLength(tried);
      expect(tried).toBeLessThanOrEqual(1);
      expect((await create(gateway, await stage.team())).status).toBe(201);
      stage.simulator.control.clearFaults();
      worker = await startGateway(stage.databaseUrl, stage.simulator.url, { ...ENV, GATEWAY_ROLE: 'worker' });
      for (const response of [...called, ...parked])
        await stage.untilRow(idOf(response), ({ tensorpix_id }) => tensorpix_id !== null);
      const rows = await stage.rowsOf(team);
      expect(new Set(rows.map(({ tensorpix_id }) => tensorpix_id)).size).toBe(20);
      const account = stage.simulator.control
        .summary()
        .accounts.find(({ tokens }) => tokens.includes(team.token.slice(-4)));
      expect(account?.jobs_created).toBe(20);
    } finally {
      await gateway.close();
      await worker?.close();
    }
  });

  it.each([
    ['429', 'rate_limited'],
    ['402', 'payment_required'],
    ['401', 'unauthorized'],
    ['403', 'forbidden'],
  ] as const)('should not count %s among them', async (_, kind) => {
    const gateway = await startGateway(stage.databaseUrl, stage.simulator.url, { ...ENV, GATEWAY_ROLE: 'api' });
    try {
      const team = await stage.team();
      stage.fault(team, kind);
      for (let i = 0; i < 15; i += 1) await create(gateway, team, { prefer: 'handling=strict' });
      expect(stage.creates(team)).toBe(15);
      expect(await circuit(gateway)).toBe(0);
    } finally {
      await gateway.close();
    }
  });

  it('should not make a paid image unknown that was not sent', async () => {
    const port = await freePort();
    const gateway = await startGateway(stage.databaseUrl, `http://127.0.0.1:${port}`, ENV);
    let simulator: Simulator | undefined;
    try {
      const team = await teamAt(gateway, 'token-of-nowhere-two');
      for (let i = 0; i < 10; i += 1) await create(gateway, team, { prefer: 'handling=strict' });
      expect(await circuit(gateway)).toBe(1);
      const image = await request(gateway.url).post('/v1/images').set(team.auth).set('idempotency-key', 'paid').send({
        url: 'https://media.example.com/in.png',
        enhancement_type: 'sr2x',
        face_enhance: false,
        output_format: 'png',
        watermark: false,
      });
      expect([image.status, image.body.status_reason]).toEqual([202, 'upstream_unavailable']);
      simulator = await startSimulator({ port, autoCreateAccounts: true });
      await stage.untilRow(idOf(image), ({ status }) => status === 'finished');
      expect(simulator.control.requests().filter(({ path }) => path === CREATE_IMAGE)).toHaveLength(1);
    } finally {
      await gateway.close();
      await simulator?.close();
    }
  });
});

describe('work that waits while the circuit is open', () => {
  it('should be tried again by the submitter without counting as sent', async () => {
    const port = await freePort();
    const gateway = await startGateway(stage.databaseUrl, `http://127.0.0.1:${port}`, { ...ENV, GATEWAY_ROLE: 'api' });
    try {
      const team = await teamAt(gateway, 'token-of-nowhere-three');
      for (let i = 0; i < 10; i += 1) await create(gateway, team, { prefer: 'handling=strict' });
      const id = idOf(await create(gateway, team, { prefer: 'respond-async' }));
      const submitter = gateway.app.get(JobsSubmitter, { strict: false });
      for (let i = 0; i < 3; i += 1) {
        await stage.makeDue(id);
        await submitter.tick();
        await submitter.drain();
        expect(await stage.row(id)).toMatchObject({
          status: 'submitting',
          status_reason: 'upstream_unavailable',
          lease_token: null,
        });
      }
    } finally {
      await gateway.close();
    }
  });
});
