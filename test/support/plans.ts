import type pg from 'pg';
import type { PrismaService } from '../../src/common/prisma/prisma.service.js';
import { Prisma } from '../../src/generated/prisma/client.js';

/** The statement that a store would run. */
export async function statementOf(run: (prisma: PrismaService) => Promise<unknown>): Promise<Prisma.Sql> {
  let statement: Prisma.Sql | null = null;
  const note = (text: TemplateStringsArray, ...values: unknown[]): Promise<unknown[]> => {
    statement ??= Prisma.sql(text, ...values);
    return Promise.resolve([]);
  };
  await run({ $queryRaw: note, $executeRaw: note } as unknown as PrismaService);
  if (!statement) throw new Error('no statement was run');
  return statement;
}

export interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
  Plans?: PlanNode[];
}

/** Runs it as the gateway's sessions do, and takes it back. */
export async function explain(pool: pg.Pool, statement: Prisma.Sql): Promise<PlanNode> {
  const session = await pool.connect();
  try {
    for (const name of ['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin', 'jit'])
      await session.query(`set ${name} = off`);
    await session.query('set plan_cache_mode = force_generic_plan');
    await session.query('begin');
    const text = `explain (analyze, buffers, format json) ${statement.text}`;
    const { rows } = await session.query<{ 'QUERY PLAN': { Plan: PlanNode }[] }>(text, statement.values);
    const plan = rows[0]?.['QUERY PLAN'][0]?.Plan;
    if (!plan) throw new Error('no plan');
    return plan;
  } finally {
    session.release(true);
  }
}

export function scansOf(plan: PlanNode): string[] {
  const own = plan['Node Type'] === 'Seq Scan' ? [plan['Relation Name'] ?? ''] : [];
  return [...own, ...(plan.Plans ?? []).flatMap(scansOf)];
}

export function buffersOf(plan: PlanNode): number {
  return plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];
}
