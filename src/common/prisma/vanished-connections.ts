import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type pg from 'pg';

/**
 * For how long an answer is waited for, in milliseconds. The server gives a statement up before (`statement_timeout`), so whoever
 * says nothing for so long is not there any more: a host that vanished leaves connections open for a quarter of an hour.
 */
export const ANSWER_TIMEOUT_MS = 12_000;

/** What pg says then; the error has no code. */
const NO_ANSWER = /^Query read timeout/;

/**
 * Drops all unused connections of a pool as soon as one has given no answer: they lead to the same host, and whoever were given
 * one would wait as long.
 */
export function dropVanished(pool: pg.Pool): void {
  const unused = new Set<pg.PoolClient>();
  pool.on('acquire', (client) => void unused.delete(client));
  pool.on('remove', (client) => void unused.delete(client));
  pool.on('release', (error: Error | undefined, client) => {
    // A transaction that is given up gives its connection back without an error, though it still waits for an answer.
    const vanished = error ? isUnanswered(error) : isWaiting(client);
    if (!error) unused.add(client);
    if (vanished) for (const each of [...unused]) socketOf(each).destroy();
  });
}

/** Whether a statement failed because nothing came back. */
export function isUnanswered(error: unknown): boolean {
  return error instanceof Error && NO_ANSWER.test(error.message);
}

function isWaiting(client: pg.PoolClient): boolean {
  return Boolean((client as unknown as { _getActiveQuery: () => unknown })._getActiveQuery());
}

/** pg has no way to end a connection without a word from the other side. */
export function socketOf(client: pg.ClientBase): Socket {
  return (client as unknown as { connection: { stream: Socket } }).connection.stream;
}

/** Hears of each statement that is answered, with an error as well; pg tells only who asked. */
export function onAnswer(client: pg.ClientBase, listener: () => void): void {
  (client as unknown as { connection: EventEmitter }).connection.on('readyForQuery', listener);
}
