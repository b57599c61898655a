import { describe, it } from '@jest/globals';
import fc from 'fast-check';
import { observe, observeMissing } from '../../../src/modules/jobs/job-observation.js';
import type { JobRecord } from '../../../src/modules/jobs/job-record.js';
import { canMove, isTerminal } from '../../../src/modules/jobs/job-state.js';
import { readJob } from '../../../src/modules/tensorpix/answers.js';
import { RESULT, at, jobRecord } from '../../support/job-records.js';

/** What TensorPix may show of a job: any status, known or not, in any order, with any progress, or nothing at all. */
const video = fc.constantFrom(null, {}, { id: RESULT.id, file: RESULT.url }, { id: RESULT.id, file: null });
const status = fc.oneof(
  fc.constantFrom(0, 1, 2, -1, -2, '0', '1', '2', 'Finished', 'In Queue', 'Processing'),
  fc.integer(),
  fc.string(),
  fc.constant(null),
);
const answer = fc.record(
  {
    id: fc.constant(123),
    status,
    processing_progress: fc.oneof(fc.double(), fc.double({ min: 0, max: 1 }), fc.constant(null), fc.string()),
    eta_s: fc.oneof(fc.double(), fc.nat(), fc.constant(null)),
    cost_usd: fc.oneof(fc.constantFrom('1.2500', null, 'NaN'), fc.double()),
    output_video: video,
  },
  { requiredKeys: ['id'] },
);
const look = fc.record({
  afterMs: fc.nat(400_000),
  answer: fc.option(answer, { nil: 'missing' as const, freq: 4 }),
});

/** Applies looks one after another; `check` sees each step that changed the row. */
function follow(
  looks: { afterMs: number; answer: unknown }[],
  check: (before: JobRecord, after: JobRecord) => void,
): void {
  let job = jobRecord();
  let nowMs = 0;
  for (const { afterMs, answer: json } of looks) {
    nowMs += afterMs;
    const seen = json === 'missing' ? null : readJob(json);
    const observed = seen === null ? observeMissing(job, at(nowMs)) : observe(job, seen, at(nowMs));
    if ('ignored' in observed) continue;
    const { before, after, events, webhooks } = observed.change;
    if (after.sequence !== before.sequence + events.length) throw new Error('a gap in the numbers');
    if (events.some(({ sequence }, i) => sequence !== before.sequence + 1 + i)) throw new Error('a gap in the events');
    if (webhooks.some(({ body }) => Buffer.byteLength(body) >= 20_000)) throw new Error('a large body');
    check(before, after);
    job = after;
  }
}

function holds(check: (before: JobRecord, after: JobRecord) => boolean): void {
  const property = fc.property(fc.array(look, { maxLength: 40 }), (looks) => {
    follow(looks, (before, after) => {
      if (!check(before, after)) throw new Error(`${before.status} became ${after.status}`);
    });
  });
  fc.assert(property, { numRuns: 500 });
}

describe('any sequence of observations (invariant 5)', () => {
  it('should never leave a terminal state', () => {
    holds((before) => !isTerminal(before.status));
  });

  it('should only make moves of the table', () => {
    holds((before, after) => before.status === after.status || canMove(before.status, after.status));
  });

  it('should never let progress decrease or leave 0 to 1', () => {
    holds(({ progress: was }, { progress: is }) =>
      is === null ? was === null : is >= (was ?? 0) && is >= 0 && is <= 1,
    );
  });

  it('should keep progress and the numbers of a row finite', () => {
    holds((_, { progress, etaSeconds, reportedProgress }) =>
      [progress ?? 0, etaSeconds ?? 0, reportedProgress].every(Number.isFinite),
    );
  });

  it('should set the end exactly when the job ends', () => {
    holds((_, after) => isTerminal(after.status) === (after.finishedAt !== null));
  });

  it('should never change whose job it is, nor its id at TensorPix', () => {
    holds((before, after) => before.tensorpixId === after.tensorpixId && before.tenantId === after.tenantId);
  });
});
