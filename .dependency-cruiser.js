/** Import directions: compat → images → jobs → webhooks → tenants → tensorpix → common. */
const ROOMS = ['compat', 'images', 'jobs', 'webhooks', 'tenants', 'tensorpix'];

const oneWay = ROOMS.map((room, i) => ({
  name: `${room}-imports-only-downwards`,
  comment: `modules/${room} may import only ${ROOMS.slice(i + 1).join(', ') || 'common'} and common`,
  severity: 'error',
  from: { path: `^src/modules/${room}/` },
  to: { path: `^src/modules/(${[...ROOMS.slice(0, i), 'health'].join('|')})/` },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...oneWay,
    {
      name: 'health-stands-alone',
      severity: 'error',
      from: { path: '^src/modules/health/' },
      to: { path: '^src/modules/(?!health/)' },
    },
    {
      name: 'common-knows-no-module',
      severity: 'error',
      from: { path: '^src/common/' },
      to: { path: '^src/(modules/|app\\.|main)' },
    },
    {
      name: 'only-main-imports-app',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(main|app\\.setup)\\.ts$' },
      to: { path: '^src/(app\\.|main)' },
    },
    { name: 'simulator-shares-no-code', severity: 'error', from: { path: '^simulator/' }, to: { path: '^src/' } },
    {
      name: 'src-is-self-contained',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(simulator|dev|test|bench)/' },
    },
    {
      name: 'no-dev-dependencies-in-src',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'] },
    },
    {
      name: 'no-undeclared-packages',
      severity: 'error',
      from: { path: '^(src|simulator)/' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'axios-only-in-tensorpix',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/modules/tensorpix/' },
      to: { path: '^node_modules/axios' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^src/generated' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.d.ts'],
    },
  },
};
