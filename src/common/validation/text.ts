/** Whether Postgres can store it: no NUL, no half of a surrogate pair. */
export function isStorableText(text: string): boolean {
  return !text.includes('\0') && !/\p{Surrogate}/u.test(text);
}

/** Characters are code points, as JSON Schema counts them. */
export function countCharacters(text: string): number {
  return [...text].length;
}
