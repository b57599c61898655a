import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  ALL_EXCLUSIONS,
  couldBeOurs,
  EXCLUSIONS,
  isAdoptable,
  toObservable,
  type Exclusion,
  type UnknownCall,
  type UnownedJob,
} from '../../../src/modules/jobs/reconciliation/could-be-ours.js';
import {
  CLEAN_CONDITIONS,
  judge,
  judgedFromMs,
  type AccountLook,
  type CleanCondition,
  type Verdict,
} from '../../../src/modules/jobs/reconciliation/judgement.js';
import { observableKey, observableOf } from '../../../src/modules/jobs/reconciliation/observable-key.js';
import type { ShownRequest } from '../../../src/modules/tensorpix/answers.js';
import { at } from '../../support/job-records.js';

const URL = 'https://media.example.com/in.mp4';
const INPUT = { video_url: URL, ml_models: [1, 4], codec: 'libx264', grain: 0.5, preview: false };
const TIMING = { callTimeoutMs: 1_000, graceMs: 4_000 };
/** The call of `unknownCall()` began at 10 s and ended at 11 s: looks count from 16 s on. */
const COUNTS_FROM_MS = 16_000;

function unknownCall(overrides: Partial<UnknownCall> = {}): UnknownCall {
  const input = overrides.input ?? INPUT;
  const unknownSince = overrides.unknownSince ?? at(11_000);
  return {
    id: 'a',
    key: observableKey(input),
    observable: observableOf(input),
    input,
    calledAt: at(10_000),
    unknownSince,
    equalsUnknownSince: unknownSince,
    cleanLooks: 0,
    cleanLookAt: null,
    doubtedSince: null,
    leftToPerson: false,
    givenUp: false,
    ...overrides,
  };
}

/** As TensorPix shows the job that the call made. */
function shownJob(overrides: Partial<UnownedJob> = {}, shown: Partial<ShownRequest> = {}): UnownedJob {
  return {
    id: 1,
    startedAt: at(10_500),
    firstSeenAt: at(12_000),
    status: 'queued',
    costCredits: '1.0000',
    ...overrides,
    shown: toObservable({
      externalUrl: URL,
      inputVideoId: 5,
      modelIds: [4, 1],
      fields: { codec: 'libx264', grain: '0.5000', preview: false, comparison: null },
      ...shown,
    }),
  };
}

/** A look that counts, and shows nothing. */
function look(overrides: Partial<AccountLook> = {}): AccountLook {
  return {
    begunAt: at(20_000),
    complete: true,
    searchedBeyond: true,
    holdsNewest: true,
    showsAsSent: true,
    unowned: [],
    traces: [],
    inFlight: new Set(),
    ...overrides,
  };
}

function verdicts(calls: UnknownCall[], shown: AccountLook): Record<string, Verdict> {
  return Object.fromEntries(judge(calls, shown, TIMING));
}

function verdict(call: UnknownCall, shown: AccountLook): Verdict {
  return verdicts([call], shown)[call.id] as Verdict;
}

describe('a job that TensorPix shows', () => {
  it.each<[string, UnownedJob]>([
    ['as the call sent it', shownJob()],
    ['started at the moment of the call', shownJob({ startedAt: at(10_000) })],
    ['started long after it', shownJob({ startedAt: at(900_000) })],
    ['started so little before it that the clock of whole seconds explains it', shownJob({ startedAt: at(8_000) })],
    ['without a start', shownJob({ startedAt: null })],
    ['first seen at the moment of the call', shownJob({ firstSeenAt: at(10_000) })],
    ['never noted', shownJob({ firstSeenAt: null })],
    ['with another spelling of the URL', shownJob({}, { externalUrl: 'HTTPS://media.example.com:443/in.mp4' })],
    ['without a URL', shownJob({}, { externalUrl: null })],
    ['with its models in another order', shownJob({}, { modelIds: [1, 4] })],
    ['without models', shownJob({}, { modelIds: null })],
    ['without fields', shownJob({}, { fields: {} })],
    ['with fields that are null', shownJob({}, { fields: { codec: null, grain: undefined } })],
    ['with fields that were not sent', shownJob({}, { fields: { comparison: true, output_resolution: 1920 } })],
    ['with a number as text', shownJob({}, { fields: { grain: '0.50' } })],
    ['with a number that is no number', shownJob({}, { fields: { grain: 'half' } })],
    ['that has ended', shownJob({ status: 'failed' })],
    ['with a lower id than others', shownJob({ id: 1 })],
  ])('could be ours: %s', (_, job) => {
    expect(couldBeOurs(unknownCall(), job, ALL_EXCLUSIONS)).toBe(true);
  });

  it.each<[Exclusion, string, UnownedJob]>([
    ['startedBeforeCall', 'a job that started before', shownJob({ startedAt: at(7_999) })],
    ['seenBeforeCall', 'a job that was seen before', shownJob({ firstSeenAt: at(9_999) })],
    [
      'seenBeforeCall',
      'a job that was seen before, without a start',
      shownJob({ startedAt: null, firstSeenAt: at(1) }),
    ],
    ['otherUrl', 'another URL', shownJob({}, { externalUrl: `${URL}?x` })],
    ['otherModels', 'another model', shownJob({}, { modelIds: [1, 5] })],
    ['otherModels', 'a model more', shownJob({}, { modelIds: [1, 4, 5] })],
    ['otherModels', 'no model', shownJob({}, { modelIds: [] })],
    ['otherFields', 'another text', shownJob({}, { fields: { codec: 'libx265' } })],
    ['otherFields', 'another number', shownJob({}, { fields: { grain: 0.6 } })],
    ['otherFields', 'another number as text', shownJob({}, { fields: { grain: '0.6' } })],
    ['otherFields', 'another truth', shownJob({}, { fields: { preview: true } })],
  ])('is excluded by %s alone: %s', (name, _, job) => {
    const call = unknownCall();
    expect(couldBeOurs(call, job, ALL_EXCLUSIONS)).toBe(false);
    expect(ALL_EXCLUSIONS.filter((exclusion) => EXCLUSIONS[exclusion](call, job))).toEqual([name]);
  });

  it('is adoptable with its URL only', () => {
    expect([isAdoptable(shownJob()), isAdoptable(shownJob({}, { externalUrl: null }))]).toEqual([true, false]);
  });

  it('is not told apart by a field that was sent as null or not at all', () => {
    const call = unknownCall({ input: { ...INPUT, codec: null, comparison: undefined } });
    const job = shownJob({}, { fields: { codec: 'libx265', comparison: true } });
    expect(couldBeOurs(call, job, ALL_EXCLUSIONS)).toBe(true);
  });
});

describe('a look that shows nothing that could be ours', () => {
  it('should be clean when it meets every condition, and the second one the proof of absence', () => {
    expect(verdict(unknownCall(), look())).toEqual({ kind: 'clean' });
    const once = unknownCall({ cleanLooks: 1, cleanLookAt: at(17_000) });
    expect(verdict(once, look())).toEqual({ kind: 'absent' });
  });

  const ONCE = unknownCall({ cleanLooks: 1, cleanLookAt: at(19_500) });

  it.each<[CleanCondition, UnknownCall, AccountLook]>([
    ['complete', unknownCall(), look({ complete: false })],
    ['searchedBeyond', unknownCall(), look({ searchedBeyond: false })],
    ['holdsNewest', unknownCall(), look({ holdsNewest: false })],
    ['lateEnough', unknownCall(), look({ begunAt: at(COUNTS_FROM_MS - 1) })],
    ['apart', ONCE, look({ begunAt: at(19_500 + TIMING.graceMs / 4 - 1) })],
  ])('should mean nothing without the condition %s alone', (name, call, shown) => {
    const unmet = (Object.keys(CLEAN_CONDITIONS) as CleanCondition[]).filter(
      (condition) => !CLEAN_CONDITIONS[condition](call, shown, TIMING),
    );
    expect(unmet).toEqual([name]);
    const tooEarly = name === 'lateEnough' || name === 'apart';
    expect(verdict(call, shown)).toEqual(tooEarly ? { kind: 'wait' } : { kind: 'doubt', cause: 'lists_never_whole' });
    if (tooEarly) return;
    // Thirty graces after the first answer that was not whole.
    const inDoubt = { ...call, doubtedSince: at(COUNTS_FROM_MS) };
    const until = COUNTS_FROM_MS + 30 * TIMING.graceMs;
    expect(verdict(inDoubt, { ...shown, begunAt: at(until - 1) })).toEqual({ kind: 'wait' });
    const person = { kind: 'undecidable', cause: 'lists_never_whole' };
    expect(verdict(inDoubt, { ...shown, begunAt: at(until) })).toEqual(person);
  });

  it('should count from the end of the call, a timeout and a grace on, when it began then', () => {
    expect(judgedFromMs(unknownCall(), TIMING)).toBe(at(COUNTS_FROM_MS).getTime());
    expect(verdict(unknownCall(), look({ begunAt: at(COUNTS_FROM_MS) }))).toEqual({ kind: 'clean' });
    const apart = look({ begunAt: at(19_500 + TIMING.graceMs / 4) });
    expect(verdict(ONCE, apart)).toEqual({ kind: 'absent' });
  });

  it('should not count before it counts for every call that the list cannot tell from this one', () => {
    const call = unknownCall({ equalsUnknownSince: at(14_000) });
    expect(judgedFromMs(call, TIMING)).toBe(at(COUNTS_FROM_MS + 3_000).getTime());
    expect(verdict(call, look({ begunAt: at(COUNTS_FROM_MS + 2_999) }))).toEqual({ kind: 'wait' });
    expect(verdict(call, look({ begunAt: at(COUNTS_FROM_MS + 3_000) }))).toEqual({ kind: 'clean' });
  });

  it('should be judged call by call', () => {
    const early = unknownCall({ id: 'early', cleanLooks: 1, cleanLookAt: at(17_000) });
    const late = unknownCall({ id: 'late', unknownSince: at(19_000) });
    expect(verdicts([early, late], look())).toEqual({ early: { kind: 'absent' }, late: { kind: 'wait' } });
  });

  it('should mean nothing for a key of which a call is under way, and everything for others', () => {
    const other = unknownCall({ id: 'b', input: { ...INPUT, ml_models: [2] } });
    const shown = look({ inFlight: new Set([unknownCall().key]) });
    expect(verdicts([unknownCall(), other], shown)).toEqual({ a: { kind: 'wait' }, b: { kind: 'clean' } });
  });

  it('should judge no call when there is none', () => {
    expect(verdicts([], look({ unowned: [shownJob()] }))).toEqual({});
  });
});

describe('a look that shows a candidate', () => {
  it('should adopt it at once, however incomplete the look is', () => {
    const job = shownJob();
    const poor = { complete: false, searchedBeyond: false, holdsNewest: false, begunAt: at(11_500), unowned: [job] };
    expect(verdict(unknownCall(), look(poor))).toEqual({ kind: 'adopt', job, candidates: 1 });
  });

  it('should wait for the calls under way of its key, whose job it may be', () => {
    const shown = look({ unowned: [shownJob()], inFlight: new Set([unknownCall().key]) });
    expect(verdict(unknownCall(), shown)).toEqual({ kind: 'wait' });
  });

  it('should adopt the one that is nearest in time', () => {
    const unowned = [shownJob({ id: 1, startedAt: at(60_000) }), shownJob({ id: 2, startedAt: at(10_900) })];
    const found = verdict(unknownCall(), look({ unowned }));
    expect(found).toEqual({ kind: 'adopt', job: unowned[1], candidates: 2 });
  });

  it('should let the other calls go on looking when there are fewer jobs than calls', () => {
    const calls = ['a', 'b', 'c'].map((id, i) => unknownCall({ id, calledAt: at(10_000 + 100 * i) }));
    const found = verdicts(calls, look({ unowned: [shownJob({ startedAt: at(10_190) })] }));
    expect(Object.values(found).map(({ kind }) => kind)).toEqual(['wait', 'wait', 'adopt']);
  });

  it('should not let one be clean by a look that gave its equal a job', () => {
    const calls = [unknownCall({ id: 'a' }), unknownCall({ id: 'b', cleanLooks: 1, cleanLookAt: at(17_000) })];
    const found = verdicts(calls, look({ unowned: [shownJob()] }));
    expect(
      Object.values(found)
        .map(({ kind }) => kind)
        .sort(),
    ).toEqual(['adopt', 'wait']);
  });

  it('should adopt as many as can be adopted: a job that only one call can have goes to that call', () => {
    // The first job had been seen before the second call began; TensorPix does not say when they started.
    const first = unknownCall({ id: 'first', calledAt: at(10_000) });
    const second = unknownCall({ id: 'second', calledAt: at(14_000), unknownSince: at(15_000) });
    const ofFirst = shownJob({ id: 1, startedAt: null, firstSeenAt: at(12_000) });
    const ofSecond = shownJob({ id: 2, startedAt: null, firstSeenAt: at(16_000) });
    // Newest first, as lists are.
    const found = verdicts([first, second], look({ unowned: [ofSecond, ofFirst] }));
    expect(found).toEqual({
      first: { kind: 'adopt', job: ofFirst, candidates: 2 },
      second: { kind: 'adopt', job: ofSecond, candidates: 2 },
    });
  });

  it('should adopt as many as can be adopted: calls within the slack of the clock', () => {
    const first = unknownCall({ id: 'first', calledAt: at(10_000) });
    const second = unknownCall({ id: 'second', calledAt: at(13_000) });
    const ofFirst = shownJob({ id: 1, startedAt: at(8_100), firstSeenAt: at(14_000) });
    const ofSecond = shownJob({ id: 2, startedAt: at(11_200), firstSeenAt: at(14_000) });
    const found = verdicts([first, second], look({ unowned: [ofFirst, ofSecond] }));
    expect(Object.values(found).map(({ kind }) => kind)).toEqual(['adopt', 'adopt']);
  });

  it('should adopt min(k, n), each job once, whatever was seen when', () => {
    const time = fc.integer({ min: 0, max: 30 }).map((seconds) => at(seconds * 1_000));
    const call = fc.record({ calledAt: time });
    const job = fc.record({ startedAt: fc.option(time), firstSeenAt: fc.option(time) });
    const calls = fc.array(call, { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(calls, fc.array(job, { maxLength: 5 }), (givenCalls, givenJobs) => {
        const unknown = givenCalls.map((given, i) => unknownCall({ ...given, id: `call-${i}` }));
        const unowned = givenJobs.map((given, i) => shownJob({ ...given, id: i + 1 }));
        const adopted = Object.entries(verdicts(unknown, look({ unowned }))).flatMap(([id, found]) =>
          found.kind === 'adopt' ? [{ id, job: found.job }] : [],
        );
        for (const { id, job: taken } of adopted) {
          const owner = unknown.find((each) => each.id === id) as UnknownCall;
          expect(couldBeOurs(owner, taken, ALL_EXCLUSIONS)).toBe(true);
        }
        expect(new Set(adopted.map(({ job: { id } }) => id)).size).toBe(adopted.length);
        expect(adopted).toHaveLength(mostPairs(unknown, unowned));
      }),
      { numRuns: 500 },
    );
  });
});

/** How many calls can have a job of their own at best. */
function mostPairs(calls: UnknownCall[], jobs: UnownedJob[]): number {
  const owner = new Map<UnownedJob, UnknownCall>();
  const place = (call: UnknownCall, tried: Set<UnownedJob>): boolean =>
    jobs.some((job) => {
      if (tried.has(job) || !couldBeOurs(call, job, ALL_EXCLUSIONS)) return false;
      tried.add(job);
      const before = owner.get(job);
      if (before && !place(before, tried)) return false;
      owner.set(job, call);
      return true;
    });
  return calls.filter((call) => place(call, new Set())).length;
}

describe('calls that the list cannot tell apart, and that asked for different things', () => {
  const fine = unknownCall({ id: 'fine', input: { ...INPUT, crf: 10 } });
  const coarse = unknownCall({ id: 'coarse', input: { ...INPUT, crf: 40 } });
  const undecidable = { kind: 'undecidable', cause: 'equal_in_the_list' };

  it('should be left to a person when a job could be of either', () => {
    expect(verdicts([fine, coarse], look({ unowned: [shownJob()] }))).toEqual({
      fine: undecidable,
      coarse: undecidable,
    });
  });

  it('should be left to a person although there are as many jobs as calls', () => {
    const unowned = [shownJob({ id: 1 }), shownJob({ id: 2 })];
    expect(verdicts([fine, coarse], look({ unowned }))).toEqual({ fine: undecidable, coarse: undecidable });
  });

  it('should be clean, each, when there is no job', () => {
    expect(verdicts([fine, coarse], look())).toEqual({ fine: { kind: 'clean' }, coarse: { kind: 'clean' } });
  });

  it('should be left to a person when a job could be of one that was given up', () => {
    const givenUp = { ...fine, givenUp: true };
    expect(verdicts([givenUp, coarse], look({ unowned: [shownJob()] }))).toEqual({ coarse: undecidable });
    expect(verdicts([givenUp, coarse], look())).toEqual({ coarse: { kind: 'clean' } });
  });

  it('should have the job of one that was given up and asked for the same', () => {
    const givenUp = { ...fine, id: 'given up', givenUp: true };
    const job = shownJob();
    const adopt = { kind: 'adopt', job, candidates: 1 };
    expect(verdicts([givenUp, fine], look({ unowned: [job] }))).toEqual({ fine: adopt });
    expect(verdicts([fine, givenUp], look({ unowned: [job] }))).toEqual({ fine: adopt });
  });

  it('should not be waited for by one that was given up', () => {
    const shown = look({ unowned: [shownJob()], inFlight: new Set([fine.key]) });
    expect(verdicts([{ ...fine, givenUp: true }, coarse], shown)).toEqual({ coarse: { kind: 'wait' } });
    expect(verdicts([{ ...fine, givenUp: true }], shown)).toEqual({});
  });

  it('should be told apart by time', () => {
    const later = { ...coarse, calledAt: at(15_000), unknownSince: at(15_500), equalsUnknownSince: at(15_500) };
    const job = shownJob({ startedAt: at(10_200) });
    expect(verdicts([fine, later], look({ begunAt: at(30_000), unowned: [job] }))).toEqual({
      fine: { kind: 'adopt', job, candidates: 1 },
      coarse: { kind: 'clean' },
    });
  });

  it('should be told apart by a field that the list shows', () => {
    const h264 = unknownCall({ id: 'h264' });
    const h265 = unknownCall({ id: 'h265', input: { ...INPUT, codec: 'libx265' } });
    const jobs = [shownJob({ id: 1 }), shownJob({ id: 2 }, { fields: { codec: 'libx265' } })];
    expect(verdicts([h265, h264], look({ unowned: jobs }))).toEqual({
      h264: { kind: 'adopt', job: jobs[0], candidates: 1 },
      h265: { kind: 'adopt', job: jobs[1], candidates: 1 },
    });
  });

  it('should take order of fields and spelled nulls for no difference', () => {
    const spelled = unknownCall({ id: 'spelled', input: { start_frame: null, ...INPUT } });
    const found = verdicts([unknownCall(), spelled], look({ unowned: [shownJob({ id: 1 }), shownJob({ id: 2 })] }));
    expect(Object.values(found).map(({ kind }) => kind)).toEqual(['adopt', 'adopt']);
  });
});

describe('a trace of the call', () => {
  const trace = { url: URL, createdAt: at(10_200) };
  /** Three graces after the first look that showed it. */
  const patientUntil = COUNTS_FROM_MS + 3 * TIMING.graceMs;

  it.each([
    ['an input video of its URL', look({ traces: [trace] })],
    ['an input video without a time', look({ traces: [{ ...trace, createdAt: null }] })],
    ['an input video within the slack of the clock', look({ traces: [{ ...trace, createdAt: at(8_000) }] })],
    ['a job without a URL that could be ours', look({ unowned: [shownJob({}, { externalUrl: null })] })],
  ])('should keep the job from being sent again, and be left to a person in the end: %s', (_, shown) => {
    const once = unknownCall({ cleanLooks: 1, cleanLookAt: at(17_000) });
    for (const fresh of [unknownCall(), once]) {
      const first = { kind: 'doubt', cause: 'left_a_trace' };
      expect(verdict(fresh, { ...shown, begunAt: at(patientUntil) })).toEqual(first);
      const call = { ...fresh, doubtedSince: at(COUNTS_FROM_MS) };
      expect(verdict(call, { ...shown, begunAt: at(patientUntil - 1) })).toEqual({ kind: 'wait' });
      expect(verdict(call, { ...shown, begunAt: at(patientUntil) })).toEqual({
        kind: 'undecidable',
        cause: 'left_a_trace',
      });
    }
  });

  it('should keep the job from being sent again when jobs of ours are shown with other URLs or models than were sent', () => {
    const shown = look({ showsAsSent: false, begunAt: at(patientUntil) });
    for (const fresh of [unknownCall(), unknownCall({ cleanLooks: 1, cleanLookAt: at(17_000) })]) {
      expect(verdict(fresh, shown)).toEqual({ kind: 'doubt', cause: 'shown_otherwise' });
      const person = { kind: 'undecidable', cause: 'shown_otherwise' };
      expect(verdict({ ...fresh, doubtedSince: at(COUNTS_FROM_MS) }, shown)).toEqual(person);
    }
  });

  it.each([
    ['an input video from before the call', look({ traces: [{ ...trace, createdAt: at(7_999) }] })],
    ['an input video of another URL', look({ traces: [{ ...trace, url: `${URL}?x` }] })],
    ['a job without a URL, of other models', look({ unowned: [shownJob({}, { externalUrl: null, modelIds: [2] })] })],
    [
      'a job without a URL, from before the call',
      look({ unowned: [shownJob({ startedAt: at(1) }, { externalUrl: null })] }),
    ],
  ])('should be none: %s', (_, shown) => {
    expect(verdict(unknownCall(), shown)).toEqual({ kind: 'clean' });
  });

  it('should not stand in the way of a candidate', () => {
    const job = shownJob();
    expect(verdict(unknownCall(), look({ traces: [trace], unowned: [job] })).kind).toBe('adopt');
  });

  it('should mean nothing in a look that does not count', () => {
    const early = look({ traces: [trace], begunAt: at(COUNTS_FROM_MS - 1) });
    expect(verdict(unknownCall(), early)).toEqual({ kind: 'wait' });
  });
});
