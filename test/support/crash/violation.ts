import type { Person } from './person.js';
import type { Records, Row } from './records.js';
import type { Replica } from './replica.js';
import type { Submission } from './submission.js';
import type { Upstream } from './upstream.js';

export type ViolationKind =
  | 'lost'
  | 'charged twice'
  | 'two rows'
  | 'foreign adopted'
  | 'wrong job'
  | 'sent again'
  | 'history'
  | 'answer'
  | 'stuck'
  | 'webhook'
  | 'exit';

/** Something that must never be. */
export interface Violation {
  kind: ViolationKind;
  text: string;
  /** Sources of the jobs that it is about. */
  urls: string[];
}

/** All that is known when nothing is under way any more. */
export interface Evidence {
  submissions: readonly Submission[];
  rows: readonly Row[];
  upstream: Upstream;
  records: Records;
  person: Person;
  replicas: readonly Replica[];
  /** Rows that do not come to an end. */
  stuck: readonly Row[];
  /** Webhooks that were not delivered. */
  undelivered: number;
}

export function sourceOf({ input }: Row): string {
  return String(input['video_url'] ?? input['url']);
}
