import { describe, expect, it } from '@jest/globals';
import type { Dispatcher } from 'undici';
import { OutboundFailure } from '../../../src/common/outbound/outbound-outcome.js';
import { ResponseReader } from '../../../src/common/outbound/response-reader.js';

describe('ResponseReader', () => {
  it.each([true, false])('should not let a request be written after its time (late: %s)', (late) => {
    const failure = new OutboundFailure('timeout', 'no response within 15000 ms');
    const aborted: unknown[] = [];
    const settled: unknown[] = [];
    const controller = { abort: (reason: unknown) => void aborted.push(reason) } as Dispatcher.DispatchController;
    const reader = new ResponseReader(
      (...outcome) => void settled.push(outcome),
      () => (late ? failure : null),
    );
    reader.onRequestStart(controller);
    expect(aborted).toEqual(late ? [failure] : []);
    expect(settled).toEqual(late ? [[failure, false]] : []);
    expect(reader.sentAtMs === null).toBe(late);
  });
});
