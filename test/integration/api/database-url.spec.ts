import { afterEach, describe, expect, it } from '@jest/globals';
import * as fs from 'node:fs/promises';
import request from 'supertest';
import { migrate } from '../../../prisma/migrate.js';
import { PrismaService } from '../../../src/common/prisma/prisma.service.js';
import { NEEDED_MIGRATION } from '../../../src/modules/health/health.store.js';
import { createDatabase, type TestDatabase } from '../../support/database.js';
import { startGateway, type Gateway } from '../../support/gateway.js';

const NOWHERE = 'http://127.0.0.1:9';

describe('the database of DATABASE_URL', () => {
  let database: TestDatabase | undefined;
  let gateway: Gateway | undefined;

  afterEach(async () => {
    await gateway?.close();
    await database?.drop();
  });

  async function startWith(query: string): Promise<Gateway> {
    database = await createDatabase({ empty: true });
    const url = `${database.url}?${query}`;
    await migrate(url);
    gateway = await startGateway(url, NOWHERE);
    return gateway;
  }

  it.each(['schema=Gateway', 'schema=gateway_2', 'schema=g$1', 'schema=', 'application_name=a'])(
    'should be the same for the migrations and the gateway: ?%s',
    async (query) => {
      const { url } = await startWith(query);
      await request(url).get('/health/ready').expect(200);
    },
  );

  it('should have its own options of a session beside those that the statements need', async () => {
    const { app } = await startWith(`options=${encodeURIComponent('-c work_mem=7MB -c enable_seqscan=on')}`);
    const [row] = await app.get(PrismaService).$queryRaw<object[]>`
      select current_setting('work_mem') as work_mem, current_setting('enable_seqscan') as enable_seqscan,
             current_setting('plan_cache_mode') as plan_cache_mode`;
    expect(row).toEqual({ work_mem: '7MB', enable_seqscan: 'off', plan_cache_mode: 'force_generic_plan' });
  });
});

describe('readiness', () => {
  it('should ask for the newest migration', async () => {
    const entries = await fs.readdir(new URL('../../../prisma/migrations', import.meta.url), { withFileTypes: true });
    const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    expect(NEEDED_MIGRATION).toBe(names.sort().at(-1));
  });
});
