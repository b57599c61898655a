import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { PrismaPg } from '@prisma/adapter-pg';
import { createHash } from 'node:crypto';
import { PrismaClient } from '../../generated/prisma/client.js';
import { CONFIG, type Config } from '../config/config.js';

/**
 * Bounds of every session (invariant 8): a replica that stops in the middle of a transaction must lose its row locks
 * well before its leases end. The shortest lease is the callback timeout plus its margin.
 */
const STATEMENT_TIMEOUT_MS = 10_000;
const LOCK_TIMEOUT_MS = 5_000;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000;
/**
 * Every statement here is meant to look its few rows up in an index. A plan that was cached while a table was small would
 * read all of it until the next ANALYZE, by a scan or by a join that hashes or merges the whole index: measured, a binding
 * update then read 4,310 rows to change one. And none runs so long that compiling it would pay.
 */
const SESSION_OPTIONS = ['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin', 'jit'].map(
  (name) => `-c ${name}=off`,
);
const CONNECT_TIMEOUT_MS = 5_000;
const POOL_SIZE = 10;

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
          statement_timeout: STATEMENT_TIMEOUT_MS,
          lock_timeout: LOCK_TIMEOUT_MS,
          idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
          options: [...SESSION_OPTIONS, `-c search_path=${schema}`].join(' '),
          keepAlive: true,
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
