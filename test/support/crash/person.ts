import type { Random } from './random.js';
import type { Records, Row } from './records.js';
import type { Replica } from './replica.js';
import type { Upstream } from './upstream.js';

export type Decision = { decision: 'adopt'; tensorpix_id: number } | { decision: 'resubmit' } | { decision: 'fail' };

/** Decides about jobs whose outcome the gateway cannot find out, as somebody who can see TensorPix's own pages. */
export class Person {
  readonly decided = { adopt: 0, resubmit: 0, fail: 0 };
  /** Rows that were failed by hand. */
  readonly failed = new Set<string>();
  /** Answers other than a success, newest last. */
  readonly refusals: string[] = [];

  constructor(
    private readonly parts: {
      records: Records;
      upstream: Upstream;
      replica: Replica;
      adminKey: string;
      random: Random;
    },
  ) {}

  get count(): number {
    return this.decided.adopt + this.decided.resubmit + this.decided.fail;
  }

  /** Only when nothing is under way any more: what TensorPix has then is all that it will have. */
  async decideAbout(row: Row): Promise<void> {
    const decision = await this.decide(row);
    const answer = await fetch(`${this.parts.replica.url}/v1/tenants/${row.tenant_id}/jobs/${row.id}/resolve`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.parts.adminKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(decision),
    });
    const text = await answer.text();
    if (!answer.ok) {
      this.refusals.push(`${row.id} ${JSON.stringify(decision)} answered ${answer.status} ${text}`);
      return;
    }
    this.decided[decision.decision] += 1;
    if (decision.decision === 'fail') this.failed.add(row.id);
  }

  private async decide(row: Row): Promise<Decision> {
    const { records, upstream, random } = this.parts;
    const owned = await records.ownedIds();
    const url = String(row.input['video_url']);
    const job = upstream.jobsOf(url).find((each) => !owned.has(each.id) && upstream.isMadeFor(each, row));
    if (job) return { decision: 'adopt', tensorpix_id: job.id };
    return { decision: row.strict || random.chance(0.5) ? 'fail' : 'resubmit' };
  }
}

export function waitsForPerson({ status, status_reason }: Row): boolean {
  return status === 'unconfirmed' && status_reason === 'outcome_unknown';
}
