import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import request from 'supertest';
import { startSimulator, type Simulator } from '../../../simulator/simulator.js';
import { useDatabase } from '../../support/database.js';
import { createTenant, eventually, startGateway, type Gateway, type TestTenant } from '../../support/gateway.js';
import { startReceiver, type Receiver } from '../../support/receiver.js';

const database = useDatabase();

describe('the main path', () => {
  let simulator: Simulator;
  let receiver: Receiver;
  let gateway: Gateway;
  let tenant: TestTenant;
  let auth: { authorization: string };

  beforeAll(async () => {
    simulator = await startSimulator({ tokens: ['token-0123456789'], queueMs: 300, durationMs: 3_600_000 });
    receiver = await startReceiver();
    gateway = await startGateway(database.url(), simulator.url);
    tenant = await createTenant(gateway.url, 'token-0123456789');
    auth = { authorization: `Bearer ${tenant.key}` };
  });

  afterAll(async () => {
    await gateway?.close();
    await receiver?.close();
    await simulator?.close();
  });

  it('should bring a video to its end with verified webhooks in order', async () => {
    const created = await request(gateway.url)
      .post('/v1/jobs')
      .set(auth)
      .send({
        video_url: 'https://media.example.com/in.mp4',
        ml_models: [1],
        crf: 20,
        callback_url: receiver.url,
        external_id: 'a-1',
        metadata: { a: 'b' },
      });
    expect(created.body).toMatchObject({
      object: 'job',
      status: 'queued',
      input: { video_url: 'https://media.example.com/in.mp4', ml_models: [1], crf: 20 },
      external_id: 'a-1',
      metadata: { a: 'b' },
    });
    expect(created.status).toBe(201);
    const { id, tensorpix_id } = created.body as { id: string; tensorpix_id: number };
    expect(created.headers.location).toBe(`/v1/jobs/${id}`);

    await eventually(
      () => receiver.types(id),
      (types) => types.includes('job.processing'),
    );
    simulator.control.changeJob(tensorpix_id, { duration_ms: 0 });
    await eventually(
      () => receiver.types(id),
      (types) => types.includes('job.finished'),
    );
    expect(receiver.types(id)).toEqual(['job.queued', 'job.processing', 'job.finished']);
    const { body: secret } = await request(gateway.url).get('/v1/webhook-secret').set(auth).expect(200);
    const verifier = new Webhook((secret as { secret: string }).secret);
    for (const { body, headers } of receiver.received) verifier.verify(body, headers as Record<string, string>);

    const read = async (): Promise<{ callback: { state: string } }> =>
      (await request(gateway.url).get(`/v1/jobs/${id}`).set(auth).expect(200)).body as never;
    const job = await eventually(read, ({ callback }) => callback.state === 'delivered');
    expect(job).toMatchObject({
      status: 'finished',
      progress: 1,
      callback: { state: 'delivered', attempts: 1, last_error: null },
    });
    const { body: events } = await request(gateway.url).get(`/v1/jobs/${id}/events`).set(auth).expect(200);
    const { data } = events as { data: { sequence: number; type: string }[] };
    expect(data.map(({ sequence }) => sequence)).toEqual(data.map((_, i) => i + 1));
    expect(data[0]?.type).toBe('job.submitting');
    expect(data.at(-1)?.type).toBe('job.finished');
  });

  it('should answer an image with its result and send image.finished', async () => {
    const body = {
      url: 'https://media.example.com/in.png',
      enhancement_type: 'sr2x',
      face_enhance: false,
      output_format: 'png',
      watermark: true,
      callback_url: receiver.url,
    };
    const created = await request(gateway.url).post('/v1/images').set(auth).send(body);
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject({
      object: 'image',
      status: 'finished',
      output: { enhanced_url: expect.stringContaining('http') as unknown },
    });
    const { id } = created.body as { id: string };
    await eventually(
      () => receiver.types(id),
      (types) => types.length > 0,
    );
    expect(receiver.types(id)).toEqual(['image.finished']);
  });
});
