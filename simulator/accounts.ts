import type { SimJob, SimRestoredVideo, SimVideo } from './job.js';
import type { SimulatorOptions } from './options.js';
import { RankedList } from './ranked-list.js';

/** Money is counted in ten-thousandths of a Credit, the precision of TensorPix's decimal strings. */
export const UNITS_PER_CREDIT = 10_000;

/** An account of TensorPix; several tokens may belong to it (a replaced one). */
export class SimAccount {
  readonly email: string;
  chargedUnits = 0;
  refundedUnits = 0;
  jobsCreated = 0;
  jobsSeeded = 0;
  activeJobs = 0;
  endedJobs = 0;
  imagesCreated = 0;
  watermarkedToday = { day: 0, count: 0 };
  storageBytes = 0;
  /** null: as the simulator's setting. */
  queueMs: number | null = null;
  durationMs: number | null = null;
  pace: number | null = null;
  readonly jobList = new RankedList<SimJob>();
  readonly videoList = new RankedList<SimVideo>();
  readonly restoredList = new RankedList<SimRestoredVideo>();

  constructor(
    readonly id: number,
    public creditUnits: number,
    public storageLimitBytes: number | null,
  ) {
    this.email = `account-${id}@example.com`;
  }

  charge(units: number): void {
    this.creditUnits -= units;
    this.chargedUnits += units;
  }

  refund(units: number): void {
    this.creditUnits += units;
    this.refundedUnits += units;
  }

  /** A free job needs no credits. */
  canPay(units: number): boolean {
    return units === 0 || this.creditUnits >= units;
  }

  get isStorageFull(): boolean {
    return this.storageLimitBytes !== null && this.storageBytes >= this.storageLimitBytes;
  }
}

export class AccountBook {
  readonly byId = new Map<number, SimAccount>();
  readonly byToken = new Map<string, SimAccount>();
  private readonly revoked = new Set<string>();

  constructor(private readonly options: SimulatorOptions) {
    this.reset();
  }

  reset(): void {
    this.byId.clear();
    this.byToken.clear();
    this.revoked.clear();
    for (const token of this.options.tokens) this.create(token);
  }

  /** The account of a token, created on the fly if the options say so; null is a 401. */
  find(token: string): SimAccount | null {
    const known = this.byToken.get(token);
    if (known !== undefined) return known;
    return this.options.autoCreateAccounts && !this.revoked.has(token) ? this.create(token) : null;
  }

  /** Creates an account with the token, or adds the token to `owner`. */
  create(token: string, owner?: SimAccount): SimAccount {
    const account = owner ?? this.open();
    this.revoked.delete(token);
    this.byToken.set(token, account);
    return account;
  }

  /** The token answers 401 from now on; the account and its jobs stay. */
  revoke(token: string): void {
    this.byToken.delete(token);
    this.revoked.add(token);
  }

  private open(): SimAccount {
    const id = this.byId.size + 1;
    const account = new SimAccount(id, toUnits(this.options.credits), this.options.storageLimitBytes);
    this.byId.set(id, account);
    return account;
  }
}

export function toUnits(credits: number): number {
  return Math.round(credits * UNITS_PER_CREDIT);
}

/** A decimal string with four places, as `cost_usd` and `balance_usd`. */
export function formatCredits(units: number): string {
  const whole = Math.floor(Math.abs(units) / UNITS_PER_CREDIT);
  const rest = String(Math.abs(units) % UNITS_PER_CREDIT).padStart(4, '0');
  return `${units < 0 ? '-' : ''}${whole}.${rest}`;
}
