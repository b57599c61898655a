/**
 * `tsx prisma/diff.js` prints the SQL that leads from the migrations to schema.prisma: the draft of a new migration. It prints
 * nothing else, so that `> prisma/migrations/<time>_<name>/migration.sql` is enough.
 */
import { findDifference, withServer } from './difference.js';
import { runAsProgram } from './program.js';

async function main() {
  const sql = await withServer((serverUrl) => findDifference(serverUrl));
  console.log(sql || '-- schema.prisma and the migrations agree.');
}

await runAsProgram(import.meta.filename, main);
