import { describe, expect, it } from '@jest/globals';
import {
  IllegalTransitionError,
  JOB_STATUSES,
  canMove,
  isAtTensorpix,
  isTerminal,
  nextState,
  type JobStatus,
} from '../../../src/modules/jobs/job-state.js';

/** Written down a second time, from the contract: a move that the code gains or loses shows up here. */
const MOVES: Record<JobStatus, JobStatus[]> = {
  submitting: ['unconfirmed', 'queued', 'processing', 'finished', 'failed', 'canceled'],
  unconfirmed: ['submitting', 'queued', 'processing', 'finished', 'failed', 'canceled'],
  queued: ['processing', 'finished', 'failed', 'canceled'],
  processing: ['finished', 'failed', 'canceled'],
  finished: [],
  failed: [],
  canceled: [],
};

const PAIRS = JOB_STATUSES.flatMap((from) => JOB_STATUSES.map((to) => ({ from, to, legal: MOVES[from].includes(to) })));

describe('the state table (invariant 5)', () => {
  it.each(PAIRS.filter(({ legal }) => legal))('should let a job go from $from to $to', ({ from, to }) => {
    expect(canMove(from, to)).toBe(true);
    expect(nextState(from, to)).toBe(to);
  });

  it.each(PAIRS.filter(({ legal }) => !legal))('should throw when a job would go from $from to $to', ({ from, to }) => {
    expect(canMove(from, to)).toBe(false);
    expect(() => nextState(from, to)).toThrow(IllegalTransitionError);
  });

  it('should call terminal exactly what has no exits', () => {
    expect(JOB_STATUSES.filter(isTerminal)).toEqual(['finished', 'failed', 'canceled']);
  });

  it('should look at TensorPix for queued and processing jobs only', () => {
    expect(JOB_STATUSES.filter(isAtTensorpix)).toEqual(['queued', 'processing']);
  });

  it('should reach every state but the first from the first', () => {
    const reached = new Set<JobStatus>(['submitting']);
    for (const from of reached) JOB_STATUSES.filter((to) => canMove(from, to)).forEach((to) => reached.add(to));
    expect([...reached].sort()).toEqual([...JOB_STATUSES].sort());
  });
});
