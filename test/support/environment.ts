import { TestEnvironment } from 'jest-environment-node';
import { createRequire } from 'node:module';

/** What is read of jest-circus's events. */
interface TestEvent {
  name: string;
  test?: { errors: unknown[] };
}

declare global {
  var sharedModule: (name: string) => unknown;
}

const require = createRequire(import.meta.url);

/**
 * Node's environment, which also notes whether a test or a hook of the file has failed: `afterAll` cannot ask Jest for that,
 * and a failed file's database is worth keeping (see database.ts). A failure in `afterAll` itself comes too late to count.
 *
 * And it has `sharedModule`, by which the files in `shared/` give out packages that are loaded once for all test files of a
 * worker, instead of anew for each: hundreds of files that the gateway needs to start, and that none of its tests is about.
 */
export default class GatewayEnvironment extends TestEnvironment {
  override async setup(): Promise<void> {
    await super.setup();
    Object.assign(this.global, { sharedModule: (name: string): unknown => require(name) });
  }

  handleTestEvent(event: TestEvent): void {
    const failed =
      event.name === 'test_fn_failure' ||
      event.name === 'hook_failure' ||
      event.name === 'error' ||
      (event.name === 'test_done' && (event.test?.errors.length ?? 0) > 0);
    if (failed) Object.assign(this.global, { testFileFailed: true });
  }
}
