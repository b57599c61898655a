import { describe, expect, it } from '@jest/globals';
import type { Fault } from '../../../simulator/faults.js';
import { CREATE_IMAGE, idOf, useStage, type Team } from '../../support/stage.js';

const stage = useStage({ env: { TENSORPIX_TIMEOUT_MS: '5000' }, hurry: true });

function fault(team: Team, which: Fault, times = 1): void {
  stage.fault(team, which, { times, match: { method: 'POST', path: CREATE_IMAGE, token: team.token } });
}

function callback(): object {
  return { callback_url: stage.receiver.url };
}

function sent(team: Team): number {
  return stage.calls(team, 'POST', CREATE_IMAGE).length;
}

const UNKNOWN: [string, Fault][] = [
  ['500', { kind: 'server_error' }],
  ['HTML 502', { kind: 'bad_gateway' }],
  ['reset', { kind: 'reset' }],
  ['reset after the image was made', { kind: 'reset_after_commit' }],
  ['no answer', { kind: 'no_answer' }],
  ['201 of HTML', { kind: 'body', status: 201, body: '<html>' }],
  ['201 without a URL', { kind: 'body', status: 201, body: { enhanced_img_id: 'x' } }],
];

describe('the ways to ask for an image', () => {
  it('should answer 201 with the finished image when the caller waits, and fire image.finished', async () => {
    const team = await stage.team();
    const created = await stage.image(team, callback());
    expect(created.status).toBe(201);
    const id = idOf(created);
    expect(created.headers.location).toBe(`/v1/images/${id}`);
    expect(created.body).toMatchObject({ object: 'image', status: 'finished', status_reason: null, error: null });
    expect(created.body.output).toEqual({
      enhanced_url: expect.stringMatching(/^http/),
      enhanced_img_id: expect.any(String),
      expires_at: expect.any(String),
    });
    for (const name of ['progress', 'eta_seconds', 'tensorpix_id', 'preview'])
      expect(created.body).not.toHaveProperty(name);
    await stage.untilWebhooks(id, ['image.finished']);
    expect(await stage.eventTypes(id)).toEqual(['image.submitting', 'image.finished']);
    const read = await stage.get(team, `/v1/images/${id}`);
    expect(read.body).toMatchObject({ id, status: 'finished', input: { enhancement_type: 'sr2x', watermark: true } });
    expect((await stage.get(team, `/v1/jobs/${id}`)).status).toBe(404);
    expect(sent(team)).toBe(1);
  });

  it('should answer 202 at once for respond-async and fire image.finished', async () => {
    const team = await stage.team();
    const created = await stage.image(team, callback(), { prefer: 'respond-async' });
    expect([created.status, created.body.status, created.body.output]).toEqual([202, 'submitting', null]);
    await stage.untilWebhooks(idOf(created), ['image.finished']);
    expect(sent(team)).toBe(1);
  });

  it('should answer 202 sending when it takes longer than wait=N, and finish later', async () => {
    const team = await stage.team();
    const answer = stage.hold(team, { path: CREATE_IMAGE });
    const created = await stage.image(team, callback(), { prefer: 'wait=1' });
    expect([created.status, created.body.status_reason]).toEqual([202, 'sending']);
    answer.arrive();
    await stage.untilWebhooks(idOf(created), ['image.finished']);
    expect(sent(team)).toBe(1);
  });

  it('should answer 201 within wait=N and under handling=strict', async () => {
    const team = await stage.team();
    expect((await stage.image(team, {}, { prefer: 'wait=10' })).status).toBe(201);
    expect((await stage.image(team, {}, { prefer: 'handling=strict' })).status).toBe(201);
  });

  it('should park under throttling and finish by itself, and be a 429 under handling=strict', async () => {
    const team = await stage.team();
    fault(team, { kind: 'rate_limited', retry_after_s: 1 });
    const created = await stage.image(team, callback());
    expect([created.status, created.body.status_reason]).toEqual([202, 'rate_limited']);
    await stage.untilWebhooks(idOf(created), ['image.finished']);

    const other = await stage.team();
    fault(other, { kind: 'rate_limited', retry_after_s: 3 });
    const strict = await stage.image(other, callback(), { prefer: 'handling=strict' });
    expect([strict.status, strict.body.code, strict.headers['retry-after']]).toEqual([429, 'rate_limited', '3']);
    expect(await stage.deliveries(idOf(strict))).toEqual([]);
    expect(sent(other)).toBe(1);
  });
});

describe('a free image whose outcome is unknown', () => {
  it.each(UNKNOWN)('should be repeated until TensorPix answers: %s', async (_, which) => {
    const team = await stage.team();
    fault(team, which);
    const created = await stage.image(team, callback());
    expect([created.status, created.body.status, created.body.status_reason]).toEqual([
      202,
      'submitting',
      'upstream_unavailable',
    ]);
    const id = idOf(created);
    await stage.makeDue(id);
    await stage.untilWebhooks(id, ['image.finished']);
    expect(sent(team)).toBe(2);
    expect(await stage.row(id)).toMatchObject({ status: 'finished', attempt: 2, lease_token: null });
  });

  it.each([
    ['500', { kind: 'server_error' }, 502, 'upstream_error'],
    ['no answer', { kind: 'no_answer' }, 504, 'upstream_timeout'],
  ] as [string, Fault, number, string][])(
    'should be an error under handling=strict: %s',
    async (_, which, status, code) => {
      const team = await stage.team();
      fault(team, which);
      const refused = await stage.image(team, {}, { prefer: 'handling=strict' });
      expect([refused.status, refused.body.code]).toEqual([status, code]);
      expect(refused.headers.location).toBe(`/v1/images/${idOf(refused)}`);
      expect((await stage.row(idOf(refused))).status).toBe('failed');
      expect(sent(team)).toBe(1);
    },
  );
});

describe('a paid image whose outcome is unknown', () => {
  it.each(UNKNOWN)('should be a 504 and a failed row, never repeated: %s (invariant 2)', async (_, which) => {
    const team = await stage.team();
    fault(team, which);
    const refused = await stage.image(team, { ...callback(), watermark: false });
    expect([refused.status, refused.body.code]).toEqual([504, 'upstream_timeout']);
    const id = idOf(refused);
    expect(refused.headers.location).toBe(`/v1/images/${id}`);
    expect(await stage.row(id)).toMatchObject({ status: 'failed', error: { code: 'outcome_unknown' }, attempt: 1 });
    expect((await stage.get(team, `/v1/images/${id}`)).body).toMatchObject({
      status: 'failed',
      error: { code: 'outcome_unknown' },
    });
    expect(sent(team)).toBe(1);
  });

  it('should fire image.failed: this is no refusal that the caller got (contract, section 5)', async () => {
    const team = await stage.team();
    fault(team, { kind: 'server_error' });
    const id = idOf(await stage.image(team, { ...callback(), watermark: false }));
    expect((await stage.deliveries(id)).map(({ event_type }) => event_type)).toEqual(['image.failed']);
  });

  it('should fail and fire image.failed when it was asynchronous', async () => {
    const team = await stage.team();
    fault(team, { kind: 'reset_after_commit' });
    const created = await stage.image(team, { ...callback(), watermark: false }, { prefer: 'respond-async' });
    expect(created.status).toBe(202);
    await stage.untilWebhooks(idOf(created), ['image.failed']);
    expect(sent(team)).toBe(1);
  });
});

describe('an image that TensorPix refuses', () => {
  it.each([
    ['402', { kind: 'payment_required' }, 402, 'insufficient_credits'],
    ['401', { kind: 'unauthorized' }, 502, 'upstream_token_rejected'],
    ['403', { kind: 'forbidden' }, 403, 'upstream_forbidden'],
  ] as [string, Fault, number, string][])('should be answered and fire nothing: %s', async (_, which, status, code) => {
    const team = await stage.team();
    fault(team, which);
    const refused = await stage.image(team, callback());
    expect([refused.status, refused.body.code]).toEqual([status, code]);
    const id = idOf(refused);
    expect(await stage.row(id)).toMatchObject({ status: 'failed', error: { code } });
    expect(await stage.deliveries(id)).toEqual([]);
  });

  it('should copy the messages about its fields', async () => {
    const team = await stage.team();
    const refused = await stage.image(team, { url: 'https://media.example.com/not-an-image.txt' });
    expect(refused.status).toBe(400);
    expect(refused.body.errors).toEqual({ url: ['The URL could not be parsed as an image.'] });
  });

  it('should fire image.failed when the refusal comes after the 202', async () => {
    const team = await stage.team();
    const url = 'https://media.example.com/not-an-image.txt';
    const created = await stage.image(team, { ...callback(), url }, { prefer: 'respond-async' });
    await stage.untilWebhooks(idOf(created), ['image.failed']);
  });

  it('should only be told of the events that it asked for', async () => {
    const team = await stage.team();
    const created = await stage.image(team, { ...callback(), callback_events: ['image.failed'] });
    expect(created.status).toBe(201);
    expect(await stage.deliveries(idOf(created))).toEqual([]);
  });
});
