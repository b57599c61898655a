import { isDeepStrictEqual } from 'node:util';
import { parseJson } from '../../../common/validation/json.js';
import { failed, passed, unjudged, type DiagnosisCheck } from './diagnosis-check.js';

const BYTE_ORDER_MARK = '\uFEFF';
const RAW_BODY_ADVICE = 'Verify the bytes as they came, before a JSON parser or a framework touches them.';

/**
 * Compares the pasted body with the one that was sent, and tells what a receiver's code has done to it.
 *
 * @param sent null when it is not known; then the pasted one has to be JSON at least
 */
export function judgeBody(pasted: string, sent: string | null): DiagnosisCheck {
  if (sent === pasted) return passed('body', 'The body is, byte for byte, the one that was sent.');
  if (pasted === '') return failed('body', 'The pasted body is empty: something has read it before your code.');
  if (sent !== null) return failed('body', differenceOf(pasted, sent));
  if (parseJson(pasted) === undefined)
    return failed('body', 'The pasted body is not JSON, as every body of the gateway is.');
  return unjudged('body', 'There is no webhook-id of a webhook of yours to compare the body with.');
}

/** How a body differs from the one that was sent, in the most telling way. */
function differenceOf(pasted: string, sent: string): string {
  const sizes = `${Buffer.byteLength(pasted)} bytes rather than ${Buffer.byteLength(sent)}`;
  if (pasted === BYTE_ORDER_MARK + sent)
    return `The body begins with a byte order mark that was not sent. ${RAW_BODY_ADVICE}`;
  if (pasted.trim() === sent)
    return 'The body has a line end or spaces around it that were not sent; an editor, a shell or a line reader adds them.';
  if (sent.startsWith(pasted)) return `The body was cut off: ${sizes}. Read it to its end.`;
  if (Buffer.from(pasted, 'latin1').toString() === sent)
    return `The body was decoded as Latin-1; its text is UTF-8. ${RAW_BODY_ADVICE}`;
  const value = parseJson(pasted);
  if (value === sent) return `The body was encoded once more, as a JSON string. ${RAW_BODY_ADVICE}`;
  // Whatever the order of keys is. The values are not walked deeper than the shallower of the two.
  if (value === undefined || !isDeepStrictEqual(value, parseJson(sent)))
    return `The body has another content than the one sent under this webhook-id (${sizes}).`;
  return `The body has the same content, but was parsed and written again: ${rewriteOf(pasted, sent)}. ${RAW_BODY_ADVICE}`;
}

/** What is different in two texts of the same JSON value. */
function rewriteOf(pasted: string, sent: string): string {
  if (JSON.stringify(parseJson(pasted)) !== JSON.stringify(parseJson(sent))) return 'its keys are in another order';
  // Strings lose their whitespace too, which are known to be the same.
  if (pasted.replace(/\s/g, '') === sent.replace(/\s/g, '')) return 'the whitespace between its parts differs';
  return 'its characters or numbers are written otherwise, for example as `\\u` escapes';
}
