import type { ReadSignature } from './signature-forms.js';
import {
  hmac,
  keyOf,
  MAX_SECRET_CHARS,
  sameBytes,
  withoutPrefix,
  type SignedMaterial,
  type Signer,
} from './signing-material.js';

/** The gateway's bodies stay under 20 kB; usual mistakes, which are many, are not tried on what is no body of its. */
const MAX_BODY_CHARS = 20_480;
const KEY_ADVICE = '; the key is the bytes that the base64 after `whsec_` decodes to';
const CONTENT_ADVICE = '; signed is `id.timestamp.body`';

/**
 * Names the usual mistake of an integrator's own code that makes a signature which is not right: they can paste their own
 * value, alone or beside the gateway's.
 *
 * @param unexplained signatures that no signer makes
 * @param secret the pasted one; it is tried as well
 * @returns a sentence for each signature that a mistake explains
 */
export function findMistakes(
  unexplained: readonly ReadSignature[],
  material: SignedMaterial,
  signers: readonly Signer[],
  secret: string | null,
): string[] {
  if (unexplained.length === 0 || material.bodies.some(({ length }) => length > MAX_BODY_CHARS)) return [];
  const keys = signers.flatMap((signer) => keysOf(signer.secret, ''));
  if (secret !== null && secret.length <= MAX_SECRET_CHARS)
    keys.push(...keysOf(secret, ' with the pasted secret, which the gateway does not sign with'));
  const contents = contentsOf(material);
  const trials = keys.flatMap(({ key, keyMistake }) =>
    contents.map(({ content, contentMistake }) => ({
      digest: hmac(key, content),
      mistake: `${keyMistake}${contentMistake}`,
    })),
  );
  return unexplained.flatMap(({ bytes, position }) => {
    const trial = trials.find(({ digest }) => sameBytes(bytes, digest));
    return trial ? [`Signature ${position} is an HMAC${trial.mistake}.`] : [];
  });
}

/** @param properlyDecoded what is wrong with the secret's own key */
function keysOf(secret: string, properlyDecoded: string): { key: Buffer; keyMistake: string }[] {
  const base64 = withoutPrefix(secret);
  return [
    { key: keyOf(secret), keyMistake: properlyDecoded },
    { key: Buffer.from(secret), keyMistake: ` with the whole text of the secret as its key${KEY_ADVICE}` },
    { key: Buffer.from(base64), keyMistake: ` with the base64 text of the secret as its key, undecoded${KEY_ADVICE}` },
    {
      key: Buffer.from(secret, 'base64'),
      keyMistake: ` with \`whsec_\` decoded along as if it were base64${KEY_ADVICE}`,
    },
  ];
}

function contentsOf({ id, seconds, bodies }: SignedMaterial): { content: string; contentMistake: string }[] {
  return bodies.flatMap((body) => [
    { content: `${id}.${seconds}.${body}`, contentMistake: '' },
    { content: body, contentMistake: ` over the body alone${CONTENT_ADVICE}` },
    { content: `${seconds}.${body}`, contentMistake: ` over \`timestamp.body\`, without the id${CONTENT_ADVICE}` },
  ]);
}
