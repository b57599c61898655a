import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';

/** Writes a directory of migrations as Prisma lays them out; `sqlByName` is in the order of the names. Returns its path. */
export async function writeMigrations(sqlByName: Record<string, string>): Promise<string> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'migrations-'));
  await fs.writeFile(path.join(directory, 'migration_lock.toml'), 'provider = "postgresql"\n');
  for (const [name, sql] of Object.entries(sqlByName)) await writeMigration(directory, name, sql);
  return directory;
}

export async function writeMigration(directory: string, name: string, sql: string): Promise<void> {
  await fs.mkdir(path.join(directory, name), { recursive: true });
  await fs.writeFile(path.join(directory, name, 'migration.sql'), sql);
}
