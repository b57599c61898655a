import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { findDifference } from '../../prisma/difference.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { writeMigration, writeMigrations } from '../support/migrations.js';
import { runNode } from '../support/programs.js';

const INIT = '20260101000000_init';
const INIT_SQL = `
  CREATE TABLE "jobs" (
    "id" UUID NOT NULL, "due" TIMESTAMPTZ(3), "cost" DECIMAL(14,4) NOT NULL DEFAULT 0, "tags" TEXT[], "input" JSONB NOT NULL,
    CONSTRAINT "jobs_pkey" PRIMARY KEY ("id")
  );
  CREATE INDEX "jobs_due_id_idx" ON "jobs" ("due" DESC, "id");
`;
const SCHEMA = `
datasource db {
  provider = "postgresql"
}

model Job {
  id    String    @id @db.Uuid
  due   DateTime? @db.Timestamptz(3)
  cost  Decimal   @default(0) @db.Decimal(14, 4)
  tags  String[]
  input Json

  @@index([due(sort: Desc), id])
  @@map("jobs")
}
`;

let database: TestDatabase;
let migrationsDir: string;
let schemaFile: string;

beforeEach(async () => {
  database = await createDatabase({ empty: true });
  migrationsDir = await writeMigrations({ [INIT]: INIT_SQL });
  schemaFile = path.join(migrationsDir, 'schema.prisma');
  await fs.writeFile(schemaFile, SCHEMA);
});

afterEach(async () => {
  await database.drop();
  await fs.rm(migrationsDir, { recursive: true });
});

function find(sqlOnlyIndexes: string[] = []): Promise<string> {
  return findDifference(database.url, { schemaFile, migrationsDir, sqlOnlyIndexes });
}

describe('the difference between migrations and schema', () => {
  it('should be empty when both say the same', async () => {
    expect(await find()).toBe('');
  });

  it('should be the whole schema before the first migration', async () => {
    await fs.rm(path.join(migrationsDir, INIT), { recursive: true });
    const sql = await find();
    expect(sql).toContain('CREATE TABLE "jobs"');
    await writeMigration(migrationsDir, INIT, sql);
    expect(await find()).toBe('');
  });

  it('should be the SQL of a column that the migrations lack', async () => {
    await fs.writeFile(schemaFile, SCHEMA.replace('tags ', 'progress Float?\n  tags '));
    expect(await find()).toBe('-- AlterTable\nALTER TABLE "jobs" ADD COLUMN     "progress" DOUBLE PRECISION;');
  });

  it('should leave out what only SQL can say and Prisma does not see', async () => {
    await writeMigration(
      migrationsDir,
      '20260102000000_sql',
      `CREATE INDEX "jobs_due" ON "jobs" ("due") WHERE "due" IS NOT NULL;
       CREATE INDEX "jobs_name" ON "jobs" ((input ->> 'name'));
       ALTER TABLE "jobs" ADD CONSTRAINT "jobs_cost" CHECK ("cost" >= 0);`,
    );
    expect(await find()).toBe('');
  });

  it('should hold an index that Prisma would drop, unless it is listed', async () => {
    await writeMigration(
      migrationsDir,
      '20260102000000_sql',
      'CREATE INDEX "covering" ON "jobs" ("due") INCLUDE ("cost");',
    );
    expect(await find()).toBe('-- DropIndex\nDROP INDEX "covering";');
    expect(await find(['covering'])).toBe('');
  });

  it('should refuse a list that names an index without need', async () => {
    await expect(find(['gone'])).rejects.toThrow('SQL_ONLY_INDEXES names gone');
  });

  it('should not be looked for in a schema that is wrong', async () => {
    await fs.writeFile(schemaFile, SCHEMA.replace('Uuid', 'Nonsense'));
    await expect(find()).rejects.toThrow('Native type Nonsense is not supported');
  });
});

describe('tsx prisma/check-drift.js', () => {
  it('should find that the schema and the migrations of this project agree', async () => {
    const outcome = await runNode(['--import', 'tsx', 'prisma/check-drift.js'], { DATABASE_URL: database.url });
    expect(outcome).toEqual({ exitCode: 0, stdout: 'schema.prisma and the migrations agree\n', stderr: '' });
  });
});
