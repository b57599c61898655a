import { Prisma } from '../../generated/prisma/client.js';
import { NoConnection, NoFreeConnection } from './connection-pool.js';

/** SQLSTATEs and driver codes that say: the database is not there, or is going away. Nothing was decided about the data. */
const AWAY = new Set([
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '53300', // too_many_connections
  '25006', // read_only_sql_transaction: a standby, or a primary that is being replaced; nothing can be written there
  '08000',
  '08001',
  '08003',
  '08006',
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'ETIMEDOUT',
  'EPIPE',
  'P1001',
  'P1002',
  'P1008',
  'P1017',
  'P2024', // no connection from the pool in time
  'P2028', // no transaction in time
  // kinds of the driver adapter's errors
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TooManyConnections',
  'TlsConnectionError',
]);

/** What pg and its pool say when a connection ends or does not come; these errors have no code. */
const AWAY_MESSAGES =
  /^(Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client has encountered a connection error)/;

/**
 * Whether the database could not be reached, or went away: what was asked may have been done. Whoever it lets in no more counts as
 * well: a password that is being replaced, or a database that is, will be right again.
 */
export function isDatabaseAway(error: unknown): boolean {
  return hasNoConnection(error) || saysAway(error);
}

/** True when the database went away from a statement that it may have carried out. */
export function isUnheard(error: unknown): boolean {
  return isDatabaseAway(error) && !hasNoConnection(error);
}

/** What whoever asked is told of a database that is away. */
export function sayAway(error: unknown): string {
  if (layersOf(error).some((layer) => layer instanceof NoFreeConnection)) return 'The gateway is busy.';
  // A transaction that took too long: it may have waited for the database, or for this process.
  if (codesOf(error).includes('P2028')) return 'The database did not answer in time.';
  return 'The database cannot be reached.';
}

/** What makes a database useless from the start, by SQLSTATE, Prisma's code or its adapter's kind. */
const UNUSABLE = new Map([
  ['28P01', 'refuses its user or password'],
  ['28000', 'refuses its user'],
  ['P1000', 'refuses its user or password'],
  ['AuthenticationFailed', 'refuses its user or password'],
  ['3D000', 'does not exist'],
  ['25006', 'takes no writes'],
  ['P1003', 'does not exist'],
  ['DatabaseDoesNotExist', 'does not exist'],
]);

/** What does so only when it meets whoever connects: of a statement it says something else. */
const UNUSABLE_TO_CONNECT = new Map([
  ['42501', 'refuses its user'],
  ['55000', 'takes no connections'],
]);

/** What pg says of a server without TLS; it has no code. */
const NO_TLS = /server does not support SSL/;

/** Why nothing can be done with the database that the configuration names, in words that repeat none of it; null: that is not it. */
export function whyUnusable(error: unknown): string | null {
  const codes = codesOf(error);
  if (codes.some((code) => NO_TLS.test(code))) return 'offers no TLS, which sslmode asks for';
  const met = hasNoConnection(error) ? new Map([...UNUSABLE, ...UNUSABLE_TO_CONNECT]) : UNUSABLE;
  const known = codes.flatMap((code) => met.get(code) ?? []);
  return known[0] ?? (saysAway(error) ? 'cannot be reached' : null);
}

/** What a statement met that may be gone when it is repeated: nothing was written. */
const PASSING = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '55P03', // lock_not_available
  '57014', // query_canceled, by statement_timeout
]);

/** True when the same statement may succeed a little later. */
export function isPassing(error: unknown): boolean {
  return isDatabaseAway(error) || codesOf(error).some((code) => PASSING.has(code));
}

/** True for a violated unique constraint (SQLSTATE 23505), by raw statements and by Prisma's own. */
export function isUniqueViolation(error: unknown): boolean {
  const codes = codesOf(error);
  return codes.includes('23505') || codes.includes('P2002');
}

/** True when a table is not there (SQLSTATE 42P01): the migrations are not in place. */
export function isMissingTable(error: unknown): boolean {
  const codes = codesOf(error);
  return codes.includes('42P01') || codes.includes('P2021');
}

/** The codes of an error and of what it wraps, and the messages of those without. */
function codesOf(error: unknown): string[] {
  return layersOf(error).flatMap(({ code, originalCode, kind, message }) =>
    [code, originalCode, kind, message].filter((value) => typeof value === 'string'),
  );
}

function saysAway(error: unknown): boolean {
  if (error instanceof Prisma.PrismaClientInitializationError) return true;
  return codesOf(error).some((code) => AWAY.has(code) || AWAY_MESSAGES.test(code));
}

function hasNoConnection(error: unknown): boolean {
  return layersOf(error).some((layer) => layer instanceof NoConnection);
}

/** An error and what it wraps: Prisma hides the driver's error in `meta` or `cause`. */
function layersOf(error: unknown, depth = 0): Record<string, unknown>[] {
  if (typeof error !== 'object' || error === null || depth > 5) return [];
  const layer = error as Record<string, unknown>;
  const { cause, meta, driverAdapterError } = layer;
  return [layer, ...[cause, meta, driverAdapterError].flatMap((inner) => layersOf(inner, depth + 1))];
}
