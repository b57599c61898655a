/** What a caller asked for in `Prefer` (RFC 7240; contract, section 4). */
export interface Preferences {
  /** Whole seconds, at most 60; undefined when not given. */
  waitSeconds: number | undefined;
  respondAsync: boolean;
  strict: boolean;
}

const MAX_WAIT_SECONDS = 60;

/** Preferences are hints: what is malformed or unknown is ignored, and a longer wait than 60 s counts as 60 s. */
export function parsePrefer(header: string | string[] | undefined): Preferences {
  const preferences: Preferences = { waitSeconds: undefined, respondAsync: false, strict: false };
  if (header === undefined) return preferences;
  let handling: string | undefined;
  const tokens = [header].flat().join(',').split(',');
  for (const token of tokens) {
    const [name = '', value = ''] = (token.split(';')[0] ?? '').split('=').map((part) => part.trim().toLowerCase());
    const bare = value.replace(/^"(.*)"$/, '$1');
    if (name === 'respond-async') preferences.respondAsync = true;
    // The first of several wins (RFC 7240, section 2).
    else if (name === 'wait' && /^\d{1,6}$/.test(bare)) {
      preferences.waitSeconds ??= Math.min(MAX_WAIT_SECONDS, Number(bare));
    } else if (name === 'handling' && (bare === 'strict' || bare === 'lenient')) handling ??= bare;
  }
  return { ...preferences, strict: handling === 'strict' };
}
