import { isTerminal, type JobStatus } from '../../src/modules/jobs/job-state.js';
import { CLOCK_SLACK_MS } from '../../src/modules/jobs/reconciliation/could-be-ours.js';
import { sameKey, visible } from './requests.js';
import { isUndecided, type Row } from './submission-model.js';
import type { ModelJob } from './tensorpix-model.js';
import type { World } from './world.js';

/** A promise of the protocol that was broken. */
export class Violation extends Error {}

/** Looks at the true state of the world after each move. */
export class Watch {
  private readonly ends = new Map<Row, JobStatus>();

  constructor(private readonly world: World) {}

  /** @throws Violation */
  always(): void {
    this.chargesOnce();
    this.ownsOnce();
    this.adoptsNothingForeign();
    this.confusesNobody();
    this.sendsStrictOnce();
    this.neverLeavesAnEnd();
    this.forgetsNoAnswer();
  }

  /** @throws Violation when something is left that is neither decided nor waiting for a person */
  finally(): void {
    const { gateway, tensorpix } = this.world;
    const blocked = (row: Row) =>
      gateway.unknown.some((other) => other !== row && isUndecided(other) && equal(row, other));
    for (const row of gateway.stored) {
      const { status, tensorpixId } = row.record;
      if (tensorpixId !== null || isTerminal(status) || isUndecided(row) || row.request.strict) continue;
      if (status === 'submitting' && blocked(row)) continue;
      throw new Violation(`request ${row.request.number} is stuck as ${status}`);
    }
    if (gateway.requests.length > gateway.stored.length) throw new Violation('a request was lost');
    for (const job of tensorpix.jobs) {
      if (job.madeFor === null || gateway.ownerOf(job.id) || this.isTainted(job)) continue;
      const open = [...gateway.stored.filter(isUndecided), ...gateway.givenUp];
      if (!open.some((row) => sameKey(row.request.name, job.request)))
        throw new Violation(`job ${job.id} of request ${job.madeFor} belongs to nobody`);
    }
  }

  /** As many jobs as requests at most, for the requests that are interchangeable. */
  private chargesOnce(): void {
    const { gateway, tensorpix } = this.world;
    for (const { name } of gateway.requests) {
      const asked = gateway.requests.filter((request) => request.name === name).length;
      const made = tensorpix.jobs.filter(({ madeFor, request }) => madeFor !== null && request === name).length;
      if (made > asked) throw new Violation(`double charge: ${made} jobs for ${asked} requests "${name}"`);
    }
  }

  private ownsOnce(): void {
    const ids = this.world.gateway.stored.flatMap(({ record: { tensorpixId: id } }) => (id === null ? [] : [id]));
    if (new Set(ids).size < ids.length) throw new Violation('two rows own one job');
  }

  private adoptsNothingForeign(): void {
    for (const { row, job } of this.owned()) {
      if (job.madeFor !== null) continue;
      if (visible(job.request) !== visible(row.request.name))
        throw new Violation(`wrong adoption: a foreign "${job.request}" for a "${row.request.name}"`);
      const calledMs = this.world.msOf(row.record.calledAt);
      const { id, started, madeMs } = job;
      const seenAt = this.world.looks.firstSeenAt(id);
      if (seenAt !== null && this.world.msOf(seenAt) < calledMs)
        throw new Violation('wrong adoption: a foreign job that was seen before the call');
      const doubtMs = CLOCK_SLACK_MS + 1_000 + this.world.weather.answerMs;
      if (started === 'made' && madeMs < calledMs - doubtMs)
        throw new Violation('wrong adoption: a foreign job that was started before the call');
    }
  }

  /** A row has a job that was made for what it asks, unless a foreign job is in between that nothing tells from ours. */
  private confusesNobody(): void {
    for (const { row, job } of this.owned())
      if (job.madeFor !== null && job.request !== row.request.name && !this.isTainted(job))
        throw new Violation(`wrong adoption: a job "${job.request}" for a request "${row.request.name}"`);
  }

  private sendsStrictOnce(): void {
    if (this.world.gateway.rows.some(({ request, calls }) => request.strict && calls > 1))
      throw new Violation('a strict request was sent again');
  }

  private neverLeavesAnEnd(): void {
    for (const row of this.world.gateway.stored) {
      const { status } = row.record;
      const end = this.ends.get(row);
      if (end !== undefined && end !== status) throw new Violation(`${end} became ${status}`);
      if (isTerminal(status)) this.ends.set(row, status);
    }
  }

  private forgetsNoAnswer(): void {
    const { told } = this.world.gateway;
    for (const { row, id } of told)
      if (!this.world.gateway.ownerOf(id) && !row.duplicates.includes(id))
        throw new Violation(`the id of request ${row.request.number} was told and lost`);
  }

  private owned(): { row: Row; job: ModelJob }[] {
    return this.world.gateway.stored.flatMap((row) => {
      const job = this.world.tensorpix.jobs.find(({ id }) => id === row.record.tensorpixId);
      return job ? [{ row, job }] : [];
    });
  }

  /** A foreign job was adopted for a request of the same key: what was meant for it can be taken for another's. */
  private isTainted({ request }: ModelJob): boolean {
    return this.owned().some(({ row, job }) => job.madeFor === null && sameKey(row.request.name, request));
  }
}

function equal(one: Row, other: Row): boolean {
  return sameKey(one.request.name, other.request.name);
}
