import secureJson from 'secure-json-parse';

/** What is wrong with a JSON text that has a name which reaches the prototype of an object. */
export const FORBIDDEN_NAMES = 'must not have a field "__proto__" or "constructor.prototype"';

/** The value of a JSON text; undefined, which JSON has not, when it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The value of a client's JSON text. @throws when it is none, or has a name that is forbidden */
export function parseForeignJson(text: string): unknown {
  return secureJson.parse(text, null, { protoAction: 'error', constructorAction: 'error' });
}

/** Whether a JSON text has a name that is forbidden. */
export function hasForbiddenName(text: string): boolean {
  if (parseJson(text) === undefined) return false;
  try {
    parseForeignJson(text);
    return false;
  } catch {
    return true;
  }
}
