import * as fs from 'node:fs';

/** Linux counts CPU time in hundredths of a second, whatever the kernel's own tick is. */
const TICKS_A_SECOND = 100;

interface ProcessStat {
  parent: number;
  cpuSeconds: number;
  /** of children that have ended and were waited for */
  endedChildrenSeconds: number;
}

/** CPU seconds that a process has used, or null where /proc does not tell. */
export function cpuSecondsOf(pid: number): number | null {
  return readStat(pid)?.cpuSeconds ?? null;
}

/** CPU seconds of a process and its children, also those that have ended: Postgres has a process for each connection. */
export function cpuSecondsOfFamily(pid: number): number | null {
  const head = readStat(pid);
  if (!head) return null;
  const others = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const children = others.map((name) => readStat(Number(name))).filter((stat) => stat?.parent === pid);
  const alive = children.reduce((sum, stat) => sum + (stat?.cpuSeconds ?? 0), 0);
  return head.cpuSeconds + head.endedChildrenSeconds + alive;
}

/** See proc(5). The name of the program stands in brackets and may hold spaces, so counting begins after them. */
function readStat(pid: number): ProcessStat | null {
  let text: string;
  try {
    text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return null;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [parent, user, system, childUser, childSystem] = [1, 11, 12, 13, 14].map((index) => Number(fields[index]));
  return {
    parent: parent!,
    cpuSeconds: (user! + system!) / TICKS_A_SECOND,
    endedChildrenSeconds: (childUser! + childSystem!) / TICKS_A_SECOND,
  };
}
