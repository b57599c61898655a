import { TestEnvironment } from 'jest-environment-node';

/** What is read of jest-circus's events. */
interface TestEvent {
  name: string;
  test?: { errors: unknown[] };
}

/**
 * Node's environment, which also notes whether a test or a hook of the file has failed: `afterAll` cannot ask Jest for that,
 * and a failed file's database is worth keeping (see database.ts). A failure in `afterAll` itself comes too late to count.
 */
export default class GatewayEnvironment extends TestEnvironment {
  handleTestEvent(event: TestEvent): void {
    const failed =
      event.name === 'test_fn_failure' ||
      event.name === 'hook_failure' ||
      event.name === 'error' ||
      (event.name === 'test_done' && (event.test?.errors.length ?? 0) > 0);
    if (failed) Object.assign(this.global, { testFileFailed: true });
  }
}
