import { lookup as hostsLookup, Resolver } from 'node:dns/promises';
import { errorCode } from './outbound-outcome.js';

/** All addresses of a name, v4 and v6, as text; rejects or gives none when there are none. */
export type AddressLookup = (hostname: string) => Promise<readonly string[]>;

/** A dead name server costs an attempt at most 2 s + 4 s (c-ares doubles), well inside its wall clock. */
const QUERY_TIMEOUT_MS = 2_000;
const QUERY_TRIES = 2;

/** Codes after which the name may still be known to the hosts file or a search domain. */
const NOT_IN_DNS: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA', 'ECONNREFUSED']);

/**
 * Asks DNS for A and AAAA over the event loop, and the system (hosts file, search domains of a cluster) for what DNS
 * does not know and for names of one label.
 *
 * Not `dns.lookup` for everything: getaddrinfo runs on libuv's thread pool, two at a time, and can't be cancelled, so
 * that two names with a dead name server would hold up all others (invariant 16).
 */
export function createSystemLookup(
  resolver = new Resolver({ timeout: QUERY_TIMEOUT_MS, tries: QUERY_TRIES }),
): AddressLookup {
  return async (hostname) => {
    if (!hostname.includes('.')) return systemAddresses(hostname);
    const [v4, v6] = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
    const addresses = [v4, v6].flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (addresses.length > 0) return addresses;
    const failure = [v4, v6].find(isFinal);
    if (failure !== undefined) throw failure.reason;
    return systemAddresses(hostname);
  };
}

function isFinal(answer: PromiseSettledResult<string[]>): answer is PromiseRejectedResult {
  return answer.status === 'rejected' && !NOT_IN_DNS.has(errorCode(answer.reason));
}

async function systemAddresses(hostname: string): Promise<string[]> {
  const answers = await hostsLookup(hostname, { all: true, order: 'verbatim' });
  return answers.map(({ address }) => address);
}
