import { describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const PROJECT = new URL('../../../', import.meta.url);

const read = (file: string): Promise<string> => readFile(fileURLToPath(new URL(file, PROJECT)), 'utf8');

/** The files of `prisma/` that a program of it consists of. */
async function modulesOf(file: string, found = new Set<string>()): Promise<Set<string>> {
  if (found.has(file)) return found;
  found.add(file);
  for (const [, name = ''] of (await read(file)).matchAll(/from '\.\/([\w-]+\.js)'/g))
    await modulesOf(`prisma/${name}`, found);
  return found;
}

describe('the image', () => {
  it('should have every module of the program that migrates', async () => {
    const [copied = ''] = /^COPY prisma\/migrate\.js .*$/m.exec(await read('Dockerfile')) ?? [];
    expect(copied.split(' ').slice(1, -1).sort()).toEqual([...(await modulesOf('prisma/migrate.js'))].sort());
  });
});
