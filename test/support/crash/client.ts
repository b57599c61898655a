import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from './random.js';
import type { Replica } from './replica.js';
import type { Final, Submission, Try } from './submission.js';

const ANSWER_TIMEOUT_MS = 30_000;
const SHORTEST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 600;
/** A dead sender's key stays locked for longer than a minute of pauses. */
const IN_PROGRESS_PAUSE_MS = 2_500;
/** An outcome that is not known stays so for a while: a client need not ask for ever. */
const ASKS_ABOUT_UNKNOWN = 3;

/** The clients of a run: they repeat what has a key until it is answered, and nothing else. */
export class Clients {
  constructor(
    private readonly replicas: readonly Replica[],
    /** Ends the patience of all clients. */
    private readonly givingUp: AbortSignal,
  ) {}

  /** The same request once more, by a client that has had its answer. */
  async repeat(submission: Submission, random: Random): Promise<Try> {
    return this.ask(submission, await this.pickReplica(random));
  }

  /** Sends a submission once, to both replicas at once if it wants that; true when that is the end of it. */
  async begin(submission: Submission, random: Random): Promise<boolean> {
    const targets = submission.twice ? this.replicas : [await this.pickReplica(random)];
    const tries = await Promise.all(targets.map((replica) => this.send(submission, replica)));
    submission.final = tries.map((made) => finalOf(submission, made)).find((final) => final !== null) ?? null;
    return submission.final !== null;
  }

  /** Asks again, anywhere, until there is an answer that ends it. */
  async insist(submission: Submission, random: Random): Promise<void> {
    while (submission.final === null && !this.givingUp.aborted) {
      const last = submission.tries.at(-1);
      await sleep(random.whole(SHORTEST_PAUSE_MS, last?.status === 409 ? IN_PROGRESS_PAUSE_MS : LONGEST_PAUSE_MS));
      submission.final = finalOf(submission, await this.send(submission, await this.pickReplica(random)));
    }
  }

  /** As a load balancer does: one that is up, as soon as there is one. */
  private async pickReplica(random: Random): Promise<Replica> {
    for (;;) {
      const up = this.replicas.filter(({ isUp }) => isUp);
      if (up.length > 0 || this.givingUp.aborted) return random.pick(up.length > 0 ? up : this.replicas);
      await sleep(SHORTEST_PAUSE_MS);
    }
  }

  /** One request, which is noted. */
  private async send(submission: Submission, replica: Replica): Promise<Try> {
    const made = await this.ask(submission, replica);
    submission.tries.push(made);
    return made;
  }

  /** One request. The connection is lost with a process, and refused while there is none. */
  private ask(submission: Submission, replica: Replica): Promise<Try> {
    const { tenant, kind, body, key, prefer } = submission;
    const headers = {
      authorization: `Bearer ${tenant.key}`,
      'content-type': 'application/json',
      ...(key !== null && { 'idempotency-key': key }),
      ...(prefer !== null && { prefer }),
    };
    const url = `${replica.url}/v1/${kind}s`.replace('videos', 'jobs');
    return exchange(url, headers, JSON.stringify(body), replica.name);
  }
}

/** Null when the client has to ask again. */
function finalOf(submission: Submission, { status, code, id }: Try): Final | null {
  const { key, tries } = submission;
  if (status === 201 || status === 202) return 'accepted';
  if (code === 'ECONNREFUSED') return null;
  if (status === null) return key === null ? 'unheard' : null;
  if (status >= 500 || status === 429) {
    if (key === null) return 'failed';
    const asked = tries.filter((other) => other.status === status && other.id === id && id !== null).length;
    return asked >= ASKS_ABOUT_UNKNOWN ? 'failed' : null;
  }
  if (status === 409 && key !== null) return null;
  return 'refused';
}

async function exchange(url: string, headers: Record<string, string>, body: string, replica: string): Promise<Try> {
  const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
  try {
    const answer = await fetch(url, { method: 'POST', headers, body, signal });
    const { id, job_id, code } = (await answer.json()) as { id?: string; job_id?: string; code?: string };
    const replayed = answer.headers.get('idempotency-replayed') === 'true';
    return { replica, status: answer.status, id: id ?? job_id ?? null, code: code ?? null, replayed };
  } catch (error) {
    return { replica, status: null, id: null, code: codeOf(error), replayed: false };
  }
}

function codeOf(error: unknown): string {
  const { cause, name } = error as { cause?: { code?: string }; name?: string };
  return cause?.code ?? name ?? 'lost';
}
