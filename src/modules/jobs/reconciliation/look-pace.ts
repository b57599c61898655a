import type { UnknownJob } from './accounts.store.js';
import { judgedFromMs, type Timing } from './judgement.js';
import { unknownCall } from './verdict-change.js';

const SHORTEST_MS = 1_000;
const LONGEST_MS = 120_000;

/**
 * When to look next for what is unknown still: often at first, because a job that was made shows soon; rarer the longer it
 * takes; and exactly when a look begins to count. Null when only persons can decide what is left.
 */
export function nextLookInMs({ left, now }: { left: UnknownJob[]; now: Date }, timing: Timing): number | null {
  const waiting = left.filter(({ job }) => job.statusReason !== 'outcome_unknown');
  if (waiting.length === 0) return null;
  return Math.min(...waiting.map((job) => nextLookAtMs(job, now.getTime(), timing) - now.getTime()));
}

function nextLookAtMs({ job, equalsUnknownSince }: UnknownJob, nowMs: number, timing: Timing): number {
  const call = unknownCall(job, equalsUnknownSince);
  const shortestMs = Math.min(SHORTEST_MS, timing.graceMs / 4);
  const paceMs = Math.min(LONGEST_MS, Math.max(shortestMs, (nowMs - call.unknownSince.getTime()) / 2));
  const countsFromMs = Math.max(judgedFromMs(call, timing), (call.cleanLookAt?.getTime() ?? 0) + timing.graceMs / 4);
  if (countsFromMs > nowMs) return Math.min(countsFromMs, nowMs + paceMs);
  return nowMs + paceMs;
}
