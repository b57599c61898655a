import { afterEach, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import { createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import type { DiagnosisCheck } from '../../../src/modules/webhooks/diagnosis/diagnosis-check.js';
import {
  diagnose,
  type Diagnosis,
  type PastedWebhook,
  type SentWebhook,
} from '../../../src/modules/webhooks/diagnosis/signature-diagnosis.js';
import type { KnownSecret } from '../../../src/modules/webhooks/diagnosis/signing-material.js';
import { newWebhookSecret, webhookHeaders } from '../../../src/modules/webhooks/signature.js';

const NOW = new Date('2026-11-20T09:00:00.500Z');
const SECONDS = Math.floor(NOW.getTime() / 1_000);
const HOUR_MS = 3_600_000;

const ID = '019a9f00-0000-7000-8000-000000000001';
const ENDPOINT = '019a9f00-0000-7000-8000-00000000000e';
const EVENT = {
  type: 'job.finished',
  data: { id: 'a', status: 'fertig – größer', sequence: 3, output: { 2: [1, 2.5] } },
};
const BODY = JSON.stringify(EVENT);

/** Has both a `+` and a `/` in it, so that the url-safe alphabet writes it in another way. */
const CURRENT = `whsec_${Buffer.alloc(32, 'û>ÿ?', 'latin1').toString('base64')}`;
const ROTATING = newWebhookSecret();
const EXPIRED = newWebhookSecret();
const OF_ENDPOINT = newWebhookSecret();
const FOREIGN = newWebhookSecret();
const KNOWN: KnownSecret[] = [
  { owner: 'callback_url', secret: EXPIRED, expiresAt: new Date(NOW.getTime() - HOUR_MS) },
  { owner: 'callback_url', secret: CURRENT, expiresAt: null },
  { owner: 'callback_url', secret: ROTATING, expiresAt: new Date(NOW.getTime() + HOUR_MS) },
  { owner: ENDPOINT, secret: OF_ENDPOINT, expiresAt: null },
];
const SENT: SentWebhook = { owner: 'callback_url', body: BODY };

function signed(secrets: string[] = [CURRENT], seconds = SECONDS, body = BODY): Record<string, string> {
  return webhookHeaders(ID, seconds, body, secrets);
}

function signatureOf(key: Buffer | string, content = `${ID}.${SECONDS}.${BODY}`): Buffer {
  return createHmac('sha256', key).update(content).digest();
}

function keyOf(secret: string): Buffer {
  return Buffer.from(secret.slice(6), 'base64');
}

/** Diagnoses a correct webhook but for what is given. */
function look(pasted: Partial<PastedWebhook>, sent: SentWebhook | null = SENT): Diagnosis {
  return diagnose({ headers: signed(), body: BODY, ...pasted }, KNOWN, sent, NOW);
}

function check({ checks }: Diagnosis, name: DiagnosisCheck['name']): DiagnosisCheck {
  const found = checks.find((each) => each.name === name);
  if (!found) throw new Error(`no check ${name}`);
  return found;
}

function failed({ checks }: Diagnosis): string[] {
  return checks.filter(({ ok }) => ok === false).map(({ name }) => name);
}

function withSignature(value: string): Diagnosis {
  return look({ headers: { ...signed(), 'webhook-signature': value } });
}

describe('the diagnosis of a correct webhook', () => {
  it('should find nothing', () => {
    const diagnosis = look({ secret: CURRENT });
    expect(diagnosis).toMatchObject({ valid: true, signed_by: 'callback_url' });
    expect(diagnosis.checks.map(({ name, ok }) => [name, ok])).toEqual([
      ['headers', true],
      ['timestamp', true],
      ['signature_format', true],
      ['secret', true],
      ['body', true],
      ['signature', true],
    ]);
  });

  it('should do without a secret and without knowing the webhook-id', () => {
    const diagnosis = look({}, null);
    expect(diagnosis.valid).toBe(true);
    expect([check(diagnosis, 'secret').ok, check(diagnosis, 'body').ok]).toEqual([null, null]);
  });

  it('should tell whose secret has signed', () => {
    const diagnosis = look({ headers: signed([OF_ENDPOINT]) }, { owner: ENDPOINT, body: BODY });
    expect(diagnosis).toMatchObject({ valid: true, signed_by: ENDPOINT });
    expect(check(diagnosis, 'signature').detail).toContain(ENDPOINT);
  });

  it.each([CURRENT, ROTATING])('should take each secret of a rotation', (secret) => {
    expect(look({ headers: signed([CURRENT, ROTATING]), secret }).valid).toBe(true);
    expect(look({ headers: signed([FOREIGN, secret]) }).valid).toBe(true);
  });

  it('should say until when a secret that is being rotated out signs', () => {
    const diagnosis = look({ headers: signed([CURRENT, ROTATING]), secret: ROTATING });
    expect(check(diagnosis, 'secret').detail).toContain('2026-11-20T10:00:00.500Z');
  });

  it('should take names of headers as CGI has them, and so PHP and WSGI', () => {
    const names = Object.entries(signed()).map(([name, value]) => [
      `HTTP_${name.toUpperCase().replaceAll('-', '_')}`,
      value,
    ]);
    expect(look({ headers: Object.fromEntries(names) as Record<string, string> }).valid).toBe(true);
  });

  it('should take names of headers in any case, and other headers beside them', () => {
    const headers = Object.fromEntries(Object.entries(signed()).map(([name, value]) => [name.toUpperCase(), value]));
    expect(look({ headers: { Host: 'example.com', ...headers } }).valid).toBe(true);
  });
});

describe('the check of the headers', () => {
  it.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])('should miss %s', (name) => {
    const { [name]: _, ...headers } = signed();
    const diagnosis = look({ headers });
    expect(diagnosis).toMatchObject({ valid: false, signed_by: null });
    expect(failed(diagnosis)).toEqual(['headers']);
    expect(check(diagnosis, 'headers').detail).toMatch(`${name} is missing`);
    expect(check(diagnosis, 'signature').ok).toBeNull();
  });

  it('should miss all of them', () => {
    expect(check(look({ headers: {} }), 'headers').detail.match(/is missing/g)).toHaveLength(3);
  });

  it.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])('should see spaces around %s', (name) => {
    const diagnosis = look({ headers: { ...signed(), [name]: ` ${signed()[name]}\t` } });
    expect(failed(diagnosis)).toEqual(['headers']);
    expect(check(diagnosis, 'headers').detail).toContain(`${name} has spaces around it`);
    expect(check(diagnosis, 'signature').ok).toBe(true);
  });

  it('should see a header that is empty or there twice', () => {
    expect(check(look({ headers: { ...signed(), 'webhook-id': ' ' } }), 'headers').detail).toContain('is empty');
    const twice = look({ headers: { ...signed(), 'Webhook-Id': 'another' } });
    expect(check(twice, 'headers').detail).toContain('more than once');
    expect(look({ headers: { ...signed(), 'Webhook-Id': ID } }).valid).toBe(true);
  });
});

describe('the check of the timestamp', () => {
  function at(seconds: number): Diagnosis {
    return look({ headers: signed([CURRENT], seconds) });
  }

  it('should allow five minutes either way', () => {
    expect([-300, -299, 0, 299, 300].map((offset) => at(SECONDS + offset).valid)).toEqual(Array(5).fill(true));
  });

  it.each([
    [-301, '5 minutes old'],
    [-3 * 3_600, '3 hours old'],
    [-3 * 86_400, '3 days old'],
    [301, '5 minutes in the future'],
  ])('should refuse one of %i seconds from now, and judge the signature all the same', (offset, words) => {
    const diagnosis = at(SECONDS + offset);
    expect(failed(diagnosis)).toEqual(['timestamp']);
    expect(check(diagnosis, 'timestamp').detail).toContain(words);
    expect(check(diagnosis, 'timestamp').detail).toMatch(/clock/);
    expect(check(diagnosis, 'signature').ok).toBe(true);
  });

  it.each([
    [`${SECONDS}123`, 'milliseconds'],
    [`${SECONDS}123456`, 'microseconds'],
    [`${SECONDS}123456789`, 'nanoseconds'],
    [`${SECONDS}.5`, 'fraction'],
    [NOW.toISOString(), 'date'],
    [NOW.toUTCString(), 'date'],
  ])('should know what %s is, and judge the signature with its seconds', (timestamp, word) => {
    const diagnosis = look({ headers: { ...signed(), 'webhook-timestamp': timestamp } });
    expect(failed(diagnosis)).toEqual(['timestamp']);
    expect(check(diagnosis, 'timestamp').detail).toContain(word);
    expect(check(diagnosis, 'timestamp').detail).toContain(`judged with ${SECONDS}`);
    expect(check(diagnosis, 'signature').ok).toBe(true);
  });

  it.each(['soon', '-5', '1e9', `0${SECONDS}`, `+${SECONDS}`, '0x10', '9'.repeat(40), '2026-13-45'])(
    'should make nothing of %s',
    (timestamp) => {
      const diagnosis = look({ headers: { ...signed(), 'webhook-timestamp': timestamp } });
      expect(failed(diagnosis)).toEqual(['timestamp']);
      expect(check(diagnosis, 'signature').ok).toBeNull();
    },
  );
});

describe('the check of the form of the signature', () => {
  const digest = signatureOf(keyOf(CURRENT));
  const base64 = digest.toString('base64');

  it.each([
    ['unpadded', `v1,${base64.slice(0, -1)}`, 'padding'],
    ['in hexadecimal', `v1,${digest.toString('hex')}`, 'hexadecimal'],
    ['without a prefix', base64, 'begin with `v1,`'],
    ['with an equals sign', `v1=${base64}`, 'begin with `v1,`'],
    ['as GitHub writes it', `sha256=${digest.toString('hex')}`, 'begin with `v1,`'],
  ])('should hint at one that is %s, and still find its bytes right', (_, value, words) => {
    const diagnosis = withSignature(value);
    expect(failed(diagnosis)).toEqual(['signature_format', 'signature']);
    expect(check(diagnosis, 'signature_format').detail).toContain(words);
    expect(check(diagnosis, 'signature').detail).toContain('bytes of the signature are right');
    expect(diagnosis.signed_by).toBe('callback_url');
  });

  it('should hint at the url-safe alphabet', () => {
    // A body for which the alphabets differ.
    const bodies = Array.from({ length: 1_000 }, (_, i) => JSON.stringify(i));
    const body = bodies.find((each) => signed([CURRENT], SECONDS, each)['webhook-signature']?.includes('+')) ?? '';
    const headers = signed([CURRENT], SECONDS, body);
    const value = headers['webhook-signature'] ?? '';
    headers['webhook-signature'] = value.replace(/\+/g, '-').replace(/\//g, '_');
    const diagnosis = look({ headers, body }, null);
    expect(failed(diagnosis)).toEqual(['signature_format', 'signature']);
    expect(check(diagnosis, 'signature_format').detail).toContain('url-safe');
  });

  it.each([
    ['v1,', 'not base64'],
    ['v1,%%%%', 'not base64'],
    [`v1,${base64.slice(0, 20)}`, 'of 15 bytes'],
    [`v1,${base64},v1,${base64}`, 'separated by a space'],
    [`v1,${base64.slice(0, -2)}B=`, 'it was changed'],
  ])('should not read %s', (value, words) => {
    const diagnosis = withSignature(value);
    expect(diagnosis.valid).toBe(false);
    expect(failed(diagnosis)).toContain('signature_format');
    expect(check(diagnosis, 'signature_format').detail).toContain(words);
  });

  it('should skip versions that it does not know', () => {
    const diagnosis = withSignature(`v1a,${'A'.repeat(86)}== v1,${base64} v2,x`);
    expect(diagnosis.valid).toBe(true);
    expect(check(diagnosis, 'signature_format').detail).toMatch(/Signature 1 is of another version.*Signature 3/);
    expect(failed(withSignature(`v2,${base64}`))).toEqual(['signature_format']);
  });

  it('should say which of several is not well formed, and be content with one that is', () => {
    const diagnosis = withSignature(`v1,${base64} ${digest.toString('hex')}`);
    expect(diagnosis.valid).toBe(true);
    expect(check(diagnosis, 'signature_format').detail).toMatch(/Signature 2 .*Signature 2 is hexadecimal/);
  });

  it('should look at no more than twenty', () => {
    const other = signed([FOREIGN])['webhook-signature'];
    const diagnosis = withSignature(`${`${other} `.repeat(20)}v1,${base64}`);
    expect(diagnosis.valid).toBe(false);
    expect(check(diagnosis, 'signature_format').detail).toContain('first 20');
  });
});

describe('the check of the secret', () => {
  function secret(text: string): DiagnosisCheck {
    const diagnosis = look({ secret: text });
    expect(diagnosis.valid).toBe(check(diagnosis, 'secret').ok);
    return check(diagnosis, 'secret');
  }

  it.each([
    ['is empty', '', 'is empty'],
    ['is only the prefix', 'whsec_', 'is empty'],
    ['is not base64', 'whsec_***', 'not `whsec_` and base64'],
    ['is unknown', FOREIGN, 'none that signs for you.'],
    ['was cut', CURRENT.slice(0, 30), 'was it cut?'],
    ['is far too long', 'A'.repeat(100_000), 'too long'],
    ['was rotated out', EXPIRED, 'rotated out'],
    [
      'is that of an endpoint',
      OF_ENDPOINT,
      `is of the endpoint ${ENDPOINT}; this webhook is one for your \`callback_url\`s`,
    ],
    ['lacks whsec_', CURRENT.slice(6), 'lacks `whsec_`'],
    ['has quotes around it', `"${CURRENT}"`, 'quotes'],
    ['has a line end after it', `${CURRENT}\n`, 'line ends'],
    ['has a space in it', `${CURRENT.slice(0, 20)} ${CURRENT.slice(20)}`, 'spaces'],
    ['is unpadded', CURRENT.replace(/=+$/, ''), 'without padding'],
    ['is url-safe', CURRENT.replace(/\+/g, '-').replace(/\//g, '_'), 'another alphabet'],
    ['is hexadecimal', `whsec_${keyOf(CURRENT).toString('hex')}`, 'hexadecimal'],
  ])('should see that it %s', (_, text, words) => {
    const found = secret(text);
    expect(found.ok).toBe(false);
    expect(found.detail).toContain(words);
  });

  it('should name all that is odd about it', () => {
    expect(secret(` '${EXPIRED.slice(6)}' `).detail).toMatch(/quotes.*lacks `whsec_`.*rotated out/);
  });

  it('should see that it is of another receiver, though the signature is of nobody', () => {
    const diagnosis = look({ headers: signed([FOREIGN]), secret: OF_ENDPOINT });
    expect(failed(diagnosis)).toEqual(['secret', 'signature']);
    expect(check(diagnosis, 'secret').detail).toContain(ENDPOINT);
  });

  it('should see that it is newer than the signature', () => {
    const diagnosis = look({ headers: signed([ROTATING]), secret: CURRENT });
    expect(failed(diagnosis)).toEqual(['secret']);
    expect(check(diagnosis, 'secret').detail).toContain('before a rotation');
  });
});

describe('the check of the body', () => {
  const reordered = JSON.stringify({ data: EVENT.data, type: EVENT.type });
  const escaped = BODY.replace(/[–öß]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

  it.each([
    ['indented', JSON.stringify(EVENT, null, 2), 'the whitespace between'],
    ['spaced as Python does', BODY.replace(/":/g, '": ').replace(/,"/g, ', "'), 'the whitespace between'],
    ['with its keys in another order', reordered, 'another order'],
    ['with its keys in another order and indented', JSON.stringify(JSON.parse(reordered), null, 1), 'another order'],
    ['with unicode escapes', escaped, 'escapes'],
    ['with another number', BODY.replace('2.5', '25e-1'), 'numbers'],
    ['with a line end', `${BODY}\n`, 'line end'],
    ['with spaces around it', `  ${BODY} `, 'spaces around'],
    ['with a byte order mark', `\uFEFF${BODY}`, 'byte order mark'],
    ['cut', BODY.slice(0, 40), 'cut off: 40 bytes'],
    ['empty', '', 'is empty'],
    ['decoded as Latin-1', Buffer.from(BODY).toString('latin1'), 'Latin-1'],
    ['encoded twice', JSON.stringify(BODY), 'once more'],
    ['of another content', BODY.replace('finished', 'failed'), 'another content'],
    ['of another type', '[]', 'another content'],
    ['no JSON', `${BODY}}`, 'another content'],
  ])('should see that it is %s, and that the signature fits the one that was sent', (_, body, words) => {
    const diagnosis = look({ body });
    expect(failed(diagnosis)).toEqual(['body', 'signature']);
    expect(check(diagnosis, 'body').detail).toContain(words);
    expect(check(diagnosis, 'signature').detail).toContain('fits the body that the gateway sent');
    expect(diagnosis.signed_by).toBe('callback_url');
  });

  it('should see a body that was never sent, though it is signed with the right secret', () => {
    const body = '{"type":"job.finished"}';
    const diagnosis = look({ headers: signed([CURRENT], SECONDS, body), body });
    expect(failed(diagnosis)).toEqual(['body']);
    expect(check(diagnosis, 'signature').ok).toBe(true);
  });

  it('should want JSON of a body that it cannot compare', () => {
    const body = 'type=job.finished';
    expect(failed(look({ headers: signed([CURRENT], SECONDS, body), body }, null))).toEqual(['body']);
    expect(check(look({ body: '' }, null), 'body').detail).toContain('is empty');
  });

  it('should compare bodies that are nested very deeply', () => {
    const body = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    expect(check(look({ body }), 'body').detail).toContain('another content');
    expect(check(look({ body }, null), 'body').ok).toBeNull();
  });
});

describe('the check of the signature', () => {
  it('should find no secret of the tenant behind it', () => {
    for (const sent of [SENT, null]) {
      const diagnosis = look({ headers: signed([FOREIGN]) }, sent);
      expect(failed(diagnosis)).toEqual(['signature']);
      expect(diagnosis.signed_by).toBeNull();
      expect(check(diagnosis, 'signature').detail).toMatch(/No secret of yours.*forged/);
    }
  });

  it('should see that another id or timestamp was signed', () => {
    for (const header of [{ 'webhook-id': 'other' }, { 'webhook-timestamp': String(SECONDS - 1) }])
      expect(failed(look({ headers: { ...signed(), ...header } }))).toEqual(['signature']);
  });

  it('should take one with a secret that has expired since, but none that it could not have made', () => {
    const before = SECONDS - 2 * 3_600;
    const old = look({ headers: signed([EXPIRED], before) });
    expect([check(old, 'signature').ok, old.signed_by]).toEqual([true, 'callback_url']);
    const forged = look({ headers: signed([EXPIRED]) });
    expect(failed(forged)).toEqual(['signature']);
    expect(check(forged, 'signature').detail).toContain('had expired');
  });

  it.each([
    ['the whole text of the secret as its key', CURRENT, undefined],
    ['the base64 text of the secret as its key', CURRENT.slice(6), undefined],
    ['`whsec_` decoded along', Buffer.from(CURRENT, 'base64'), undefined],
    ['over the body alone', keyOf(CURRENT), BODY],
    ['over `timestamp.body`', keyOf(CURRENT), `${SECONDS}.${BODY}`],
    ['the base64 text of the secret as its key, undecoded', CURRENT.slice(6), BODY],
  ])("should recognise an integrator's own value: %s", (words, key, content) => {
    const own = `v1,${signatureOf(key, content).toString('base64')}`;
    const alone = withSignature(own);
    expect(failed(alone)).toEqual(['signature']);
    expect(check(alone, 'signature').detail).toContain(words);
    const beside = withSignature(`${signed()['webhook-signature']} ${own}`);
    expect(beside.valid).toBe(true);
    expect(check(beside, 'signature').detail).toMatch(/is right.*Signature 2 is an HMAC/);
  });

  it('should recognise a value of the secret that was pasted', () => {
    const diagnosis = look({ headers: signed([FOREIGN]), secret: FOREIGN });
    expect(failed(diagnosis)).toEqual(['secret', 'signature']);
    expect(check(diagnosis, 'signature').detail).toContain(
      'with the pasted secret, which the gateway does not sign with',
    );
  });
});

/** How a pasted webhook comes apart from the one that was sent: often not at all, so that some are valid. */
const sometimes = <T>(unchanged: T, changed: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 7, arbitrary: fc.constant(unchanged) }, { weight: 1, arbitrary: changed });

const anySecret = fc.constantFrom(CURRENT, ROTATING, EXPIRED, OF_ENDPOINT, FOREIGN);

/** Ways to write a header's value that a lenient reader takes for the same. */
function slightlyWrong(value: string): string[] {
  const hex = Buffer.from(value.slice(3), 'base64').toString('hex');
  // The last character of 32 bytes in base64 has two unused bits.
  const noncanonical = value.replace(/.=$/, (end) => `${String.fromCharCode(end.charCodeAt(0) + 1)}=`);
  const urlSafe = value.replace(/\+/g, '-').replace(/\//g, '_');
  return [
    `${value} `,
    ` ${value}`,
    `${value},`,
    `0${value}`,
    value.replace('=', ''),
    hex,
    `v1,${hex}`,
    noncanonical,
    urlSafe,
  ];
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const pastedWebhook = fc
  .record({
    body: fc.oneof(fc.constant(BODY), fc.json(), fc.string()),
    secrets: fc.array(anySecret, { minLength: 1, maxLength: 3 }),
    seconds: sometimes(
      SECONDS,
      fc.constantFrom(-302, -301, -300, 300, 301, 302).map((offset) => SECONDS + offset),
    ),
  })
  .chain(({ body, secrets, seconds }) => {
    const headers = webhookHeaders(ID, seconds, body, secrets);
    const header = (name: string): fc.Arbitrary<string> => {
      const value = headers[name] ?? '';
      const text = fc.oneof(fc.string(), fc.constantFrom(...slightlyWrong(value)));
      return sometimes(
        value,
        fc.oneof(
          text,
          fc.tuple(text, text).map((texts) => texts.join(' ')),
        ),
      );
    };
    return fc.record({
      headers: fc
        .tuple(
          fc.tuple(sometimes('webhook-id', fc.constant('Webhook-ID')), header('webhook-id')),
          fc.tuple(sometimes('webhook-timestamp', fc.string()), header('webhook-timestamp')),
          fc.tuple(sometimes('webhook-signature', fc.string()), header('webhook-signature')),
          fc.tuple(fc.oneof(fc.string(), fc.constantFrom('WEBHOOK-ID', '__proto__')), fc.string()),
        )
        .map((entries) => Object.fromEntries(entries)),
      body: sometimes(body, fc.oneof(fc.string({ unit: 'binary' }), fc.json(), fc.constant(`${body} `))),
      secret: sometimes<string | undefined>(undefined, fc.oneof(anySecret, fc.string())),
      // The gateway sends nothing but JSON.
      sent: sometimes<SentWebhook | null>(isJson(body) ? { owner: 'callback_url', body } : null, fc.constant(null)),
    });
  });

describe('the diagnosis of whatever is pasted', () => {
  afterEach(() => void jest.restoreAllMocks());

  function reference({ headers, body }: PastedWebhook): boolean {
    return KNOWN.some(({ secret }) => {
      try {
        new Webhook(secret).verify(body, headers);
        return true;
      } catch {
        return false;
      }
    });
  }

  it('should be valid only for what the reference verifier accepts', () => {
    jest.spyOn(Date, 'now').mockReturnValue(NOW.getTime());
    const counts = { valid: 0, invalid: 0 };
    fc.assert(
      fc.property(pastedWebhook, ({ sent, ...pasted }) => {
        const { valid } = diagnose(pasted, KNOWN, sent, NOW);
        if (valid) expect(reference(pasted)).toBe(true);
        counts[valid ? 'valid' : 'invalid'] += 1;
      }),
      { numRuns: 3_000 },
    );
    // About a quarter is valid; with none this would test nothing.
    expect(Math.min(counts.valid, counts.invalid)).toBeGreaterThan(100);
  });

  it('should be valid for whatever the gateway signs', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.json(), fc.integer({ min: -300, max: 300 }), (id, body, offset) => {
        const headers = webhookHeaders(id, SECONDS + offset, body, [CURRENT, ROTATING]);
        const known = fc.sample(fc.shuffledSubarray(KNOWN, { minLength: KNOWN.length }), 1)[0] ?? KNOWN;
        expect(diagnose({ headers, body, secret: CURRENT }, known, { owner: 'callback_url', body }, NOW).valid).toBe(
          true,
        );
      }),
    );
  });

  it('should not throw, and not repeat a secret or the body', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ maxLength: 200 }), anySecret);
    const anything = fc.record({
      headers: fc.dictionary(fc.constantFrom('webhook-id', 'webhook-timestamp', 'webhook-signature', 'x'), text),
      body: text,
      secret: fc.option(text, { nil: undefined }),
    });
    const pasted = fc.oneof(anything, pastedWebhook);
    const sent = fc.option(fc.record({ owner: fc.constant(ENDPOINT), body: text }), { nil: null });
    fc.assert(
      fc.property(pasted, sent, (webhook, original) => {
        const said = JSON.stringify(diagnose(webhook, KNOWN, original, NOW));
        for (const { secret } of KNOWN) expect(said).not.toContain(secret.slice(6));
        for (const secrecy of [webhook.secret, webhook.body])
          if (secrecy !== undefined && secrecy.length > 12) expect(said).not.toContain(secrecy);
      }),
      { numRuns: 2_000 },
    );
  });
});
