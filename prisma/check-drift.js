/**
 * `tsx prisma/check-drift.js` fails when schema.prisma and the migrations disagree, and prints the difference.
 */
import { findDifference, withServer } from './difference.js';
import { runAsProgram } from './program.js';
import { ToolError } from './session.js';

async function main() {
  const sql = await withServer((serverUrl) => findDifference(serverUrl));
  if (sql === '') return console.log('schema.prisma and the migrations agree');
  throw new ToolError(`schema.prisma and the migrations disagree. The migrations lack:\n\n${sql}`);
}

await runAsProgram(import.meta.filename, main);
