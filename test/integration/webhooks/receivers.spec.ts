import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newWebhookSecret, webhookHeaders } from '../../../src/modules/webhooks/signature.js';
import { endOf, plainEnv } from '../../support/gateway-process.js';
import { eventually } from '../../support/gateway.js';

/** A program of docs/webhooks.md and how it is run. */
interface Language {
  name: string;
  /** Of its code block. */
  fence: string;
  file: string;
  /** What tells whether the language is installed. */
  probe: string[];
  /** Makes a program that is one process, so that a signal ends it. */
  build?: string[];
  run: string[];
}

const LANGUAGES: Language[] = [
  {
    name: 'Node.js',
    fence: 'js',
    file: 'receiver.mjs',
    probe: [process.execPath, '--version'],
    run: [process.execPath, 'receiver.mjs'],
  },
  {
    name: 'Python',
    fence: 'python',
    file: 'receiver.py',
    probe: ['python3', '--version'],
    run: ['python3', 'receiver.py'],
  },
  { name: 'Java', fence: 'java', file: 'Receiver.java', probe: ['java', '-version'], run: ['java', 'Receiver.java'] },
  {
    name: 'Go',
    fence: 'go',
    file: 'receiver.go',
    probe: ['go', 'version'],
    build: ['go', 'build', '-o', 'receiver', 'receiver.go'],
    run: ['./receiver'],
  },
];

const PAGE = readFileSync(new URL('../../../docs/webhooks.md', import.meta.url), 'utf8');
const SECRET = newWebhookSecret();
/** A compiler that compiles its standard library first takes long on a small machine. */
const STARTING_LIMIT_MS = 300_000;
const nowSeconds = () => Math.floor(Date.now() / 1_000);

function programOf(fence: string): string {
  const [, section = ''] = PAGE.split(/^## Receivers$/m);
  const [, program] = new RegExp(`^\`\`\`${fence}\n(.*?)^\`\`\`$`, 'ms').exec(section) ?? [];
  if (program === undefined) throw new Error(`docs/webhooks.md has no receiver in ${fence}`);
  return program;
}

function isInstalled([command = '', ...args]: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

/** A receiver that runs as a process of its own, in a directory of its own. */
class RunningReceiver {
  private readonly chunks: string[] = [];
  private url = '';

  private constructor(
    private readonly directory: string,
    private readonly child: ChildProcess,
  ) {
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => this.chunks.push(chunk.toString()));
    child.on('error', (error) => this.chunks.push(error.message));
  }

  static async start({ fence, file, build, run: [command = '', ...args] }: Language): Promise<RunningReceiver> {
    const directory = await mkdtemp(join(tmpdir(), 'receiver-'));
    await writeFile(join(directory, file), programOf(fence));
    const env = { ...plainEnv(), WEBHOOK_SECRET: SECRET, PORT: '0' };
    if (build) {
      const [compiler = '', ...options] = build;
      const { status, stderr } = spawnSync(compiler, options, { cwd: directory, env, encoding: 'utf8' });
      if (status !== 0) {
        await rm(directory, { recursive: true });
        throw new Error(`${file} does not compile: ${stderr}`);
      }
    }
    const child = spawn(command, args, { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] });
    return new RunningReceiver(directory, child);
  }

  async untilListening(): Promise<void> {
    const port = await eventually(
      () => {
        if (this.child.exitCode !== null) throw new Error(`the receiver has ended: ${this.output()}`);
        return /^listening on (\d+)\s*$/m.exec(this.output())?.[1];
      },
      (found) => found !== undefined,
    );
    this.url = `http://127.0.0.1:${port}/webhooks`;
  }

  /** The status of the answer. */
  async send(headers: Record<string, string>, body: string): Promise<number> {
    const answer = await fetch(this.url, { method: 'POST', headers, body });
    await answer.text();
    return answer.status;
  }

  output(): string {
    return this.chunks.join('');
  }

  /** What the receiver has worked on, in the order of its work: the types of a job's webhooks. */
  worked(jobId: string): string[] {
    const lines = this.output().split(/\r?\n/);
    return lines.filter((line) => line.endsWith(` ${jobId}`)).map((line) => line.slice(0, -jobId.length - 1));
  }

  async stop(): Promise<void> {
    await endOf(this.child, 'SIGKILL');
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** What is signed beside the body. */
interface Attempt {
  id: string;
  secrets: string[];
  seconds: number;
}

/** The body of a webhook, with fields in it that are easily taken for those of the job. */
function bodyOf(jobId: string, type: string, sequence?: number): string {
  const data = {
    id: jobId,
    object: 'job',
    output: { id: 'another', sequence: 99, url: 'https://media.example.com/größe.mp4' },
    warnings: [{ id: 'w', sequence: 98 }],
    metadata: { note: '"data":{"id":"x","sequence":97} \\', sequence: '96' },
    sequence,
    updated_at: null,
  };
  return JSON.stringify({ type, timestamp: new Date().toISOString(), data });
}

describe.each(LANGUAGES)('the receiver in $name of docs/webhooks.md', (language) => {
  // A language that is not installed shows as skipped tests.
  const installed = isInstalled(language.probe);
  const should = installed ? it : it.skip;
  let receiver: RunningReceiver | undefined;

  beforeAll(async () => {
    if (!installed) return;
    receiver = await RunningReceiver.start(language);
    await receiver.untilListening();
  }, STARTING_LIMIT_MS);
  afterAll(() => receiver?.stop());

  function running(): RunningReceiver {
    if (!receiver) throw new Error('the receiver does not run');
    return receiver;
  }

  /** Sends a job's webhook, correct but for what is given. */
  function webhook(
    body: string,
    { id = randomUUID(), secrets = [SECRET], seconds = nowSeconds() }: Partial<Attempt> = {},
  ): Promise<number> {
    return running().send(webhookHeaders(id, seconds, body, secrets), body);
  }

  /** Waits until a later webhook has been worked on: whatever was to be done before it is done by then. */
  async function settle(): Promise<void> {
    const marker = randomUUID();
    expect(await webhook(bodyOf(marker, 'job.queued', 1))).toBe(204);
    await eventually(
      () => running().worked(marker),
      (types) => types.length > 0,
    );
  }

  should('should take a correct webhook and work on it', async () => {
    const job = randomUUID();
    expect(await webhook(bodyOf(job, 'job.finished', 3))).toBe(204);
    await settle();
    expect(running().worked(job)).toEqual(['job.finished']);
  });

  should('should verify the bytes as they came', async () => {
    const job = randomUUID();
    const spaced = JSON.stringify(JSON.parse(bodyOf(job, 'job.finished', 3)), null, 2).replace('ö', '\\u00f6');
    expect(await webhook(spaced)).toBe(204);
    await settle();
    expect(running().worked(job)).toEqual(['job.finished']);
  });

  should('should refuse a webhook with a wrong signature', async () => {
    const job = randomUUID();
    const body = bodyOf(job, 'job.finished', 3);
    const signed = webhookHeaders('id', nowSeconds(), body, [SECRET]);
    const right = signed['webhook-signature'] ?? '';
    expect(await webhook(body, { secrets: [newWebhookSecret()] })).toBe(400);
    expect(await webhook(body, { secrets: [] })).toBe(400);
    for (const signature of [
      right.slice(3),
      right.slice(0, -1),
      `v2,${right.slice(3)}`,
      'v1',
      'v1,',
      'v1,ä',
      `${right},`,
    ])
      expect([signature, await running().send({ ...signed, 'webhook-signature': signature }, body)]).toEqual([
        signature,
        400,
      ]);
    for (const header of [{ 'webhook-id': 'other' }, { 'webhook-timestamp': String(nowSeconds() - 9) }])
      expect(await running().send({ ...signed, ...header }, body)).toBe(400);
    expect(await running().send(signed, body.replace('finished', 'failed'))).toBe(400);
    expect(await running().send({ 'content-type': 'application/json' }, body)).toBe(400);
    await settle();
    expect(running().worked(job)).toEqual([]);
  });

  should('should refuse a webhook whose timestamp is not of now', async () => {
    const body = bodyOf(randomUUID(), 'job.finished', 3);
    const statuses: number[] = [];
    for (const offset of [-86_400, -330, -270, 270, 330])
      statuses.push(await webhook(body, { seconds: nowSeconds() + offset }));
    expect(statuses).toEqual([400, 400, 204, 204, 400]);
  });

  should('should take a webhook of which any one signature fits', async () => {
    const statuses: number[] = [];
    for (const secrets of [
      [newWebhookSecret(), SECRET],
      [SECRET, newWebhookSecret()],
      [newWebhookSecret(), newWebhookSecret()],
    ])
      statuses.push(await webhook(bodyOf(randomUUID(), 'job.finished', 3), { secrets }));
    expect(statuses).toEqual([204, 204, 400]);
  });

  should('should work once on a webhook that comes again', async () => {
    const [job, id] = [randomUUID(), randomUUID()];
    for (const offset of [-5, 0])
      expect(await webhook(bodyOf(job, 'webhook.test'), { id, seconds: nowSeconds() + offset })).toBe(204);
    expect(await webhook(bodyOf(job, 'endpoint.disabled'))).toBe(204);
    await settle();
    expect(running().worked(job)).toEqual(['webhook.test', 'endpoint.disabled']);
  });

  should('should pass over a sequence that is not above the last one of its job', async () => {
    const [job, other] = [randomUUID(), randomUUID()];
    for (const [type, sequence] of [
      ['job.queued', 1],
      ['job.processing', 4],
      ['job.progress', 3],
      ['job.canceled', 4],
      ['job.finished', 10],
    ] as const) {
      expect(await webhook(bodyOf(job, type, sequence))).toBe(204);
      expect(await webhook(bodyOf(other, type, sequence))).toBe(204);
    }
    await settle();
    for (const each of [job, other])
      expect(running().worked(each)).toEqual(['job.queued', 'job.processing', 'job.finished']);
  });

  should('should outlive a body that is far too large', async () => {
    const huge = JSON.stringify('x'.repeat(1_000_000));
    const answer = await webhook(huge).catch(() => 'closed' as const);
    expect([400, 'closed']).toContain(answer);
    await settle();
  });
});
