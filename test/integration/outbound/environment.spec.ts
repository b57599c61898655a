import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { closeAfterEach, running } from './attempts.js';
import { startHttp, startHttps } from './receivers.js';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const CERTIFICATE = fileURLToPath(new URL('../../fixtures/tls/receiver.cert.pem', import.meta.url));

/** Makes one attempt and prints what came of it. */
const ONE_ATTEMPT = `
  import { OutboundClient } from './src/common/outbound/outbound-client.ts';
  import { parseCidrs } from './src/common/outbound/cidr.ts';
  const policy = { allowHttp: true, allowedCidrs: parseCidrs('127.0.0.0/8') };
  const lookup = async () => ['127.0.0.1'];
  const client = new OutboundClient({ policy, timeoutMs: 5_000, connectionsPerOrigin: 1, userAgent: 'test', lookup });
  const outcome = await client.post({ url: process.env.ATTEMPT_URL, headers: {}, body: 'x', allowedHosts: [] });
  await client.close();
  console.log(outcome.kind === 'error' ? outcome.errorClass : 'response ' + outcome.status);
`;

closeAfterEach();

/** In a process of its own: what a test sets in `process.env` does not reach Node's own modules under Jest. */
async function attemptWith(env: Record<string, string>, url: string): Promise<string> {
  const args = ['--import', 'tsx', '--input-type=module', '--eval', ONE_ATTEMPT];
  const { stdout } = await run(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, NODE_OPTIONS: '', ...env, ATTEMPT_URL: url },
  });
  return stdout.trim();
}

describe('the environment of the process', () => {
  it('should not be able to switch the verification of TLS off', async () => {
    const receiver = await running(startHttps());
    const url = `https://receiver.test:${receiver.port}/`;
    expect(await attemptWith({ NODE_TLS_REJECT_UNAUTHORIZED: '0' }, url)).toBe('tls');
    expect(receiver.received).toHaveLength(0);
  });

  it('should be able to add a certificate authority', async () => {
    const receiver = await running(startHttps());
    const url = `https://receiver.test:${receiver.port}/`;
    expect(await attemptWith({ NODE_EXTRA_CA_CERTS: CERTIFICATE }, url)).toBe('response 200');
  });

  it('should not put a proxy in between', async () => {
    const receiver = await running(startHttp());
    const proxy = await running(startHttp());
    const proxyUrl = `http://127.0.0.1:${proxy.port}`;
    const env = {
      HTTP_PROXY: proxyUrl,
      http_proxy: proxyUrl,
      ALL_PROXY: proxyUrl,
      NODE_USE_ENV_PROXY: '1',
      NO_PROXY: '',
    };
    expect(await attemptWith(env, `http://receiver.test:${receiver.port}/`)).toBe('response 200');
    expect(proxy.connections()).toBe(0);
  });
});
