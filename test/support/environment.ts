import { TestEnvironment } from 'jest-environment-node';
import { createRequire } from 'node:module';
import pg from 'pg';

/** What is read of jest-circus's events. */
interface TestEvent {
  name: string;
  test?: { errors: unknown[] };
}

declare global {
  var sharedModule: (name: string) => unknown;
  /** The names of what `useDatabase()` has made for the file. */
  var testDatabases: string[];
}

const require = createRequire(import.meta.url);

/**
 * Node's environment, which also drops the file's databases once its last hook is over: earlier, sessions of a gateway that is
 * still up would be cut. If a test or a hook of the file has failed, they are kept and named at the end of the run.
 *
 * And it has `sharedModule`, by which the files in `shared/` give out packages that are loaded once for all test files of a
 * worker, instead of anew for each: hundreds of files that the gateway needs to start, and that none of its tests is about.
 */
export default class GatewayEnvironment extends TestEnvironment {
  private readonly databases: string[] = [];
  private failed = false;

  override async setup(): Promise<void> {
    await super.setup();
    Object.assign(this.global, {
      sharedModule: (name: string): unknown => require(name),
      testDatabases: this.databases,
    });
  }

  override async teardown(): Promise<void> {
    if (!this.failed && this.databases.length > 0) await drop(this.databases);
    await super.teardown();
  }

  handleTestEvent(event: TestEvent): void {
    this.failed ||=
      event.name === 'test_fn_failure' ||
      event.name === 'hook_failure' ||
      event.name === 'error' ||
      (event.name === 'test_done' && (event.test?.errors.length ?? 0) > 0);
  }
}

async function drop(databases: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: process.env.TEST_SERVER_URL });
  await client.connect();
  try {
    for (const name of databases) await client.query(`DROP DATABASE ${client.escapeIdentifier(name)} WITH (FORCE)`);
  } finally {
    await client.end();
  }
}
