import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import type { Submission } from '../../dev/demo/submissions.js';
import { findProblems } from '../../dev/demo/verdict.js';
import { startWebhookReceiver, type WebhookReceiver } from '../../dev/demo/webhook-receiver.js';
import { eventually } from '../support/gateway.js';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const PRELOAD = new URL('../../dev/demo/end-with-parent.js', import.meta.url).href;
/** What the shell of a developer may hold. */
const CLEAN = {
  NODE_OPTIONS: '',
  TENSORPIX_TOKEN: '',
  DEMO_VIDEO_URL: '',
  DEMO_IMAGE_URL: '',
  DEMO_DURATION_S: '',
  LOG_LEVEL: '',
};
const PATIENCE_MS = 110_000;

/** The demo as a process of its own, which does not outlive the tests. */
class Demo {
  output = '';
  private readonly child: ChildProcess;
  private readonly closed: Promise<unknown[]>;

  constructor(flags: string[], env: NodeJS.ProcessEnv = {}) {
    const args = ['--import', PRELOAD, '--import', 'tsx', 'dev/demo.ts', '--port', '0', ...flags];
    this.child = spawn(process.execPath, args, {
      cwd: PROJECT,
      env: { ...process.env, ...CLEAN, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.closed = once(this.child, 'close');
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
  }

  stop(): void {
    this.child.kill('SIGINT');
  }

  async exitCode(): Promise<unknown> {
    return (await this.closed)[0];
  }

  /** Where the gateway is or was. */
  gatewayUrl(): string {
    return /(http:\S+)\/docs/.exec(this.output)?.[1] ?? 'none';
  }
}

function isUp(url: string): Promise<boolean> {
  return fetch(`${url}/health/live`).then(
    ({ ok }) => ok,
    () => false,
  );
}

describe('npm run demo', () => {
  let demo: Demo;
  let failing: Demo;
  let lasting: Demo;

  beforeAll(() => {
    // Each has everything of its own, so they may run at once.
    // Long enough for a look at the job while it runs, on a busy machine too.
    demo = new Demo(['--once'], { DEMO_DURATION_S: '12' });
    failing = new Demo(['--once'], { DEMO_VIDEO_URL: 'https://media.example.com/sim-fail.mp4' });
    lasting = new Demo([]);
  });

  afterAll(async () => {
    lasting.stop();
    await Promise.all([demo, failing, lasting].map((each) => each.exitCode()));
  });

  it(
    'should end with 0 when all webhooks came, and tell what became of each job',
    async () => {
      expect([await demo.exitCode(), demo.output]).toEqual([0, expect.stringContaining('Summary')]);
      const [story = '', summary = ''] = demo.output.split('Summary\n');
      expect(story).toMatch(/POST \/v1\/jobs +201 queued/);
      expect(story).toMatch(/POST \/v1\/images +201 finished/);
      expect(story).toMatch(/video +processing +\[#+\.+\] +\d+ % +ETA \d+ s/);
      const types = [...story.matchAll(/webhook +(\S+) +demo-video +sequence \d+ +signature ok$/gm)].map(([, t]) => t);
      expect(types).toEqual(['job.queued', 'job.processing', 'job.finished']);
      expect(story).toMatch(/webhook +image\.finished +demo-image +sequence \d+ +signature ok$/m);

      expect(summary).toMatch(/video +status +finished\n +cost +\d+\.\d{4} Credits\n +output +http:\S+\.mp4\n/);
      expect(summary).toContain('3 of 3 received: job.queued, job.processing, job.finished');
      expect(summary).toMatch(/image +status +finished\n +cost +.+\n +output +http:\S+\.png\n/);
      expect(summary).toContain('1 of 1 received: image.finished');
      expect(summary).toMatch(/API docs +http:\/\/127\.0\.0\.1:\d+\/docs\n/);
      expect(summary).toMatch(/Tenant key +tpg_\S+\n/);
      expect(summary).toMatch(/^curl -X POST http:\/\/127\.0\.0\.1:\d+\/v1\/jobs /m);
    },
    PATIENCE_MS,
  );

  it(
    'should leave nothing behind, and no control characters in an output that is no terminal',
    async () => {
      await demo.exitCode();
      // eslint-disable-next-line no-control-regex -- they are what is looked for
      expect(demo.output).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/);
      expect(await isUp(demo.gatewayUrl())).toBe(false);
    },
    PATIENCE_MS,
  );

  it(
    'should end with 1 and say why when a job fails',
    async () => {
      expect(await failing.exitCode()).toBe(1);
      expect(failing.output).toMatch(/^ {2}video: failed, TensorPix reports that the job failed/m);
      const log = /^The gateway's log: (.+)$/m.exec(failing.output)?.[1] ?? '';
      expect(await fs.readFile(log, 'utf8')).toContain('"msg":"stopped"');
      await fs.rm(path.dirname(log), { recursive: true });
    },
    PATIENCE_MS,
  );

  it(
    'should stay up, show the webhooks of what its curl submits, and stop everything on Ctrl-C',
    async () => {
      const has = (text: string) =>
        eventually(
          () => lasting.output,
          (output) => output.includes(text),
          PATIENCE_MS,
        );
      await has('Ctrl-C');
      const [, url = '', authorization = '', body = ''] =
        /curl -X POST (\S+) \\\n.+'Authorization: (.+)' \\\n.+\n {2}-d '(.+)'\n/.exec(lasting.output) ?? [];
      const headers = { authorization, 'content-type': 'application/json' };
      expect((await fetch(url, { method: 'POST', headers, body })).status).toBe(201);
      await eventually(
        () => lasting.output,
        (output) => /webhook +job\.finished +another-video +sequence \d+ +signature ok/.test(output),
      );
      // A standing endpoint has a secret of its own, which the receiver does not know.
      const { callback_url: receiver } = JSON.parse(body) as { callback_url: string };
      const endpoints = `${lasting.gatewayUrl()}/v1/webhook-endpoints`;
      const made = await fetch(endpoints, { method: 'POST', headers, body: JSON.stringify({ url: receiver }) });
      const { id } = (await made.json()) as { id: string };
      await fetch(`${endpoints}/${id}/test`, { method: 'POST', headers: { authorization } });
      await eventually(
        () => lasting.output,
        (output) => /webhook +webhook\.test .+ signature ok, with another secret of the tenant$/m.test(output),
      );
      expect(await isUp(lasting.gatewayUrl())).toBe(true);
      lasting.stop();
      expect(await lasting.exitCode()).toBe(0);
      expect(await isUp(lasting.gatewayUrl())).toBe(false);
    },
    PATIENCE_MS,
  );

  it('should end with 1 and the reason when the gateway cannot start', async () => {
    const broken = new Demo(['--once'], { LOG_LEVEL: 'loud' });
    expect(await broken.exitCode()).toBe(1);
    expect(broken.output).toMatch(/^The gateway ended by itself \(exit code 1\): LOG_LEVEL must be one of/m);
    const log = /^The gateway's log: (.+)$/m.exec(broken.output)?.[1] ?? '';
    await fs.rm(path.dirname(log), { recursive: true });
  });

  it('should end with 130 when it is stopped in the middle of its start', async () => {
    const stopped = new Demo([]);
    await eventually(
      () => stopped.output,
      (output) => output.includes('Postgres'),
    );
    stopped.stop();
    expect(await stopped.exitCode()).toBe(130);
  });

  it('should refuse a port that is taken and a flag that it does not know', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const refused = new Demo(['--once', '--port', String(port)]);
    expect(await refused.exitCode()).toBe(1);
    expect(refused.output).toContain(`Port ${port} is taken`);
    server.close();

    const unknown = new Demo(['--onse']);
    expect(await unknown.exitCode()).toBe(2);
    expect(unknown.output).toContain("'--onse'");
  });
});

describe("the demo's judgement", () => {
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  const job = { id: 'j1', status: 'finished', output: { url: 'http://x/o.mp4' } };
  const submission = { kind: 'video', job } as unknown as Submission;
  let receiver: WebhookReceiver;

  beforeEach(async () => {
    receiver = await startWebhookReceiver(() => undefined);
    receiver.trust(secret);
  });

  afterEach(() => receiver.close());

  async function send(type: string, sequence: number, signedWith = secret, id = `${type}-${sequence}`) {
    const body = JSON.stringify({ type, data: { id: 'j1', external_id: 'demo-video', sequence } });
    const now = new Date();
    const headers = {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
      'webhook-signature': new Webhook(signedWith).sign(id, now, body),
    };
    return (await fetch(receiver.url, { method: 'POST', headers, body })).status;
  }

  const problems = () => findProblems([submission], receiver.received, false);

  it('should be content with every webhook once, in order and verified, or repeated', async () => {
    expect(await send('job.queued', 2)).toBe(204);
    await send('job.processing', 3);
    await send('job.queued', 2);
    await send('job.finished', 7);
    expect(problems()).toEqual([]);
  });

  it('should miss a webhook', async () => {
    await send('job.queued', 2);
    await send('job.finished', 7);
    expect(problems()).toEqual(['video: the webhook job.processing is missing']);
  });

  it('should refuse a signature of another secret', async () => {
    await send('job.queued', 2);
    expect(await send('job.processing', 3, 'whsec_bm90IHRoZSBzZWNyZXQgb2YgdGhlIHRlbmFudA==')).toBe(401);
    await send('job.finished', 7);
    expect(problems()).toEqual([
      'video: the webhook job.processing is missing',
      'the signature of the webhook job.processing for demo-video is wrong',
    ]);
  });

  it('should notice webhooks that change places', async () => {
    await send('job.processing', 3);
    await send('job.queued', 2);
    await send('job.finished', 7);
    expect(problems()).toEqual(['video: the webhook job.queued (sequence 2) came out of order']);
  });
});
