import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface Outcome {
  exitCode: number;
  stdout: string;
  stderr: string;
}

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

/** Runs Node in the project's directory, without the options of the test runner and with `env` on top of the environment. */
export function runNode(args: string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const options = { cwd: PROJECT, env: { ...process.env, NODE_OPTIONS: '', ...env } };
  return new Promise((resolve) => {
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      resolve({ exitCode: error ? Number(error.code ?? 1) : 0, stdout, stderr });
    });
  });
}
