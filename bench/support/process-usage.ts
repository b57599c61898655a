import * as fs from 'node:fs';
import { cpuSecondsOf, cpuSecondsOfFamily } from './cpu-time.js';

/** What a process, and the server that it stores things in, took for something; NaN where the system does not tell. */
export interface Usage {
  processCpuSeconds: number;
  /** with all its children; 0 without a store */
  storeCpuSeconds: number;
  /** The most memory that the process had. */
  residentBytes: number;
}

const SAMPLE_INTERVAL_MS = 100;

/** Watches from now on until `stop`. Memory is sampled: the peak that the kernel keeps is of the process's whole life. */
export function watchUsage(pid: number, storePid: number | null): { stop: () => Usage } {
  const before = readCpu(pid, storePid);
  let residentBytes = residentBytesOf(pid);
  const look = (): void => void (residentBytes = Math.max(residentBytes, residentBytesOf(pid)));
  const timer = setInterval(look, SAMPLE_INTERVAL_MS);
  const stop = (): Usage => {
    clearInterval(timer);
    look();
    const after = readCpu(pid, storePid);
    return {
      processCpuSeconds: after.process - before.process,
      storeCpuSeconds: after.store - before.store,
      residentBytes,
    };
  };
  return { stop };
}

function readCpu(pid: number, storePid: number | null): { process: number; store: number } {
  return {
    process: cpuSecondsOf(pid) ?? Number.NaN,
    store: storePid === null ? 0 : (cpuSecondsOfFamily(storePid) ?? Number.NaN),
  };
}

function residentBytesOf(pid: number): number {
  let text: string;
  try {
    text = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return Number.NaN;
  }
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(text) ?? [];
  return kibibytes === undefined ? Number.NaN : Number(kibibytes) * 1_024;
}
