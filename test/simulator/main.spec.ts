import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from '@jest/globals';

const MAIN = new URL('../../simulator/main.ts', import.meta.url).pathname;

function run(...flags: string[]) {
  // Jest's own NODE_OPTIONS are not for the child.
  const env = { ...process.env, NODE_OPTIONS: '' };
  return spawn(process.execPath, ['--import', 'tsx', MAIN, ...flags], { env, stdio: ['ignore', 'pipe', 'pipe'] });
}

async function firstOutput(stream: NodeJS.ReadableStream): Promise<string> {
  const [chunk] = (await once(stream, 'data')) as [Buffer];
  return chunk.toString();
}

describe('the simulator as a program', () => {
  it('should print its address, serve with its flags and stop on SIGTERM', async () => {
    const child = run('--port', '0', '--token', 'first-token', '--token', 'second-token', '--credits', '12.5');
    const url = /http:\/\/[\d.]+:\d+/.exec(await firstOutput(child.stdout))?.[0] ?? '';
    const headers = { authorization: 'Token second-token' };
    const balance = await fetch(`${url}/api/accounts/profile/balance/`, { headers });
    expect(await balance.json()).toEqual({ balance_usd: '12.5000' });
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('should explain its flags and refuse what is no number', async () => {
    const help = run('--help');
    expect(await firstOutput(help.stdout)).toContain('--duration-ms');
    const wrong = run('--pace', 'fast');
    wrong.stderr.resume();
    expect((await once(wrong, 'exit'))[0]).toBe(1);
  });
});
