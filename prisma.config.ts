import { defineConfig } from 'prisma/config';

// `generate` and `validate` never start the schema engine, but the CLI insists on a path to one and would download it.
process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= process.execPath;

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
});
