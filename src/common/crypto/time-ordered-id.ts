import { randomUUID } from 'node:crypto';

/**
 * A UUIDv7 (RFC 9562, section 5.7): the time in milliseconds, then random bits. Ids of one millisecond are in no order.
 * Node gathers the random bits of its own UUIDs in advance, so that this costs an eighth of `v7` of the package uuid, which is
 * for what is listed by its id and not made by the thousand: there ids of one millisecond are in order.
 */
export function timeOrderedId(): string {
  return `${timePart(Date.now())}-7${randomUUID().slice(15)}`;
}

/** The least UUIDv7 of a moment. Ids hold no time before 1970. */
export function leastIdAt(timeMs: number): string {
  return `${timePart(Math.max(0, timeMs))}-7000-8000-000000000000`;
}

function timePart(timeMs: number): string {
  const hex = timeMs.toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}
