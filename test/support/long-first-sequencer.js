import { createRequire } from 'node:module';

// Its types are those of the CommonJS build.
/** @type {typeof import('@jest/test-sequencer')} */
const { default: TestSequencer } = createRequire(import.meta.url)('@jest/test-sequencer');

/** What takes minutes, longest first: at the end it would keep one worker busy alone. */
const LONG = ['submission-crash', 'webhook-crash', 'odd-answers', 'polling-crash'];

/** Begins with the longest test files; the rest in Jest's own order. */
export default class LongFirstSequencer extends TestSequencer {
  /**
   * @override
   * @type {import('@jest/test-sequencer').default['sort']}
   */
  sort(tests) {
    const place = (/** @type {{ path: string }} */ { path }) =>
      LONG.findIndex((name) => path.endsWith(`/${name}.spec.ts`));
    const long = tests.filter((test) => place(test) >= 0).sort((a, b) => place(a) - place(b));
    return Promise.resolve(super.sort(tests.filter((test) => place(test) < 0))).then((rest) => [...long, ...rest]);
  }
}
