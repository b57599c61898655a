import * as fs from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_MS = 100;
const MAX_LENGTH = 400;

/** Hands out the lines of a log that another process writes, until `signal` is aborted and all of them are read. */
export async function followLog(file: string, onLine: (line: string) => void, signal: AbortSignal): Promise<void> {
  const handle = await fs.open(file, 'r');
  const buffer = Buffer.alloc(65_536);
  let unfinished = Buffer.alloc(0);
  try {
    for (;;) {
      const last = signal.aborted;
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0 && last) return;
      if (bytesRead === 0) await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
      // Cut at line ends only, so that no character is cut in two.
      const bytes = Buffer.concat([unfinished, buffer.subarray(0, bytesRead)]);
      const end = bytes.lastIndexOf('\n') + 1;
      unfinished = bytes.subarray(end);
      for (const line of bytes.subarray(0, end).toString().split('\n').slice(0, -1)) onLine(line);
    }
  } finally {
    await handle.close();
  }
}

/** What a log tells of the end of its process, in one line: its last error, else what it said in plain words. */
export async function readLastWords(file: string): Promise<string> {
  const text = await fs.readFile(file, 'utf8').catch(() => '');
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('Node.js v'));
  const last = lines.findLast(tellsError) ?? lines.findLast((line) => readEntry(line) === null);
  if (last === undefined) return 'its log tells no error';
  return (readEntry(last)?.text ?? last).slice(0, MAX_LENGTH);
}

function tellsError(line: string): boolean {
  const entry = readEntry(line);
  return entry === null ? /^\w*Error\b/.test(line) : ['error', 'fatal'].includes(entry.level);
}

/** A line of structured log: its message, with that of the error in it. Null for any other line. */
function readEntry(line: string): { level: string; text: string } | null {
  try {
    const { level, msg, err } = JSON.parse(line) as { level: string; msg?: string; err?: { message?: string } };
    return { level, text: [msg, err?.message].filter((part) => part !== undefined).join(': ') };
  } catch {
    return null;
  }
}
