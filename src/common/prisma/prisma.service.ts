import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { PrismaPg } from '@prisma/adapter-pg';
import { createHash } from 'node:crypto';
import pg from 'pg';
import { Prisma, PrismaClient } from '../../generated/prisma/client.js';
import { CONFIG, type Config } from '../config/config.js';
import { readConnectionParameters } from './connection-parameters.js';
import { ConnectionPool } from './connection-pool.js';
import { SESSION_BOUNDS } from './session-bounds.js';
import { ANSWER_TIMEOUT_MS, dropVanished } from './vanished-connections.js';

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
/** For a transaction to begin: the pool, which gives up first, knows why. */
const BEGIN_TIMEOUT_MS = CONNECT_TIMEOUT_MS + 1_000;
const POOL_SIZE = 10;
/** A connection has planned its statements: one that is opened for each burst plans them anew. */
const IDLE_TIMEOUT_MS = 600_000;

/** 64-bit integers as the client gives them; everything else as the driver does. */
const INT8_OID = 20;
const TYPES: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    oid === INT8_OID ? BigInt : (pg.types.getTypeParser(oid, format) as (text: string) => unknown),
};

/** The connections of this process: a pool for all, and one for the dispatcher's claims. */
@Injectable()
export class PrismaService extends PrismaClient implements OnModuleDestroy {
  private readonly pool: pg.Pool;
  private readonly claims: pg.Pool;
  private readonly names = new Map<string, string>();

  constructor(@Inject(CONFIG) config: Config) {
    const { databaseSchema: schema, databaseOptions } = config;
    const options: pg.PoolConfig = {
      query_timeout: ANSWER_TIMEOUT_MS,
      ...SESSION_BOUNDS,
      application_name: 'tensorpix-gateway',
      ...readConnectionParameters(config.databaseUrl),
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      idleTimeoutMillis: IDLE_TIMEOUT_MS,
      // The last of two settings counts.
      options: [databaseOptions, ...SESSION_OPTIONS, `-c search_path="${schema}"`].join(' ').trim(),
    };
    const pool = new ConnectionPool({ ...options, max: POOL_SIZE });
    const claims = new ConnectionPool({ ...options, max: 1 });
    // An idle connection that breaks is dropped by its pool; whoever needs one gets another, or learns that there is none.
    for (const each of [pool, claims]) {
      each.on('error', () => undefined);
      // Nor may one that breaks before whoever waited for it has seen it: an error without a listener ends the process.
      each.on('connect', (client) => void client.on('error', () => undefined));
      dropVanished(each);
    }
    super({
      adapter: new PrismaPg(pool, { schema, statementNameGenerator: ({ sql }) => nameOf(sql) }),
      errorFormat: 'minimal',
      transactionOptions: { maxWait: BEGIN_TIMEOUT_MS },
    });
    this.pool = pool;
    this.claims = claims;
  }

  /**
   * Runs one statement on a connection of the pool, past the client, whose translation of parameters and rows was a fifth of
   * what a create cost (ADR 14). For the statements that every create, webhook and look makes; there is no transaction around it.
   *
   * @throws the driver's errors, with their SQLSTATE as `code`
   */
  $rows<Row extends object>(text: TemplateStringsArray, ...values: unknown[]): Promise<Row[]> {
    return this.run<Row>(this.pool, Prisma.sql(text, ...values));
  }

  /**
   * The same on a connection of its own, for the dispatcher's claims, one at a time: it has planned them, while one of the pool
   * may be new, and no burst of other work stands before them. That was most of what the slowest webhooks waited for.
   */
  $claimRows<Row extends object>(text: TemplateStringsArray, ...values: unknown[]): Promise<Row[]> {
    return this.run<Row>(this.claims, Prisma.sql(text, ...values));
  }

  async onModuleDestroy(): Promise<void> {
    await this.$disconnect();
    await Promise.all([this.pool.end(), this.claims.end()]);
  }

  private async run<Row extends object>(pool: pg.Pool, statement: Prisma.Sql): Promise<Row[]> {
    const { text, values } = statement;
    let name = this.names.get(text);
    if (name === undefined) this.names.set(text, (name = nameOf(text)));
    const { rows } = await pool.query<Row>({ name, text, values, types: TYPES });
    return rows;
  }
}

/** Named statements are prepared once a connection instead of planned at every call. */
function nameOf(sql: string): string {
  return createHash('sha1').update(sql).digest('base64url');
}
