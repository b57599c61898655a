/**
 * The second half of `npm run build`: makes of `build/`, which the compiler has written, and of the packages that it imports
 * the few files of `dist/`. Node takes half the CPU to start from them that it takes for 2,400 files: a second and a half
 * less, which is six in a container with a quarter of a CPU.
 *
 * Nothing is minified: the place of an error names methods and declared functions as they are, and `node --enable-source-maps
 * dist/main.js` leads it back to `src/`. What main.ts loads with `import()` stays a file of its own.
 */
import { build } from 'esbuild';
import { mkdir, rm, writeFile } from 'node:fs/promises';

/** Looked for at run time by packages that can do without them; the gateway does without them. */
const NOT_NEEDED = [
  '@fastify/multipart',
  '@fastify/view',
  '@nestjs/microservices',
  '@nestjs/platform-express',
  '@nestjs/websockets',
  'cache-manager',
  'pg-native',
];

/** Reads the files that it serves from beside its own code, as what it serves does. */
const WITH_FILES = ['@fastify/static'];

/**
 * How esbuild gives a function its name. A create makes dozens of functions, and each would get a shape of its own by it, which
 * is slow to make and to call. The names that count are those of classes, and the one by which @nestjs/swagger knows a lazy
 * type, `type: () => Job`; other functions without a prototype go without, and those that are called so already are left alone.
 */
const NAMING = 'var __name = (target, value) => __defProp(';
const QUICK_NAMING =
  'var __name = (target, value) => target.name === value || (!target.prototype && value !== "type") ? target : __defProp(';

const { outputFiles } = await build({
  entryPoints: ['build/main.js'],
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: [...NOT_NEEDED, ...WITH_FILES],
  // Nest and the OpenAPI document go by the names of classes.
  keepNames: true,
  // CommonJS packages call `require` for what is built in or external. The name must be one that no package uses.
  banner: {
    js: `import { createRequire as requireOfBundle } from 'node:module'; const require = requireOfBundle(import.meta.url);`,
  },
  sourcemap: 'linked',
  sourcesContent: false,
  logLevel: 'warning',
  write: false,
});

if (outputFiles.filter(({ text }) => text.includes(NAMING)).length !== 1)
  throw new Error('esbuild names functions in another way');
await rm('dist', { recursive: true, force: true });
await mkdir('dist');
// Within a line, for the source maps.
for (const { path, contents, text } of outputFiles)
  await writeFile(path, path.endsWith('.js') ? text.replace(NAMING, QUICK_NAMING) : contents);
