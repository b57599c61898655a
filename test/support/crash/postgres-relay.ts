import { isCommit, stepOfStatement, type Step } from './kill-points.js';
import type { KillSwitch } from './kill-switch.js';
import {
  MessageReader,
  readBind,
  readIsIdle,
  readParse,
  readQuery,
  readRowCount,
  type Message,
} from './postgres-wire.js';
import { startTcpRelay, type Pair, type PairHandler, type TcpRelay } from './tcp-relay.js';

/** Stands between one replica and Postgres, and knows by their texts which statements run. */
export function startPostgresRelay(target: { host: string; port: number }, point: KillSwitch): Promise<TcpRelay> {
  return startTcpRelay(target, (pair) => new Session(pair, point));
}

/** What is sent up to a Sync, and answered up to a ReadyForQuery. */
interface Unit {
  step: Step | null;
  /** Its answer is held, as the point after it could be the one. */
  watched: boolean;
  rows: number;
}

class Session implements PairHandler {
  private readonly clientMessages = new MessageReader(false);
  private readonly serverMessages = new MessageReader(true);
  private readonly statements = new Map<string, string>();
  /** Sent and not answered, oldest first. The first answer is the one to the start of the session. */
  private readonly units: Unit[] = [newUnit()];
  private unit = newUnit();
  /** Whether the open transaction has done something that can be killed at. */
  private inTransaction = false;
  /** Nothing of the client's passes any more. */
  private frozen = false;
  /** Answers that are held back; null: they pass. */
  private held: Buffer[] | null = null;

  constructor(
    private readonly pair: Pair,
    private readonly point: KillSwitch,
  ) {}

  fromClient(chunk: Buffer): void {
    const passing: Buffer[] = [];
    for (const message of this.clientMessages.push(chunk)) {
      if (!this.frozen) this.readClient(message);
      if (!this.frozen) passing.push(message.bytes);
    }
    if (passing.length > 0) this.pair.server.write(Buffer.concat(passing));
  }

  fromServer(chunk: Buffer): void {
    // What this chunk ends is judged before it passes, since it may be what has to be held.
    const held = this.held;
    held?.push(chunk);
    for (const message of this.serverMessages.push(chunk)) this.readServer(message);
    if (!held) this.pair.client.write(chunk);
  }

  serverEnded(): void {
    if (!this.frozen) this.release();
  }

  private readClient(message: Message): void {
    switch (message.type) {
      case 'P': {
        const { name, sql } = readParse(message);
        this.statements.set(name, sql);
        return;
      }
      case 'B':
        return this.begin(this.statements.get(readBind(message)) ?? '', message.body);
      case 'Q':
        this.begin(readQuery(message), message.body);
        return this.endUnit();
      case 'S':
        return this.endUnit();
    }
  }

  /** A statement is about to pass. */
  private begin(sql: string, parameters: Buffer): void {
    const step = this.inTransaction && isCommit(sql) ? 'commit' : stepOfStatement(sql, parameters);
    if (!step) return;
    this.unit.step = step;
    if (this.point.pass(`before ${step}`)) {
      this.frozen = true;
      return;
    }
    if (!this.point.expects(`after ${step}`)) return;
    this.unit.watched = true;
    this.held ??= [];
  }

  private endUnit(): void {
    if (this.frozen) return;
    this.units.push(this.unit);
    this.unit = newUnit();
  }

  private readServer(message: Message): void {
    const unit = this.units[0];
    if (message.type === 'C' && unit) unit.rows += readRowCount(message);
    if (message.type !== 'Z' || !unit) return;
    this.units.shift();
    this.inTransaction = !readIsIdle(message) && (this.inTransaction || unit.step !== null);
    if (unit.step) this.judge(unit.step, unit);
  }

  /** A statement that found nothing to do is no reason to die; nor is one whose answer has passed already. */
  private judge(step: Step, { rows, watched }: Unit): void {
    const didSomething = rows > 0 || step === 'commit';
    if (didSomething && watched && this.point.pass(`after ${step}`)) this.frozen = true;
    else if (didSomething && !watched) this.point.see(`after ${step}`);
    if (watched && !this.frozen && !this.units.some((unit) => unit.watched)) this.release();
  }

  private release(): void {
    const { held } = this;
    this.held = null;
    if (held && held.length > 0) this.pair.client.write(Buffer.concat(held));
  }
}

function newUnit(): Unit {
  return { step: null, watched: false, rows: 0 };
}
