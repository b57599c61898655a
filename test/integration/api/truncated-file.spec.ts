import { describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { useDatabase } from '../../support/database.js';
import { eventually, gatewayEnv } from '../../support/gateway.js';
import { exchange } from '../../support/world.js';

const MAIN = fileURLToPath(new URL('../../../dist/main.js', import.meta.url));

/**
 * Busboy emits an error on the stream of a file whose part ends early, in a later turn. Without a listener that ends
 * the process, and anyone can do it: bodies are parsed before keys are looked at. Needs the built program.
 */
describe('a multipart body that ends inside a file', () => {
  const database = useDatabase();

  it('should not end the process of the gateway', async () => {
    let output = '';
    const env = { ...process.env, NODE_OPTIONS: '', ...gatewayEnv(database.url(), 'http://127.0.0.1:9') };
    const gateway = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    gateway.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    gateway.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    try {
      await eventually(
        () => output,
        (text) => text.includes('listening'),
      );
      const url = /"url":"([^"]+)"/.exec(output)?.[1] ?? '';
      const body = '--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nxxxx';
      const headers = { 'content-type': 'multipart/form-data; boundary=b' };
      const refused = await exchange(url, { headers, body }).catch((error: Error) => ({ status: error.message }));
      const live = await exchange(url, { method: 'GET', path: '/health/live' }).catch(() => ({ status: 'gone' }));
      expect([400, 401]).toContain(refused.status);
      expect({ live: live.status, exitCode: gateway.exitCode, output }).toMatchObject({
        live: 200,
        exitCode: null,
      });
    } finally {
      gateway.kill('SIGKILL');
    }
  });
});
