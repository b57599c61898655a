/**
 * The WHATWG-parsed URL, or null. `URL.canParse` is not used anywhere: in Node 20 it refuses URLs with characters from
 * U+0080 to U+00FF as soon as its caller has been optimised, and `https://media.example.com/vidéo.mp4` is one.
 */
export function parseUrl(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}
