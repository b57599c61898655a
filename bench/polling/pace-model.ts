import { Outlook } from '../../src/modules/jobs/polling/outlook.js';
import { ListSweep, PAGE_SIZE, planLook, type ListKnowledge } from '../../src/modules/jobs/polling/look-plan.js';
import { Random } from '../../test/support/crash/random.js';

/** What looking at a tenant's jobs came to. */
export interface PaceResult {
  /** between the end of a job at TensorPix and the look that saw it, seconds */
  medianDelayS: number;
  p95DelayS: number;
  /** calls a job and minute */
  callsPerJobMinute: number;
}

interface ModelJob {
  submittedAtS: number;
  startsAtS: number;
  endsAtS: number;
}

/** Durations of 2 to 40 minutes, evenly on a logarithmic scale, after a minute in the queue on average. */
const SHORTEST_S = 120;
const LONGEST_S = 2_400;
const MEAN_QUEUE_S = 60;
/** An ETA is off by up to so much, anew at every look. */
const ETA_NOISE = 0.4;

export const BOUNDS = { minMs: 5_000, maxMs: 60_000 };

/** A tenant that always has so many jobs under way, looked at for so long by a clock of its own. */
export class PaceModel {
  private readonly random: Random;

  constructor(
    private readonly active: number,
    private readonly hours: number,
    seed: number,
  ) {
    this.random = new Random(seed);
  }

  /** As the gateway does: its own planner and pace. */
  gateway(): PaceResult {
    const jobs = this.firstJobs();
    const delays: number[] = [];
    let known: ListKnowledge | null = null;
    let calls = 0;
    for (let nowS = 0; nowS < this.hours * 3_600;) {
      for (const [i, job] of jobs.entries())
        if (job.endsAtS <= nowS) {
          delays.push(nowS - job.endsAtS);
          jobs[i] = this.job(job.endsAtS + this.random.next() * 2 * (nowS - job.endsAtS));
        }
      const plan = planLook(jobs.length, known);
      if (plan.by === 'id') calls += jobs.length;
      else {
        const sweep = new ListSweep(plan);
        for (let unseen = jobs.length; sweep.next !== null; calls += 1) {
          const entries = Math.min(PAGE_SIZE, jobs.length - sweep.next);
          unseen -= entries;
          sweep.read({ entries, hasNext: unseen > 0, found: entries }, unseen);
        }
        known = sweep.knowledge;
      }
      nowS += this.outlook(jobs, nowS).nextLookInMs(false) / 1_000;
    }
    return this.result(delays, calls);
  }

  /** Each job asked for by id, every so many seconds. */
  fixed(intervalS: number): PaceResult {
    const delays: number[] = [];
    for (let i = 0; i < 10_000; i += 1) {
      const { submittedAtS, endsAtS } = this.job(0);
      const phaseS = this.random.next() * intervalS;
      const looks = Math.ceil((endsAtS - submittedAtS - phaseS) / intervalS);
      delays.push(phaseS + looks * intervalS - (endsAtS - submittedAtS));
    }
    return this.result(delays, (this.active * this.hours * 3_600) / intervalS);
  }

  private outlook(jobs: ModelJob[], nowS: number): Outlook {
    const queued = jobs.filter(({ startsAtS }) => startsAtS > nowS).map(({ submittedAtS }) => nowS - submittedAtS);
    const outlook = new Outlook(BOUNDS, queued.length > 0 ? 1_000 * Math.min(...queued) : null, () =>
      this.random.next(),
    );
    for (const { startsAtS, endsAtS } of jobs) {
      const etaSeconds = (endsAtS - nowS) * (1 + ETA_NOISE * (2 * this.random.next() - 1));
      outlook.note(startsAtS > nowS ? { status: 'queued', etaSeconds: null } : { status: 'processing', etaSeconds });
    }
    return outlook;
  }

  private result(delays: number[], calls: number): PaceResult {
    const sorted = [...delays].sort((a, b) => a - b);
    const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
    return {
      medianDelayS: at(0.5),
      p95DelayS: at(0.95),
      callsPerJobMinute: calls / this.active / (this.hours * 60),
    };
  }

  private firstJobs(): ModelJob[] {
    return Array.from({ length: this.active }, () => this.job(-this.random.next() * LONGEST_S)).map((job) =>
      job.endsAtS <= 0 ? this.job(0) : job,
    );
  }

  private job(submittedAtS: number): ModelJob {
    const startsAtS = submittedAtS - Math.log(1 - this.random.next()) * MEAN_QUEUE_S;
    const endsAtS = startsAtS + SHORTEST_S * (LONGEST_S / SHORTEST_S) ** this.random.next();
    return { submittedAtS, startsAtS, endsAtS };
  }
}
