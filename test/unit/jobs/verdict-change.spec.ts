import { describe, expect, it } from '@jest/globals';
import { CALLS_IN_VAIN, verdictChange } from '../../../src/modules/jobs/reconciliation/verdict-change.js';
import { jobRecord, T0 } from '../../support/job-records.js';

function after(ms: number): Date {
  return new Date(T0.getTime() + ms);
}

describe('the end of a clean look', () => {
  it('should be as late as it can be: the next one has to begin a while after it', () => {
    const job = jobRecord({ status: 'unconfirmed', tensorpixId: null, cleanLooks: 0 });
    const [begun, now, ended] = [T0, after(1_000), after(5_000)];
    const change = verdictChange(job, { kind: 'clean' }, begun, now, ended);
    expect(change?.after).toMatchObject({ cleanLooks: 1, cleanLookAt: ended, updatedAt: now });
  });
});

describe('a job that TensorPix does not have', () => {
  const absent = (unknownCalls: number, fields: Parameters<typeof jobRecord>[0] = {}) => {
    const row = { status: 'unconfirmed', tensorpixId: null, cleanLooks: 1, attempt: 40, ...fields } as const;
    return verdictChange(jobRecord(row), { kind: 'absent' }, T0, T0, T0, unknownCalls);
  };

  it('should be sent again at once, then later each time', () => {
    const pauses = [1, 2, 3, 4].map((calls) => {
      const { status, dueAt } = absent(calls)?.after ?? {};
      return [status, (dueAt?.getTime() ?? 0) - T0.getTime()];
    });
    expect(pauses.map(([status]) => status)).toEqual(Array(4).fill('submitting'));
    expect(pauses.map(([, pauseMs]) => pauseMs)).toEqual([0, 2_000, 4_000, 8_000]);
    expect(absent(2)?.events.at(-1)?.data).toMatchObject({ due_at: after(2_000).toISOString() });
  });

  it('should be left to a person after as many calls in vain, and stand in no way', () => {
    const change = absent(CALLS_IN_VAIN);
    expect(change?.after).toMatchObject({ status: 'unconfirmed', statusReason: 'outcome_unknown', cleanLooks: 2 });
    expect(change?.events.map(({ type, data }) => [type, data.reason])).toEqual([
      ['job.not_found', undefined],
      ['job.undecided', 'sent_in_vain'],
    ]);
  });

  it('should be canceled instead when that was asked for', () => {
    expect(absent(CALLS_IN_VAIN, { cancelRequestedAt: T0 })?.after.status).toBe('canceled');
  });
});
