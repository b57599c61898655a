import { afterEach, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import {
  diagnose,
  type PastedWebhook,
  type SentWebhook,
} from '../../../src/modules/webhooks/diagnosis/signature-diagnosis.js';
import { webhookHeaders } from '../../../src/modules/webhooks/signature.js';
import {
  NOW,
  SECONDS,
  ID,
  ENDPOINT,
  BODY,
  CURRENT,
  ROTATING,
  EXPIRED,
  OF_ENDPOINT,
  FOREIGN,
  KNOWN,
} from './pasted-webhook.js';

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
