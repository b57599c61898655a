/**
 * The requests of the model, by name. `twin` and `preview` have the observable key of `plain`; the list can tell `preview`
 * from it, and cannot tell `twin`. Two requests of one name are interchangeable.
 */
export const REQUESTS = {
  plain: { video_url: 'https://media.example.com/a.mp4', ml_models: [1], preview: false, crf: 20 },
  twin: { video_url: 'https://media.example.com/a.mp4', ml_models: [1], preview: false, crf: 30 },
  preview: { video_url: 'https://media.example.com/a.mp4', ml_models: [1], preview: true, crf: 20 },
  otherModels: { video_url: 'https://media.example.com/a.mp4', ml_models: [2], preview: false, crf: 20 },
  otherUrl: { video_url: 'https://media.example.com/b.mp4', ml_models: [1], preview: false, crf: 20 },
} as const satisfies Record<string, Record<string, unknown>>;

export type RequestName = keyof typeof REQUESTS;

export const REQUEST_NAMES = Object.keys(REQUESTS) as RequestName[];

/** What a list can show of a request, as one text: requests that differ in it can be told apart. */
export function visible(name: RequestName): string {
  const { video_url: url, ml_models: models, preview } = REQUESTS[name];
  return [url, models[0], preview].join(' ');
}

/** True when a job of one request could be mistaken for one of the other by its URL and models alone. */
export function sameKey(one: RequestName, other: RequestName): boolean {
  const [a, b] = [REQUESTS[one], REQUESTS[other]];
  return a.video_url === b.video_url && a.ml_models[0] === b.ml_models[0];
}
