import { realpathSync } from 'node:fs';
import { ToolError } from './session.js';

/**
 * Runs `main` if `file` is what Node was started with, not when it is imported. A `ToolError` is told in its own words, with
 * exit code 1; anything else is a defect and shows its stack.
 *
 * @param {string} file
 * @param {(args: string[]) => Promise<void>} main
 */
export async function runAsProgram(file, main) {
  const started = process.argv[1];
  if (!started || realpathSync(started) !== file) return;
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof ToolError ? error.message : error);
    process.exitCode = 1;
  }
}
