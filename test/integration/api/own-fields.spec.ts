import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { createTenant } from '../../support/gateway.js';
import { bearer, expectRefused, IMAGE, TOKEN, useWorld, VIDEO } from '../../support/world.js';

/** As AWS presigns: signed so many seconds ago, good for so many. */
function presigned(signedSecondsAgo: number, expiresSeconds: number): string {
  const date = new Date(Date.now() - signedSecondsAgo * 1000).toISOString().replace(/[-:]|\.\d{3}/g, '');
  return `https://bucket.s3.amazonaws.com/in.mp4?X-Amz-Date=${date}&X-Amz-Expires=${expiresSeconds}&X-Amz-Signature=abc`;
}

describe("the URL of a job's source", () => {
  const world = useWorld({}, { queueMs: 600_000 });
  const post = (body: object) => () => request(world.gateway.url).post('/v1/jobs').set(world.auth).send(body);

  it.each([
    'https://www.youtube.com/watch?v=abc',
    'https://YOUTUBE.com/watch?v=abc',
    'http://m.youtube.com/shorts/abc',
    'https://youtu.be/abc',
    'https://user:pass@youtu.be/abc',
    'https://youtu.be:443/abc',
    'https://youtube.com./watch?v=abc',
    'https://you\ntube.com/watch?v=abc',
    'https:\\\\youtube.com\\watch?v=abc',
    'https://ｙｏｕｔｕｂｅ.com/watch?v=abc',
    'https://www.instagram.com/reel/abc/',
    'https://vimeo.com/123',
    'https://player.vimeo.com/video/123',
    'https://www.tiktok.com/@a/video/1',
    'https://vm.tiktok.com/abc',
    'file:///etc/passwd',
    'FILE:///etc/passwd',
    'ftp://example.com/in.mp4',
    'data:video/mp4;base64,AAAA',
    'javascript:alert(1)',
    's3://bucket/key.mp4',
    'blob:https://example.com/1',
    '//example.com/in.mp4',
    '/in.mp4',
    'in.mp4',
    'https://',
    'http://[::1',
    '',
    ' ',
    'https://media.example.com/a\u0000b.mp4',
    'https://media.example.com/\ud800.mp4',
    `https://media.example.com/${'a'.repeat(2048)}`,
  ])('should be refused before TensorPix is called: %j', async (video_url) => {
    const problem = await expectRefused(world, post({ ...VIDEO, video_url }), 400, 'validation_failed');
    expect(Object.keys(problem.errors)).toEqual(['video_url']);
  });

  it('should be refused above 2048 characters, whatever the characters are', async () => {
    const video_url = `https://media.example.com/${'a\uFE0F'.repeat(1_500)}`;
    await expectRefused(world, post({ ...VIDEO, video_url }), 400, 'validation_failed');
  });

  it.each([
    ['a minute ago', presigned(3_660, 3_600)],
    ['just now', presigned(3_600, 3_600)],
    ['years ago', presigned(500_000_000, 3_600)],
  ])('should be refused when it is presigned and expired %s', async (_, url) => {
    await expectRefused(world, post({ ...VIDEO, video_url: url }), 400, 'validation_failed');
    const image = () =>
      request(world.gateway.url)
        .post('/v1/images')
        .set(world.auth)
        .send({ ...IMAGE, url });
    const problem = await expectRefused(world, image, 400, 'validation_failed');
    expect(problem.errors).toMatchObject({ url: [expect.stringContaining('expired')] });
    expect(JSON.stringify(problem)).not.toContain('X-Amz');
  });

  it('should be taken with a warning when it is presigned for less than two hours', async () => {
    const { body, status } = await post({ ...VIDEO, video_url: presigned(0, 7_000) })();
    expect(status).toBe(201);
    expect(body.warnings).toMatchObject([{ code: 'presigned_url_expires_soon' }]);
    const kept = await request(world.gateway.url)
      .get(`/v1/jobs/${String(body.id)}`)
      .set(world.auth)
      .expect(200);
    expect(kept.body.warnings).toEqual(body.warnings);
  });

  it('should be taken without a warning when it lives longer, or is not presigned', async () => {
    for (const video_url of [presigned(0, 7_300), VIDEO.video_url]) {
      const { body, status } = await post({ ...VIDEO, video_url })();
      expect({ status, warnings: body.warnings }).toEqual({ status: 201, warnings: [] });
    }
  });
});

describe("the gateway's own fields", () => {
  const world = useWorld({ CALLBACK_ALLOW_HTTP: 'false', CALLBACK_ALLOWED_CIDRS: '10.0.0.0/8' }, { queueMs: 600_000 });
  const post = (body: object, auth = world.auth) =>
    request(world.gateway.url)
      .post('/v1/jobs')
      .set(auth)
      .send({ ...VIDEO, ...body });
  const refuses = async (body: object) => {
    const problem = await expectRefused(world, () => post(body), 400, 'validation_failed');
    expect(Object.keys(problem.errors)).toEqual(Object.keys(body));
  };

  it.each([
    'http://169.254.169.254/',
    'https://169.254.169.254/latest/meta-data',
    'https://2852039166/',
    'https://0xa9.0xfe.0xa9.0xfe/',
    'https://[::ffff:169.254.169.254]/',
    'https://[fd00:ec2::254]/',
    'https://metadata.google.internal/',
    'https://127.0.0.1/',
    'https://localhost/',
    'https://[::1]/',
    'https://0.0.0.0/',
    'https://192.168.1.1/',
    'https://100.64.0.1/',
    'https://user:secret@hooks.example.com/',
    'https://user@hooks.example.com/',
    'http://hooks.example.com/',
    'ftp://hooks.example.com/',
    'file:///etc/passwd',
    'hooks.example.com',
    'https://hooks.example.com/#fragment',
    'https://hooks.example.com:5432/',
    'https://hooks example.com/',
    'https://hooks.example.com/\r\nx: y',
    '',
    'https://',
    `https://hooks.example.com/${'a'.repeat(2_048)}`,
    1,
    ['https://hooks.example.com/'],
    { url: 'https://hooks.example.com/' },
  ])('should be refused with the callback_url %j', async (callback_url) => {
    await refuses({ callback_url });
    const image = () =>
      request(world.gateway.url)
        .post('/v1/images')
        .set(world.auth)
        .send({ ...IMAGE, callback_url });
    await expectRefused(world, image, 400, 'validation_failed');
  });

  it('should be refused with a callback_url that is not on an allowed host of the tenant', async () => {
    const callback_allowed_hosts = ['hooks.example.com', '*.internal.example.com'];
    const tenant = await createTenant(world.gateway.url, TOKEN, { callback_allowed_hosts });
    for (const host of [
      'example.com',
      'evil-hooks.example.com',
      'internal.example.com',
      'hooks.example.com.evil.test',
      '10.0.0.1',
    ])
      await expectRefused(
        world,
        () => post({ callback_url: `https://${host}/` }, bearer(tenant)),
        400,
        'validation_failed',
      );
    for (const host of ['hooks.example.com', 'HOOKS.example.com', 'a.internal.example.com'])
      expect((await post({ callback_url: `https://${host}/` }, bearer(tenant))).status).toBe(201);
  });

  it.each([
    [{ callback_events: ['job.unknown'] }],
    [{ callback_events: ['image.finished'] }],
    [{ callback_events: ['job.finished', 'job.finished'] }],
    [{ callback_events: 'job.finished' }],
    [{ callback_events: [null] }],
    [{ external_id: '' }],
    [{ external_id: 'a'.repeat(129) }],
    [{ external_id: 'a\uFE0F'.repeat(128) }],
    [{ external_id: 7 }],
    [{ external_id: 'a\u0000b' }],
    [{ external_id: '\udc00' }],
    [{ metadata: [] }],
    [{ metadata: 'a' }],
    [{ metadata: '{}' }],
    [{ metadata: { a: 1 } }],
    [{ metadata: { a: null } }],
    [{ metadata: { a: { b: 'c' } } }],
    [{ metadata: { a: 'x'.repeat(501) } }],
    [{ metadata: { ['k'.repeat(41)]: 'x' } }],
    [{ metadata: { 'a\u0000': 'x' } }],
    [{ metadata: { a: '\u0000' } }],
    [{ metadata: { a: '\ud800' } }],
    [{ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, ''])) }],
    [{ metadata: Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${i}`, 'é'.repeat(300)])) }],
  ])('should be refused: %j', async (body) => {
    await refuses(body);
  });

  it('should be taken at their limits and given back as they were', async () => {
    const body = {
      external_id: '😀'.repeat(128),
      metadata: {
        ...Object.fromEntries(Array.from({ length: 14 }, (_, i) => [`k${i}`, 'v'.repeat(500)])),
        ['k'.repeat(40)]: '',
        'a.b $c"\\': '\u2028\n\t',
      },
      callback_url: 'https://hooks.example.com/a?b=c',
      callback_events: ['job.failed', 'job.finished'],
    };
    const answer = await post(body);
    expect(answer.status).toBe(201);
    const { external_id, metadata, callback } = (
      await request(world.gateway.url).get(String(answer.headers.location)).set(world.auth).expect(200)
    ).body as Record<string, unknown>;
    expect({ external_id, metadata, callback }).toMatchObject({
      external_id: body.external_id,
      metadata: body.metadata,
      callback: { url: body.callback_url },
    });
    expect(world.simulator.control.requests().findLast(({ method }) => method === 'POST')?.body).toEqual(VIDEO);
  });

  it('should count the characters of metadata, not their UTF-16 units', async () => {
    const answer = await post({ metadata: { ['😀'.repeat(40)]: '😀'.repeat(500) } });
    expect(answer.status).toBe(201);
  });

  it('should be taken as null', async () => {
    const answer = await post({ callback_url: null, callback_events: null, external_id: null, metadata: null });
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({ external_id: null, metadata: {}, callback: { url: null, state: 'none' } });
  });
});
