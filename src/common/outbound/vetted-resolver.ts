import { isIP, isIPv4 } from 'node:net';
import { classifyAddress, isAllowed } from './address-class.js';
import { describeClass, isLocalhostName, LOOPBACK_ADDRESSES } from './callback-url.js';
import type { Cidr } from './cidr.js';
import type { AddressLookup } from './dns-lookup.js';
import { errorCode, OutboundFailure } from './outbound-outcome.js';

export interface VettedResolverOptions {
  readonly lookup: AddressLookup;
  readonly allowedCidrs: readonly Cidr[];
  /** Milliseconds for which an answer is used again; 0 asks every time. */
  readonly ttlMs: number;
}

/** Names remembered at once; the one longest unused goes first. */
const MAX_NAMES = 2_000;

interface Answer {
  readonly addresses: readonly string[];
  readonly expiresAtMs: number;
}

/**
 * Turns a host into addresses that a callback may connect to. One forbidden address among those of a name refuses them
 * all: whoever mixes them hopes for the other one to be taken. Only good answers are remembered.
 */
export class VettedResolver {
  private readonly answers = new Map<string, Answer>();
  private readonly underWay = new Map<string, Promise<readonly string[]>>();

  constructor(private readonly options: VettedResolverOptions) {}

  /** The remembered or evident addresses of a host (a name, or an address without brackets), IPv4 first; else null. */
  known(host: string): readonly string[] | null {
    if (isIP(host) !== 0) return this.vet([host], 'is');
    if (isLocalhostName(host)) return this.vetLocalhost();
    const answer = this.answers.get(host);
    return answer !== undefined && answer.expiresAtMs > performance.now() ? answer.addresses : null;
  }

  /**
   * Asks for the addresses of a name, once for all who want the same name at the same time.
   *
   * @throws OutboundFailure `dns` or `forbidden_address`.
   */
  ask(name: string): Promise<readonly string[]> {
    const asked = this.underWay.get(name);
    if (asked !== undefined) return asked;
    const question = this.lookupAndVet(name).finally(() => this.underWay.delete(name));
    this.underWay.set(name, question);
    return question;
  }

  private async lookupAndVet(name: string): Promise<readonly string[]> {
    const found = await this.lookup(name);
    if (found.length === 0) throw new OutboundFailure('dns', 'the host name has no address');
    const addresses = this.vet([...new Set(found)].sort(byFamily), 'resolves to');
    this.remember(name, addresses);
    return addresses;
  }

  private async lookup(name: string): Promise<readonly string[]> {
    try {
      return await this.options.lookup(name);
    } catch (error) {
      throw new OutboundFailure('dns', `the host name does not resolve (${errorCode(error)})`);
    }
  }

  private vet(addresses: readonly string[], verb: string): readonly string[] {
    const forbidden = addresses.find((address) => !isAllowed(address, this.options.allowedCidrs));
    if (forbidden === undefined) return addresses;
    // The address itself stays out: a tenant should not learn how our network names things.
    throw new OutboundFailure('forbidden_address', `the host ${verb} ${describeClass(classifyAddress(forbidden))}`);
  }

  /** Both loopback addresses are the machine itself: the allowed one of them is good without the other. */
  private vetLocalhost(): readonly string[] {
    const allowed = LOOPBACK_ADDRESSES.filter((address) => isAllowed(address, this.options.allowedCidrs));
    return allowed.length > 0 ? allowed : this.vet(LOOPBACK_ADDRESSES, 'is');
  }

  private remember(name: string, addresses: readonly string[]): void {
    if (this.options.ttlMs <= 0) return;
    this.answers.delete(name);
    this.answers.set(name, { addresses, expiresAtMs: performance.now() + this.options.ttlMs });
    if (this.answers.size <= MAX_NAMES) return;
    const oldest = this.answers.keys().next();
    if (oldest.done !== true) this.answers.delete(oldest.value);
  }
}

/** IPv4 first: many clusters have no route for IPv6, and some drop it without a word. The order is kept otherwise. */
function byFamily(a: string, b: string): number {
  return Number(isIPv4(b)) - Number(isIPv4(a));
}
