const REDACTED = '[redacted]';

/** In JSON text: NUL, which Postgres cannot store, and halves of surrogate pairs, which are no characters. */
const NUL_ESCAPE = /\\u0000/g;
const LONE_SURROGATE_ESCAPE =
  /\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f][0-9a-f]{2})|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f][0-9a-f]{2}/gi;
const REPLACEMENT = '\\ufffd';

/**
 * An answer's text before anything reads it: without the token of the call, however TensorPix echoes it, and without
 * characters that could not be stored. Done on the raw text, so that names are covered as well as values.
 */
export function safeAnswerText(text: string, token: string): string {
  return withoutToken(text, token).replace(NUL_ESCAPE, REPLACEMENT).replace(LONE_SURROGATE_ESCAPE, REPLACEMENT);
}

function withoutToken(text: string, token: string): string {
  const escaped = JSON.stringify(token).slice(1, -1);
  const spellings = new Set([token, escaped, escaped.replaceAll('/', '\\/'), encodeURIComponent(token)]);
  return [...spellings].reduce((result, spelling) => result.replaceAll(spelling, REDACTED), text);
}
