import { afterEach, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { eventually } from '../../support/gateway.js';
import { startReceiver } from '../../support/receiver.js';
import { expectProblem, IMAGE, useWorld, VIDEO } from '../../support/world.js';

const FROM_URL = { method: 'POST', path: '/api/jobs/from-url/' };
const ENHANCE = { method: 'POST', path: '/api/images/enhance/' };

/** What no database column takes: U+0000, in an answer that is valid JSON. */
const NUL = '\u0000';

describe("odd answers of TensorPix's", () => {
  const world = useWorld({}, { queueMs: 0, durationMs: 600_000 });
  const http = () => request(world.gateway.url);
  const fault = (match: object, status: number, body: unknown) =>
    world.simulator.control.addFault({ match, times: 1, fault: { kind: 'body', status, body } });
  const statusOf = async (id: string) =>
    (await world.sql<{ status: string }>('select status from jobs where id = $1', [id]))[0]?.status;

  afterEach(() => world.simulator.control.clearFaults());

  it.each<[string, unknown]>([
    ['a NUL in a message', { errors: { crf: [`bad${NUL}`] }, non_field_errors: [NUL] }],
    ["a NUL in a field's name", { errors: { [`crf${NUL}`]: ['bad'] }, non_field_errors: [] }],
    ["a lone surrogate in a field's name", '{"errors":{"crf\\ud800":["bad"]},"non_field_errors":[]}'],
    ['a lone surrogate in a message', '{"errors":{"crf":["bad\\udfff"]},"non_field_errors":[]}'],
    ['the name of a prototype', '{"errors":{"__proto__":["bad"],"constructor":["bad"]},"non_field_errors":[]}'],
    ['messages that are objects', { errors: { crf: [{ code: 'x', message: 'bad' }] }, non_field_errors: {} }],
    ['errors that are a list', { errors: ['bad'], non_field_errors: 'bad' }],
    ['nothing', ''],
    ['HTML', '<html>bad</html>'],
    ['a number', '5'],
    ['nested errors', { errors: { metadata: { inner: { deep: ['bad'] } } } }],
    [
      'many errors',
      { errors: Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`field${i}`, ['bad'.repeat(20)]])) },
    ],
  ])('should be a refusal that ends the job, when a 400 holds %s', async (_, body) => {
    for (const [match, path, own] of [
      [FROM_URL, '/v1/jobs', VIDEO],
      [ENHANCE, '/v1/images', { ...IMAGE, watermark: false }],
    ] as const) {
      fault(match, 400, body);
      const problem = expectProblem(await http().post(path).set(world.auth).send(own), 400, 'validation_failed');
      expect(await statusOf(problem.job_id ?? '')).toBe('failed');
      expect(JSON.stringify(problem).length).toBeLessThan(100_000);
    }
  });

  it.each<[string, unknown]>([
    ['a NUL in its id', { enhanced_img_id: `a${NUL}b`, enhanced_url: 'https://results.example.com/a.png' }],
    ['a NUL in its URL', { enhanced_img_id: 'a', enhanced_url: `https://results.example.com/${NUL}.png` }],
    ['a lone surrogate in its URL', '{"enhanced_img_id":"a","enhanced_url":"https://results.example.com/\\ud800.png"}'],
  ])('should leave no image under way for ever, when the result has %s', async (_, body) => {
    fault(ENHANCE, 201, body);
    const answer = await http()
      .post('/v1/images')
      .set(world.auth)
      .send({ ...IMAGE, watermark: false });
    expect([201, 502, 504]).toContain(answer.status);
    const id = String(answer.body.id ?? answer.body.job_id);
    expect(['finished', 'failed']).toContain(await statusOf(id));
  });

  it('should not stop the other jobs of the tenant, when one result has a NUL in its URL', async () => {
    const create = async () =>
      (await http().post('/v1/jobs').set(world.auth).send(VIDEO).expect(201)).body as {
        id: string;
        tensorpix_id: number;
      };
    const [good, odd] = [await create(), await create()];
    world.simulator.control.addFault({
      match: { method: 'GET', path: `/api/jobs/${odd.tensorpix_id}/` },
      fault: {
        kind: 'body',
        status: 200,
        body: {
          id: odd.tensorpix_id,
          status: 2,
          output_video: { id: 1, file: `https://results.example.com/${NUL}.mp4` },
        },
      },
    });
    world.simulator.control.changeJob(good.tensorpix_id, { status: -1 });
    await eventually(
      () => statusOf(good.id),
      (status) => status === 'failed',
    );
  });

  it('should keep the body of a webhook under 20 kB, when a refusal names thousands of fields', async () => {
    const receiver = await startReceiver();
    try {
      const errors = Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`field${i}`, ['bad'.repeat(50)]]));
      fault(FROM_URL, 400, { errors, non_field_errors: [] });
      const body = { ...VIDEO, callback_url: receiver.url };
      const { body: job } = await http()
        .post('/v1/jobs')
        .set(world.auth)
        .set('prefer', 'respond-async')
        .send(body)
        .expect(202);
      await eventually(
        () => receiver.types(String(job.id)),
        (types) => types.includes('job.failed'),
      );
      expect(Math.max(...receiver.received.map((webhook) => webhook.body.length))).toBeLessThan(20_000);
    } finally {
      await receiver.close();
    }
  });
});
