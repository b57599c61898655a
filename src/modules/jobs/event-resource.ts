import { Problem } from '../../common/errors/problem.js';
import type { EventResource } from './job-events.dto.js';
import type { StoredEvent } from './jobs.store.js';

const LAST_EVENT_ID = 'Last-Event-ID';

/** An event as clients see it (contract, section 4). */
export function eventResource({ sequence, type, createdAt, data }: StoredEvent): EventResource {
  return { sequence, type, timestamp: createdAt.toISOString(), data };
}

/** The event as a stream carries it (WHATWG HTML, section 9.2.6): JSON has no line breaks of its own. */
export function eventText(event: StoredEvent): string {
  return `id: ${event.sequence}\nevent: ${event.type}\ndata: ${JSON.stringify(eventResource(event))}\n\n`;
}

/**
 * The sequence number after which a stream goes on: 0 for a reader that has seen nothing.
 *
 * @param values every `Last-Event-ID` header of the request
 * @throws Problem 400 that names the header
 */
export function readLastEventId(values: string[] = []): number {
  if (values.length === 0) return 0;
  const [value = ''] = values;
  const isNumber = values.length === 1 && /^\d+$/.test(value);
  if (!isNumber) throw Problem.invalid({ [LAST_EVENT_ID]: ['must be one whole number, not negative'] });
  return Number(value);
}
