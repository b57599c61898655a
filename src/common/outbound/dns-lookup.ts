import { lookup as systemLookup, Resolver } from 'node:dns/promises';
import { errorCode } from './outbound-outcome.js';
import { addressesInHosts, SYSTEM_FILES, searchDomains, type SystemFiles } from './system-files.js';

/** All addresses of a name, v4 and v6, as text; rejects or gives none when there are none. */
export type AddressLookup = (hostname: string) => Promise<readonly string[]>;

/** A dead name server costs an attempt at most 2 s + 4 s (c-ares doubles), well inside its wall clock. */
const QUERY_TIMEOUT_MS = 2_000;
const QUERY_TRIES = 2;

/** Codes that say that DNS has no address for a name. */
const UNKNOWN: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA']);
/** Codes after which another name may still have an answer, as resolv.conf(5) has it: whose server fails or refuses, answers. */
const ANSWERED: ReadonlySet<string> = new Set([...UNKNOWN, 'ESERVFAIL', 'EREFUSED']);

/**
 * Asks DNS for A and AAAA over the event loop. For what DNS has no address for it reads the hosts file and asks for the name in
 * the search domains of the machine, which in a cluster is how `service.namespace` is found. Names of one label are the
 * system's to resolve, since only the machine and its own network know them; so is all else where no name server listens.
 *
 * Not `dns.lookup` for everything: getaddrinfo runs on libuv's thread pool, two at a time, and can't be cancelled, so
 * that two names with a dead name server would hold up all others (invariant 16). Nor for what DNS does not know: a name
 * server can say so first, and then be silent.
 */
export function createSystemLookup(
  resolver = new Resolver({ timeout: QUERY_TIMEOUT_MS, tries: QUERY_TRIES }),
  files = SYSTEM_FILES,
): AddressLookup {
  return async (hostname) => {
    if (!hostname.includes('.')) return systemAddresses(hostname);
    try {
      return await ask(resolver, hostname);
    } catch (error) {
      if (errorCode(error) === 'ECONNREFUSED') return systemAddresses(hostname);
      const listed = await addressesInHosts(files, hostname);
      if (listed.length > 0) return listed;
      if (!ANSWERED.has(errorCode(error))) throw error;
      return await search(resolver, hostname, files, error);
    }
  };
}

/** @throws what c-ares does when there is no address; with another code than those of UNKNOWN if it is for that */
async function ask(resolver: Resolver, hostname: string): Promise<string[]> {
  const answers = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
  const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
  const failures = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as Error] : []));
  const failure = failures.find((each) => !UNKNOWN.has(errorCode(each))) ?? failures[0];
  if (addresses.length === 0 && failure !== undefined) throw failure;
  return addresses;
}

/**
 * The addresses in the first search domain that has the name. A domain whose name server fails does not keep the others from
 * being asked.
 *
 * @throws when none has it: the failure that leaves this open, if there was one, or what was said of the name itself
 */
async function search(resolver: Resolver, hostname: string, files: SystemFiles, first: unknown): Promise<string[]> {
  let failure = first;
  for (const domain of await searchDomains(files)) {
    try {
      return await ask(resolver, `${hostname}.${domain}`);
    } catch (error) {
      if (!ANSWERED.has(errorCode(error))) throw error;
      if (UNKNOWN.has(errorCode(failure))) failure = error;
    }
  }
  throw failure;
}

async function systemAddresses(hostname: string): Promise<string[]> {
  const answers = await systemLookup(hostname, { all: true, order: 'verbatim' });
  return answers.map(({ address }) => address);
}
