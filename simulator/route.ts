/** Where a path leads: a key of OPERATIONS, and the id in it (NaN if it has none or a text that is no number). */
export interface Route {
  name: string;
  id: number;
}

const FIXED: ReadonlyMap<string, Route> = new Map(
  [
    'jobs/from-url',
    'images/enhance/from-url',
    'jobs',
    'restored-videos',
    'videos',
    'ml-models',
    'accounts/profile/balance',
  ].map((name) => [`/api/${name}/`, { name, id: NaN }]),
);
const WITH_ID = /^\/api\/(jobs\/history|jobs|restored-videos|videos)\/([^/]+)\/$/;

/** The route of a path, or null. Every path of TensorPix ends with a slash. */
export function findRoute(path: string): Route | null {
  const fixed = FIXED.get(path);
  if (fixed !== undefined) return fixed;
  const match = WITH_ID.exec(path);
  if (match === null) return null;
  return { name: `${match[1]}/:id`, id: /^\d+$/.test(match[2] ?? '') ? Number(match[2]) : NaN };
}
