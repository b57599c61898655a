import { setTimeout as sleep } from 'node:timers/promises';
import type { Clients } from './client.js';
import type { ForeignSystem } from './foreign-system.js';
import type { Random } from './random.js';
import type { Submission, SubmissionMix } from './submission.js';
import type { Tenant } from './tenants.js';

const LONGEST_PAUSE_MS = 600;
/** Submissions that may wait for an answer to a repeated request: those of a dead process do, until its locks expire. */
const MOST_WAITING = 80;
/** So many submissions go to one set of tenants. */
const SUBMISSIONS_A_GENERATION = 600;
const FOREIGN = 0.08;
/** Of the submissions that share their URL with no other. */
const PRECEDED = 0.04;
const WAIT_MS = 50;

export interface LoadParts {
  clients: Clients;
  /** First requests under way at once. */
  concurrency: number;
  mix: SubmissionMix;
  foreign: ForeignSystem;
  random: Random;
  createTenants: (generation: number) => Promise<Tenant[]>;
}

/** What clients do during a run, and what they were told. */
export class Load {
  readonly submissions: Submission[] = [];
  readonly tenants: Tenant[] = [];
  private readonly insisting = new Set<Promise<void>>();
  private generation: { first: number; tenants: Promise<Tenant[]> } | null = null;
  private generations = 0;

  constructor(private readonly parts: LoadParts) {}

  /** To be called before anything fails, so that the load can begin at once. */
  async prepare(): Promise<void> {
    await this.tenantsNow();
  }

  /** Goes on until it is told that it is enough; what has to be repeated then is repeated afterwards, see `ended`. */
  async run(isEnough: () => boolean): Promise<void> {
    const client = async (number: number): Promise<void> => {
      const random = this.parts.random.fork(`client ${number}`);
      while (!isEnough()) await this.submitNext(random);
    };
    await Promise.all(Array.from({ length: this.parts.concurrency }, (_, number) => client(number)));
    await this.parts.foreign.ended();
  }

  /** Waits until every client has got its last answer, or has given up. */
  async ended(): Promise<void> {
    while (this.insisting.size > 0) await Promise.all(this.insisting);
  }

  private async submitNext(random: Random): Promise<void> {
    const { mix, foreign } = this.parts;
    while (this.insisting.size >= MOST_WAITING) await sleep(WAIT_MS);
    const group = mix.next(await this.tenantsNow());
    this.submissions.push(...group);
    if (random.chance(FOREIGN)) foreign.submit(group[0]!, random);
    const [first] = group;
    if (first?.kind === 'video' && group.length === 1 && random.chance(PRECEDED))
      this.inBackground(foreign.precede(first).then(() => this.deliver(first, random)));
    else await Promise.all(group.map((submission) => this.deliver(submission, random)));
    await sleep(random.whole(0, LONGEST_PAUSE_MS));
  }

  private async deliver(submission: Submission, random: Random): Promise<void> {
    const { clients } = this.parts;
    if (await clients.begin(submission, random)) return;
    this.inBackground(clients.insist(submission, random));
  }

  private inBackground(work: Promise<void>): void {
    const insisting = work.finally(() => this.insisting.delete(insisting));
    this.insisting.add(insisting);
  }

  private tenantsNow(): Promise<Tenant[]> {
    const { mix, createTenants } = this.parts;
    if (!this.generation || mix.count - this.generation.first >= SUBMISSIONS_A_GENERATION) {
      const tenants = createTenants(this.generations++);
      this.generation = { first: mix.count, tenants };
      void tenants.then(
        (made) => this.tenants.push(...made),
        () => undefined,
      );
    }
    return this.generation.tenants;
  }
}
