import pg from 'pg';
import type { PrismaService } from '../../src/common/prisma/prisma.service.js';
import { Prisma } from '../../src/generated/prisma/client.js';

/** The statement that a store would run. */
export async function statementOf(run: (prisma: PrismaService) => Promise<unknown>): Promise<Prisma.Sql> {
  let statement: Prisma.Sql | null = null;
  const note = (text: TemplateStringsArray, ...values: unknown[]): Promise<unknown[]> => {
    statement ??= Prisma.sql(text, ...values);
    return Promise.resolve([]);
  };
  await run({ $queryRaw: note, $executeRaw: note, $rows: note, $claimRows: note } as unknown as PrismaService);
  if (!statement) throw new Error('no statement was run');
  return statement;
}

export interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
  'Temp Written Blocks': number;
  Plans?: PlanNode[];
}

/** A statement in a session as the gateway's are: what it plans once, it keeps. */
export interface Prepared {
  /** Runs it, and takes it back; with other values, if they are given. */
  explain(values?: unknown[]): Promise<PlanNode>;
  close(): Promise<void>;
}

export async function prepare(pool: pg.Pool, statement: Prisma.Sql): Promise<Prepared> {
  const session = new pg.Client(pool.options);
  await session.connect();
  for (const name of ['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin', 'jit'])
    await session.query(`set ${name} = off`);
  await session.query('set plan_cache_mode = force_generic_plan');
  await session.query(`prepare explained as ${statement.text}`);
  const explain = async (values = statement.values): Promise<PlanNode> => {
    await session.query('begin');
    const list = values.map(literal).join(', ');
    const text = `explain (analyze, buffers, format json) execute explained${list && ` (${list})`}`;
    const { rows } = await session.query<{ 'QUERY PLAN': { Plan: PlanNode }[] }>(text);
    await session.query('rollback');
    const plan = rows[0]?.['QUERY PLAN'][0]?.Plan;
    if (!plan) throw new Error('no plan');
    return plan;
  };
  return { explain, close: () => session.end() };
}

/** Runs it as the gateway's sessions do, and takes it back. */
export async function explain(pool: pg.Pool, statement: Prisma.Sql): Promise<PlanNode> {
  const prepared = await prepare(pool, statement);
  try {
    return await prepared.explain();
  } finally {
    await prepared.close();
  }
}

/** The values of EXECUTE are part of its text; their types are those of the prepared statement. */
function literal(value: unknown): string {
  if (value === null) return 'null';
  if (value instanceof Date) return pg.escapeLiteral(value.toISOString());
  if (Array.isArray(value)) return pg.escapeLiteral(`{${value.map((each) => JSON.stringify(String(each))).join(',')}}`);
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return pg.escapeLiteral(String(value));
  throw new Error('a value of this kind is not known here');
}

/** What a plan of another time costs must not depend on whether the server analyses on its own meanwhile. */
export async function withoutAutovacuum(pool: pg.Pool): Promise<void> {
  const tables = await pool.query<{ name: string }>(
    'select tablename as name from pg_tables where schemaname = current_schema',
  );
  for (const { name } of tables.rows) await pool.query(`alter table ${name} set (autovacuum_enabled = false)`);
}

export type Statement = [name: string, run: (prisma: PrismaService) => Promise<unknown>];

/**
 * Plans statements as of now, each in a session of its own. An ANALYZE of a table makes every session plan anew what reads
 * it: whoever wants to know what these plans cost later must not analyse before.
 *
 * @returns runs them with those plans and with the parameters of that time, once
 */
export async function keepPlans(pool: pg.Pool, statements: Statement[]): Promise<() => Promise<Map<string, PlanNode>>> {
  const kept: [Statement, Prepared][] = [];
  for (const statement of statements) {
    const prepared = await prepare(pool, await statementOf(statement[1]));
    await prepared.explain();
    kept.push([statement, prepared]);
  }
  return async () => {
    const plans = new Map<string, PlanNode>();
    for (const [[name, run], prepared] of kept) {
      plans.set(name, await prepared.explain((await statementOf(run)).values));
      await prepared.close();
    }
    return plans;
  };
}

export function scansOf(plan: PlanNode): string[] {
  const own = plan['Node Type'] === 'Seq Scan' ? [plan['Relation Name'] ?? ''] : [];
  return [...own, ...(plan.Plans ?? []).flatMap(scansOf)];
}

export function buffersOf(plan: PlanNode): number {
  return plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];
}

/** What a statement wrote to disk because it did not fit into its memory. */
export function tempBlocksOf(plan: PlanNode): number {
  return plan['Temp Written Blocks'];
}
