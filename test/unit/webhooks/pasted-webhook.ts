import { createHmac } from 'node:crypto';
import type { DiagnosisCheck } from '../../../src/modules/webhooks/diagnosis/diagnosis-check.js';
import {
  diagnose,
  type Diagnosis,
  type PastedWebhook,
  type SentWebhook,
} from '../../../src/modules/webhooks/diagnosis/signature-diagnosis.js';
import type { KnownSecret } from '../../../src/modules/webhooks/diagnosis/signing-material.js';
import { newWebhookSecret, webhookHeaders } from '../../../src/modules/webhooks/signature.js';

/* A webhook as somebody pastes it, and the secrets that the gateway knows. */

export const NOW = new Date('2026-11-20T09:00:00.500Z');
export const SECONDS = Math.floor(NOW.getTime() / 1_000);
export const HOUR_MS = 3_600_000;

export const ID = '019a9f00-0000-7000-8000-000000000001';
export const ENDPOINT = '019a9f00-0000-7000-8000-00000000000e';
export const EVENT = {
  type: 'job.finished',
  data: { id: 'a', status: 'fertig – größer', sequence: 3, output: { 2: [1, 2.5] } },
};
export const BODY = JSON.stringify(EVENT);

/** Has both a `+` and a `/` in it, so that the url-safe alphabet writes it in another way. */
export const CURRENT = `whsec_${Buffer.alloc(32, 'û>ÿ?', 'latin1').toString('base64')}`;
export const ROTATING = newWebhookSecret();
export const EXPIRED = newWebhookSecret();
export const OF_ENDPOINT = newWebhookSecret();
export const FOREIGN = newWebhookSecret();
export const KNOWN: KnownSecret[] = [
  { owner: 'callback_url', secret: EXPIRED, expiresAt: new Date(NOW.getTime() - HOUR_MS) },
  { owner: 'callback_url', secret: CURRENT, expiresAt: null },
  { owner: 'callback_url', secret: ROTATING, expiresAt: new Date(NOW.getTime() + HOUR_MS) },
  { owner: ENDPOINT, secret: OF_ENDPOINT, expiresAt: null },
];
export const SENT: SentWebhook = { owner: 'callback_url', body: BODY };

export function signed(secrets: string[] = [CURRENT], seconds = SECONDS, body = BODY): Record<string, string> {
  return webhookHeaders(ID, seconds, body, secrets);
}

export function signatureOf(key: Buffer | string, content = `${ID}.${SECONDS}.${BODY}`): Buffer {
  return createHmac('sha256', key).update(content).digest();
}

export function keyOf(secret: string): Buffer {
  return Buffer.from(secret.slice(6), 'base64');
}

/** Diagnoses a correct webhook but for what is given. */
export function look(pasted: Partial<PastedWebhook>, sent: SentWebhook | null = SENT): Diagnosis {
  return diagnose({ headers: signed(), body: BODY, ...pasted }, KNOWN, sent, NOW);
}

export function check({ checks }: Diagnosis, name: DiagnosisCheck['name']): DiagnosisCheck {
  const found = checks.find((each) => each.name === name);
  if (!found) throw new Error(`no check ${name}`);
  return found;
}

export function failed({ checks }: Diagnosis): string[] {
  return checks.filter(({ ok }) => ok === false).map(({ name }) => name);
}

export function withSignature(value: string): Diagnosis {
  return look({ headers: { ...signed(), 'webhook-signature': value } });
}
