/** Set by the connection or not at all. `accept-encoding` so that nothing asks for a body that has to be inflated. */
export const OWN_HEADERS: ReadonlySet<string> = new Set([
  ...['host', 'connection', 'keep-alive', 'content-length', 'transfer-encoding', 'te', 'trailer', 'upgrade'],
  ...['expect', 'proxy-connection', 'proxy-authorization', 'accept-encoding'],
]);

/**
 * All headers of a callback as its receiver gets them; names in lower case are ours, those given keep theirs. undici
 * takes Host as it stands here, refuses another Content-Length than its own, and writes this Connection itself: it sends
 * no request over a connection that is about to be closed.
 *
 * @param given the caller's; those that belong to the connection are left out
 */
export function requestHeaders(
  url: URL,
  given: Readonly<Record<string, string>>,
  body: string | Buffer,
  userAgent: string,
): Record<string, string> {
  const kept = Object.entries(given).filter(([name]) => !OWN_HEADERS.has(name.toLowerCase()));
  const hasUserAgent = kept.some(([name]) => name.toLowerCase() === 'user-agent');
  // Not by assignment, which a header of the name __proto__ would not survive.
  return Object.fromEntries([
    ['host', url.host],
    ['connection', 'keep-alive'],
    ['accept-encoding', 'identity'],
    ...kept,
    ...(hasUserAgent ? [] : [['user-agent', userAgent]]),
    ['content-length', String(Buffer.byteLength(body))],
  ]) as Record<string, string>;
}
