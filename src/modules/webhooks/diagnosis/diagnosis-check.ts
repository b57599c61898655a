/** One check of a pasted webhook, as an integrator reads it. */
export interface DiagnosisCheck {
  name: CheckName;
  /** null: there was nothing to judge it by */
  ok: boolean | null;
  /** A sentence or a few for the integrator; never has a secret or a part of the body in it. */
  detail: string;
}

export type CheckName = 'headers' | 'timestamp' | 'signature_format' | 'secret' | 'body' | 'signature';

/** A check that found nothing wrong. */
export function passed(name: CheckName, detail: string): DiagnosisCheck {
  return { name, ok: true, detail };
}

/** A check that makes the webhook invalid. */
export function failed(name: CheckName, detail: string): DiagnosisCheck {
  return { name, ok: false, detail };
}

/** A check that had nothing to go by. It makes nothing invalid. */
export function unjudged(name: CheckName, detail: string): DiagnosisCheck {
  return { name, ok: null, detail };
}

/**
 * A check that passes when it found no problem.
 *
 * @param problems sentences; all of them are told
 * @param fine what is said when there are none
 */
export function judged(name: CheckName, problems: readonly string[], fine: string): DiagnosisCheck {
  return problems.length > 0 ? failed(name, problems.join(' ')) : passed(name, fine);
}

/** A secret's owner in a sentence. */
export function ownerInWords(owner: string): string {
  return owner === 'callback_url' ? 'your `callback_url`s' : `the endpoint ${owner}`;
}
