import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { startSimulator, type Simulator } from '../../simulator/simulator.js';
import { startTcpRelay } from '../support/crash/tcp-relay.js';
import { useDatabase } from '../support/database.js';
import {
  killAll,
  plainEnv,
  startGatewayProcess,
  startProgram,
  type GatewayProcess,
} from '../support/gateway-process.js';
import { createTenant, eventually, gatewayEnv } from '../support/gateway.js';
import { freePort } from '../support/ports.js';

const ENV = { TENSORPIX_TIMEOUT_MS: '10000', SHUTDOWN_TIMEOUT_MS: '30000' };
const TOKEN = 'token-0123456789';
const BODY = JSON.stringify({ video_url: 'https://media.example.com/in.mp4', ml_models: [1] });
/** Upon SIGUSR2 it has a fault that nobody catches; its text holds a secret. */
const FAULTY = `data:text/javascript,process.on('SIGUSR2',()=>setTimeout(()=>{throw new Error('broken:%20Token%20'+'abcd'.repeat(4))}))`;

const database = useDatabase();
let simulator: Simulator;
const sockets: Socket[] = [];

beforeAll(async () => {
  simulator = await startSimulator({ tokens: [TOKEN], autoCreateAccounts: true, queueMs: 3_600_000 });
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

afterAll(async () => {
  await killAll();
  await simulator?.close();
});

/** A connection that has sent this and is left open. */
async function leave({ url }: GatewayProcess, text: string): Promise<void> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  sockets.push(socket);
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => socket.once('connect', () => socket.write(text, () => resolve())));
}

describe('a process that is told to stop while it starts', () => {
  it('should finish the start, drain, and never listen', async () => {
    const target = new URL(database.url());
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    let connections = 0;
    const relay = await startTcpRelay({ host: target.hostname, port: Number(target.port) }, ({ client, server }) => {
      connections += 1;
      return {
        fromClient: (chunk) => void server.write(chunk),
        fromServer: (chunk) => void released.then(() => client.write(chunk)),
        serverEnded: () => undefined,
      };
    });
    target.host = `127.0.0.1:${relay.port}`;
    const env = {
      ...plainEnv(),
      ...gatewayEnv(target.href, simulator.url, { ...ENV, PORT: String(await freePort()) }),
    };
    const { child, output } = startProgram(['dist/main.js'], env);
    await eventually(
      () => connections,
      (count) => count > 0,
    );
    child.kill('SIGTERM');
    await eventually(output, (text) => text.includes('"draining"'));
    release();
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect([code, output()]).toEqual([0, expect.stringContaining('"stopped"')]);
    expect(output()).not.toContain('"listening"');
    await relay.close();
  });
});

describe('a process with a fault that nobody has caught', () => {
  it('should bring the calls under way to their end, and exit with 1', async () => {
    const gateway = await startGatewayProcess(database.url(), simulator.url, {
      ...ENV,
      NODE_OPTIONS: `--import "${FAULTY}"`,
    });
    const { key } = await createTenant(gateway.url, 'token-of-the-fault-1');
    // Longer than a drain waits for requests that have not arrived.
    simulator.control.addFault({ match: { method: 'POST' }, times: 1, fault: { kind: 'slow', delay_ms: 5_000 } });
    const answer = fetch(`${gateway.url}/v1/jobs`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: BODY,
    });
    await eventually(
      () => simulator.control.requests().filter(({ method }) => method === 'POST').length,
      (calls) => calls === 1,
    );
    process.kill(gateway.pid, 'SIGUSR2');
    expect((await answer).status).toBe(201);
    expect(await gateway.end('SIGTERM')).toBe(1);
    expect(gateway.output()).toContain('an error that nobody has caught');
    expect(gateway.output()).not.toContain('abcdabcd');
  });
});

/** What clients leave open: nothing at all, half a head, half a body. */
const UNFINISHED = [
  '',
  'POST /v1/jobs HTTP/1.1\r\nhost: gateway\r\n',
  'POST /v1/jobs HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
];

describe('connections that say nothing more', () => {
  it('should not hold up a drain', async () => {
    const gateway = await startGatewayProcess(database.url(), simulator.url, ENV);
    for (const text of UNFINISHED) await leave(gateway, text);
    await fetch(`${gateway.url}/health/ready`);
    expect(await gateway.end('SIGTERM')).toBe(0);
  });
});

describe('standard output that nobody reads', () => {
  it('should keep nobody waiting, and have all lines once it is read, the last ones too', async () => {
    const directory = await mkdtemp(path.join(os.tmpdir(), 'gateway-output-'));
    const fifo = path.join(directory, 'stdout');
    execFileSync('mkfifo', [fifo]);
    const stdout = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    try {
      const gateway = await startGatewayProcess(database.url(), simulator.url, ENV, { stdout });
      const ask = (i: number): Promise<number> =>
        fetch(`${gateway.url}/v1/jobs`, {
          headers: { 'x-request-id': `request-${i}` },
          signal: AbortSignal.timeout(60_000),
        }).then(({ status }) => status);
      // 200 bytes a line, more than twice what a pipe holds.
      for (let i = 0; i < 800; i += 1) expect(await ask(i)).toBe(401);
      const ended = gateway.end('SIGTERM');
      const lines = await readLines(stdout, '"stopped"');
      expect(lines.filter((line) => line.includes('"request_id":"request-'))).toHaveLength(800);
      expect(await ended).toBe(0);
    } finally {
      closeSync(stdout);
      await rm(directory, { recursive: true });
    }
  });
});

/** What is to be read, until a line with this text is there. */
async function readLines(fd: number, last: string): Promise<string[]> {
  const chunk = Buffer.alloc(65_536);
  let text = '';
  await eventually(() => {
    try {
      text += chunk.toString('utf8', 0, readSync(fd, chunk));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
    return text.includes(last);
  }, Boolean);
  return text.split('\n');
}
