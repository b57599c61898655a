/**
 * Bounds of every session, in milliseconds (invariant 8): a replica that stops in the middle of a transaction must lose its
 * row locks well before its leases end. The shortest lease is the callback timeout plus its margin.
 */
export const SESSION_BOUNDS = {
  statement_timeout: 10_000,
  lock_timeout: 5_000,
  idle_in_transaction_session_timeout: 10_000,
  keepAlive: true,
} as const;
