import { failed, ownerInWords, passed, unjudged, type DiagnosisCheck } from './diagnosis-check.js';
import { isWellFormed, type ReadSignature } from './signature-forms.js';
import { hmac, sameBytes, type SignedMaterial, type Signer } from './signing-material.js';
import { findMistakes } from './signing-mistakes.js';

/** A replica notices late that a secret has expired (it caches for seconds), and clocks differ. */
const RETIREMENT_SLACK_MS = 60_000;
const NO_SIGNER =
  'No secret of yours explains the signature: it is made with another one (of another tenant, another gateway or before a ' +
  'rotation), the id, the timestamp or the body was changed after it was signed, or it is forged.';

/** A signature that a secret of the tenant explains. */
interface Match {
  signer: Signer;
  /** It fits the body that was sent, not the pasted one. */
  altered: boolean;
  wellFormed: boolean;
}

/** What came of the check: `explainedBy` has every secret that made one of the signatures, and the decisive one first. */
export interface JudgedSignature {
  check: DiagnosisCheck;
  explainedBy: readonly Signer[];
}

/**
 * Holds the signatures against what the tenant's secrets make of the pasted body and of the one that was sent.
 *
 * @param material null when the headers do not tell what was signed
 * @param signers those that sign now first
 * @param secret the pasted one, which may be none of the tenant's
 */
export function judgeSignature(
  signatures: readonly ReadSignature[],
  material: SignedMaterial | null,
  signers: readonly Signer[],
  secret: string | null,
): JudgedSignature {
  const legible = signatures.filter(({ bytes }) => bytes !== null);
  if (material === null || legible.length === 0)
    return {
      explainedBy: [],
      check: unjudged('signature', 'The headers leave nothing to compute or nothing to compare.'),
    };

  const expected = expectedOf(material, signers);
  const matches = expected.flatMap(({ digest, signer, altered }) =>
    legible
      .filter(({ bytes }) => sameBytes(bytes, digest))
      .map((signature): Match => ({ signer, altered, wellFormed: isWellFormed(signature) })),
  );
  const unexplained = legible.filter(({ bytes }) => !expected.some(({ digest }) => sameBytes(bytes, digest)));
  const mistakes = findMistakes(unexplained, material, signers, secret);
  const match = matches.find(({ wellFormed }) => wellFormed) ?? matches[0];
  if (!match) return { explainedBy: [], check: failed('signature', mistakes.join(' ') || NO_SIGNER) };
  const flaw = flawOf(match, Number(material.seconds) * 1_000);
  const verdict = flaw ?? `The signature is right. It is made with a secret of ${ownerInWords(match.signer.owner)}.`;
  return {
    explainedBy: [match.signer, ...matches.map(({ signer }) => signer)],
    check: (flaw === null ? passed : failed)('signature', [verdict, ...mistakes].join(' ')),
  };
}

/** What each signer makes of each body, over the pasted body first. */
function expectedOf(
  { id, seconds, bodies }: SignedMaterial,
  signers: readonly Signer[],
): (Pick<Match, 'signer' | 'altered'> & { digest: Buffer })[] {
  return bodies.flatMap((body, i) => {
    const content = Buffer.from(`${id}.${seconds}.${body}`);
    return signers.map((signer) => ({ signer, altered: i > 0, digest: hmac(signer.key, content) }));
  });
}

/** Why a signature of the tenant's is not one that a receiver accepts with the pasted body; null when it is. */
function flawOf({ signer, altered, wellFormed }: Match, signedAtMs: number): string | null {
  const whose = `a secret of ${ownerInWords(signer.owner)}`;
  if (altered)
    return (
      `The signature is made with ${whose} and fits the body that the gateway sent, not the pasted one: the body was ` +
      'changed on the way, by your code or by pasting; see `body`.'
    );
  if (!wellFormed)
    return `The bytes of the signature are right, made with ${whose}, but not written as they must be: see \`signature_format\`.`;
  if (signer.expiresAt !== null && signedAtMs > signer.expiresAt.getTime() + RETIREMENT_SLACK_MS)
    return `The signature is made with ${whose} that had expired by then: the gateway did not make it.`;
  return null;
}
