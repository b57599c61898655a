import { describe, expect, it } from '@jest/globals';
import { verdictChange } from '../../../src/modules/jobs/reconciliation/verdict-change.js';
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
