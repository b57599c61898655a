import { createRequire } from 'node:module';

// Its types are those of the CommonJS build.
/** @type {typeof import('@jest/test-sequencer')} */
const { default: TestSequencer } = createRequire(import.meta.url)('@jest/test-sequencer');

/**
 * What takes long, and comes first: at the end it would keep one worker busy alone. The two crash runs keep both cores busy by
 * starting gateways, so the second has its turn when the first is about to end; what is between them waits most of the time.
 */
const LONG = [
  'submission-crash',
  'odd-answers',
  'polling-crash',
  'reconciliation',
  'waiting',
  'webhook-crash',
  'demo',
  'start',
  'crash',
  'shutdown',
];

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
