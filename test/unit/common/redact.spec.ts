import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { redact, redactText } from '../../../src/common/logging/redact.js';

/** Long enough not to appear by accident, of characters that no rule stops at. */
const secret = fc.stringMatching(/^[A-Za-z0-9]{24,40}$/);
const spelled = (word: string) =>
  fc.constantFrom(word, word.toUpperCase(), word.replaceAll('_', '-'), word.replaceAll('_', ''), camel(word));
const camel = (word: string) => word.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
const secretKey = fc
  .constantFrom(
    'authorization',
    'proxy_authorization',
    'cookie',
    'set_cookie',
    'token',
    'tensorpix_token',
    'access_token',
    'refresh_token',
    'x_amz_security_token',
    'secret',
    'webhook_secret',
    'client_secret',
    'password',
    'api_key',
    'x_api_key',
    'admin_api_key',
    'encryption_keys',
    'database_url',
    'token_ciphertext',
  )
  .chain(spelled);
const around = fc.string({ unit: fc.constantFrom(...'abc xyz.,:;()[]{}<>\'"\n\t/'), maxLength: 20 });

/** A value somewhere inside objects and lists, no deeper than logs go. */
function nested(leaf: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const wrap = fc.array(fc.constantFrom('list', 'object', 'map', 'set'), { maxLength: 5 });
  return fc.tuple(leaf, wrap).map(([value, wraps]) =>
    wraps.reduce<unknown>((inner, kind) => {
      if (kind === 'list') return [1, inner];
      if (kind === 'map') return new Map([['inner', inner]]);
      if (kind === 'set') return new Set([inner]);
      return { other: 1, inner };
    }, value),
  );
}

const print = (value: unknown) => JSON.stringify(redact(value)) ?? '';

describe('redaction', () => {
  it('should hide the value of a secret key, however it is spelled and wherever it is', () => {
    const value = secretKey.chain((key) => secret.map((text) => ({ key, text })));
    fc.assert(
      fc.property(
        value.chain((pair) => nested(fc.constant({ [pair.key]: pair.text })).map((tree) => ({ ...pair, tree }))),
        ({ text, tree }) => {
          expect(print(tree)).not.toContain(text);
        },
      ),
    );
  });

  it('should hide what is under a secret key whatever its type', () => {
    fc.assert(
      fc.property(secretKey, secret, fc.constantFrom('list', 'object', 'nothing'), (key, text, kind) => {
        const value = kind === 'list' ? [text] : kind === 'object' ? { value: text } : text;
        expect(print({ [key]: value })).not.toContain(text);
      }),
    );
  });

  it('should hide keys of tenants, webhook secrets and tokens in any text', () => {
    const schemes = fc.constantFrom('Token ', 'token ', 'Bearer ', 'BEARER  ', 'Basic ', 'tpg_', 'whsec_');
    fc.assert(
      fc.property(around, schemes, secret, around, (before, scheme, text, after) => {
        expect(redactText(`${before} ${scheme}${text} ${after}`)).not.toContain(text);
      }),
    );
  });

  it.each([
    'Token "%"',
    "token '%'",
    'token: %',
    'Token:%',
    'token=%',
    '{"token":"%"}',
    '{"token": "%"}',
    '{\\"token\\":\\"%\\"}',
    '"authorization":"%"',
    'Authorization: %',
    "authorization: '%'",
    "headers: { authorization: '%' }",
    'password: %',
    "password: '%'",
    'password=%',
    'PGPASSWORD=%',
    'api_key=%',
    'access_token=%',
    'X-Api-Key: %',
    'ADMIN_API_KEY=%',
    'ENCRYPTION_KEYS=k1:%',
    'x_tpg_%',
    'postgresql://user:%@db.example.com:5432/gateway',
    'postgresql://user:a@%@db.example.com:5432/gateway',
    'postgresql://db.example.com/gateway?user=a&password=%',
    'https://user:%@example.com/',
  ])('should hide the secret of a text such as %j', (frame) => {
    const text = 'S3cr3tS3cr3tS3cr3tS3cr3tS3cr3t00';
    for (const shown of [redactText(frame.replaceAll('%', text)), print({ msg: frame.replaceAll('%', text) })])
      expect(shown).not.toContain(text);
  });

  it('should hide the query of every URL in a text', () => {
    const name = fc.constantFrom('X-Amz-Signature', 'x-amz-signature', 'Signature', 'sig', 'se', 'Policy', 'anything');
    const scheme = fc.constantFrom('https://', 'http://', 'HTTPS://', 'https://user:pw@');
    fc.assert(
      fc.property(around, scheme, name, secret, around, (before, start, parameter, text, after) => {
        const url = `${start}bucket.example.com/in.mp4?a=b&${parameter}=${text}&c=d`;
        expect(redactText(`${before} ${url} ${after}`)).not.toContain(text);
        expect(print(new URL(url))).not.toContain(text);
      }),
    );
  });

  it.each([
    '/in.mp4?X-Amz-Signature=%',
    '//bucket.example.com/in.mp4?X-Amz-Signature=%',
    'bucket.example.com/in.mp4?sig=%',
    'https:\\/\\/bucket.example.com\\/in.mp4?X-Amz-Signature=%',
    'https%3A%2F%2Fbucket.example.com%2Fin.mp4%3FX-Amz-Signature%3D%',
    'https://bucket.example.com/in.mp4?X-Amz-Signature\\u003d%',
    'https://bucket.example.com/in.mp4&quest;X-Amz-Signature=%',
    's3://bucket/in.mp4?X-Amz-Signature=%',
    'ftp://bucket/in.mp4?token=%',
  ])('should hide the signature of a URL that is written as %j', (frame) => {
    expect(redactText(frame.replace(/%$/, 'S3cr3tS3cr3tS3cr3tS3cr3tS3cr3t00'))).not.toContain('S3cr3t');
  });

  it('should show each of several errors, with its secrets hidden', () => {
    const error = new AggregateError([new Error('token=abcdefgh'), new TypeError('plain')], '2 of 3 failed');
    expect(redact(error)).toMatchObject({
      type: 'AggregateError',
      message: '2 of 3 failed',
      errors: [
        { type: 'Error', message: 'token=[redacted]' },
        { type: 'TypeError', message: 'plain' },
      ],
    });
  });

  it('should hide what errors carry: messages, causes and the requests that clients hang on them', () => {
    fc.assert(
      fc.property(secret, fc.integer({ min: 0, max: 5 }), (text, depth) => {
        let error: Error = Object.assign(new Error(`GET https://a.example/x?sig=${text} with Bearer ${text}`), {
          config: { headers: { authorization: text, other: text } },
          request: { rawHeaders: ['Authorization', text] },
          response: { data: text },
        });
        for (let i = 0; i < depth; i += 1) error = new Error('outer', { cause: error });
        expect(print({ err: error })).not.toContain(text);
        expect(print(new AggregateError([error], `Token ${text}`))).not.toContain(text);
      }),
    );
  });

  it('should tell where an error was made, and no more of its stack', () => {
    const made = redact(new TypeError('broken')) as Record<string, string>;
    expect(made).toEqual({ type: 'TypeError', message: 'broken', at: expect.stringContaining('redact.spec.ts') });
    expect(made.at).not.toContain('\n');
  });

  it('should keep what is no secret', () => {
    const value = {
      job_id: '0190a5c2',
      status: 'queued',
      tokens: 3,
      count: 1n,
      at: new Date(0),
      bytes: Buffer.from('abc'),
    };
    expect(redact(value)).toEqual({
      job_id: '0190a5c2',
      status: 'queued',
      tokens: 3,
      count: '1',
      at: '1970-01-01T00:00:00.000Z',
      bytes: '[3 bytes]',
    });
    expect(redactText('the token was rejected; see https://example.com/path')).toContain('https://example.com/path');
  });

  it.each([
    '?',
    'a.',
    'a?',
    'http://a',
    'http://a#',
    '://',
    'a@',
    'token',
    'token ',
    'key-',
    'Bearer ',
    'tpg_',
    'secret\\"',
  ])('should be through with a long text of %j as soon as with any other', (part) => {
    // One that looked at the rest of the text for each of its places would be busy for an hour.
    const text = `key ${part.repeat(2_000_000 / part.length)}`;
    expect(redactText(`${text} token=S3cr3tS3cr3t`)).not.toContain('S3cr3t');
  });

  it('should change nothing more when it is done twice', () => {
    fc.assert(
      fc.property(around, secret, (before, text) => {
        const once = redactText(`${before} Bearer ${text} https://a.example/?b=${text} tpg_${text}`);
        expect(redactText(once)).toBe(once);
      }),
    );
  });

  it('should never throw, whatever is logged', () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    const thrower = {
      get value(): never {
        throw new Error('a getter');
      },
    };
    const invalid = new Date(Number.NaN);
    const proxy = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('a trap');
        },
      },
    );
    for (const value of [circular, thrower, invalid, proxy, Symbol('s'), () => 1, null, undefined, Object.create(null)])
      expect(() => JSON.stringify(redact({ value }))).not.toThrow();
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withDate: true,
          withMap: true,
          withSet: true,
          withNullPrototype: true,
          withTypedArray: true,
        }),
        (value) => {
          JSON.stringify(redact(value));
        },
      ),
    );
  });
});
