import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { PrismaPg } from '@prisma/adapter-pg';
import { createHash } from 'node:crypto';
import { PrismaClient } from '../../generated/prisma/client.js';
import { CONFIG, type Config } from '../config/config.js';
import { SESSION_BOUNDS } from './session-bounds.js';

/**
 * Every statement here is meant to look its few rows up in an index. A plan that was cached while a table was small would
 * read all of it until the next ANALYZE, by a scan or by a join that hashes or merges the whole index: measured, a binding
 * update then read 4,310 rows to change one. And none runs so long that compiling it would pay.
 *
 * A statement is planned once a session, for whatever parameters: Postgres, which compares estimates, planned some claims at
 * every call, and that took longer than running them. So a condition that an index depends on is written out, never a
 * parameter (ADR 13).
 */
const SESSION_OPTIONS = [
  ...['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin', 'jit'].map((name) => `-c ${name}=off`),
  '-c plan_cache_mode=force_generic_plan',
];
const CONNECT_TIMEOUT_MS = 5_000;
const POOL_SIZE = 10;
/** A connection has planned its statements: one that is opened for each burst plans them anew. */
const IDLE_TIMEOUT_MS = 600_000;

/** The one pool of this process. */
@Injectable()
export class PrismaService extends PrismaClient implements OnModuleDestroy {
  constructor(@Inject(CONFIG) config: Config) {
    const { databaseSchema: schema } = config;
    super({
      adapter: new PrismaPg(
        {
          connectionString: config.databaseUrl,
          max: POOL_SIZE,
          connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
          idleTimeoutMillis: IDLE_TIMEOUT_MS,
          ...SESSION_BOUNDS,
          options: [...SESSION_OPTIONS, `-c search_path=${schema}`].join(' '),
          application_name: 'tensorpix-gateway',
        },
        // Named statements are prepared once a connection instead of planned at every call.
        { schema, statementNameGenerator: ({ sql }) => createHash('sha1').update(sql).digest('base64url') },
      ),
      errorFormat: 'minimal',
    });
  }

  async onModuleDestroy(): Promise<void> {
    await this.$disconnect();
  }
}
