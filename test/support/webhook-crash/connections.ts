/** A time in which a process was stopped. */
export interface Still {
  fromMs: number;
  untilMs: number;
  /** `fromMs` on the wall clock, in seconds */
  fromSeconds: number;
}

/** A process of a gateway, from its start to its end. */
export interface Instance {
  /** `worker 2 #5`: the fifth process of the second worker */
  name: string;
  /** null while it lives */
  killedAtMs: number | null;
  stills: Still[];
}

interface Opened {
  instance: Instance;
  atMs: number;
}

/** A TCP connection by its two ports; both ends are on this machine. */
export interface Ports {
  from: number;
  to: number;
}

/** Which process opened which connection. */
export class Connections {
  private readonly opened = new Map<string, Opened[]>();

  note({ from, to }: Ports, instance: Instance, atMs: number): void {
    const key = `${from} ${to}`;
    const same = this.opened.get(key);
    if (same) same.push({ instance, atMs });
    else this.opened.set(key, [{ instance, atMs }]);
  }

  /** Ports are used again: the process that opened this connection last. */
  openerOf({ from, to }: Ports, atMs: number): Instance | null {
    const before = (this.opened.get(`${from} ${to}`) ?? []).filter((each) => each.atMs <= atMs);
    return before.sort((a, b) => b.atMs - a.atMs)[0]?.instance ?? null;
  }
}
