import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { newWebhookSecret, webhookHeaders } from '../../../src/modules/webhooks/signature.js';

const nowSeconds = () => Math.floor(Date.now() / 1_000);

describe('the signature of a webhook', () => {
  it('should be that of the published vector', () => {
    const headers = webhookHeaders('msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330, '{"test": 2432232314}', [
      'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    ]);
    expect(headers).toEqual({
      'content-type': 'application/json',
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });

  it('should verify under the reference verifier for any body and any secret of ours', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.json(), (id, body) => {
        const secret = newWebhookSecret();
        new Webhook(secret).verify(body, webhookHeaders(id, nowSeconds(), body, [secret]));
      }),
    );
  });

  it('should verify under each of several secrets, and under no other', () => {
    const secrets = [newWebhookSecret(), newWebhookSecret()];
    const headers = webhookHeaders('id', nowSeconds(), '{}', secrets);
    for (const secret of secrets) expect(() => new Webhook(secret).verify('{}', headers)).not.toThrow();
    expect(() => new Webhook(newWebhookSecret()).verify('{}', headers)).toThrow();
  });

  it('should not verify with another body, id or time', () => {
    const secret = newWebhookSecret();
    const headers = webhookHeaders('id', nowSeconds(), '{}', [secret]);
    const verifier = new Webhook(secret);
    expect(() => verifier.verify('{ }', headers)).toThrow();
    expect(() => verifier.verify('{}', { ...headers, 'webhook-id': 'other' })).toThrow();
    expect(() => verifier.verify('{}', { ...headers, 'webhook-timestamp': String(nowSeconds() - 1) })).toThrow();
  });
});

describe('a new secret', () => {
  it('should be whsec_ and 32 random bytes', () => {
    const secrets = Array.from({ length: 50 }, newWebhookSecret);
    for (const secret of secrets) {
      expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
      expect(Buffer.from(secret.slice(6), 'base64')).toHaveLength(32);
    }
    expect(new Set(secrets).size).toBe(50);
  });
});
