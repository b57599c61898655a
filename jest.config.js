/** @type {import('jest').Config} */
export default {
  testEnvironment: '<rootDir>/test/support/environment.ts',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    '^(\\.{1,2}/.*)\\.js$': '$1',
    // Loaded once for all files of a worker, see test/support/environment.ts.
    '^rxjs$': '<rootDir>/test/support/shared/rxjs.cjs',
    '^rxjs/operators$': '<rootDir>/test/support/shared/rxjs-operators.cjs',
    '^es-toolkit/compat$': '<rootDir>/test/support/shared/es-toolkit.cjs',
    '^libphonenumber-js/max$': '<rootDir>/test/support/shared/phone-numbers.cjs',
    '^luxon$': '<rootDir>/test/support/shared/luxon.cjs',
    '^@prisma/client/runtime/query_compiler_fast_bg\\.postgresql\\.wasm-base64\\.mjs$':
      '<rootDir>/test/support/shared/query-compiler.cjs',
  },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          keepClassNames: true,
        },
        module: { type: 'es6', ignoreDynamic: true },
        sourceMaps: 'inline',
      },
    ],
  },
  testMatch: ['<rootDir>/test/**/*.spec.ts'],
  testSequencer: '<rootDir>/test/support/long-first-sequencer.js',
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  testTimeout: 120_000,
  // Most of what the tests do is waiting for processes, leases and loops.
  maxWorkers: 3,
};
