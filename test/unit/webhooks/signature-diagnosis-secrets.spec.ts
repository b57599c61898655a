import { describe, expect, it } from '@jest/globals';
import type { DiagnosisCheck } from '../../../src/modules/webhooks/diagnosis/diagnosis-check.js';
import {
  SECONDS,
  ENDPOINT,
  EVENT,
  BODY,
  CURRENT,
  ROTATING,
  EXPIRED,
  OF_ENDPOINT,
  FOREIGN,
  SENT,
  signed,
  signatureOf,
  keyOf,
  look,
  check,
  failed,
  withSignature,
} from './pasted-webhook.js';

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
