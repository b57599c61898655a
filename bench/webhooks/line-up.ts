import { randomBytes } from 'node:crypto';
import { startBenchPostgres, tidyDatabase, type BenchPostgres } from '../support/postgres.js';
import { startBenchRedis, type BenchRedis } from '../support/redis.js';
import type { SpawnOptions } from '../support/server-process.js';
import { CONTESTANT_NAMES, CONTESTANTS, type Contestant, type ContestantName } from './contestants.js';
import { RemoteCourier } from './remote-courier.js';

/** A contestant whose process and store are running. */
export interface Entrant {
  contestant: Contestant;
  courier: RemoteCourier;
  store: EntrantStore | null;
}

export interface EntrantStore {
  /** of the server that holds it */
  pid: number;
  /** Brings it to the same state before each measurement. */
  tidy: () => Promise<void>;
}

export interface LineUp {
  entrants: Entrant[];
  /** Wanted, and not measured. */
  leftOut: { name: string; reason: string }[];
  stop: () => Promise<void>;
}

interface Servers {
  postgres: BenchPostgres | null;
  redis: BenchRedis | null;
}

/** Starts the stores that are needed and a process for each of the wanted contestants. */
export async function startLineUp(wanted: readonly ContestantName[], options: SpawnOptions): Promise<LineUp> {
  const chosen = CONTESTANTS.filter(({ name }) => wanted.includes(name));
  const needs = (store: Contestant['store']): boolean => chosen.some((contestant) => contestant.store === store);
  const servers: Servers = { postgres: null, redis: null };
  const entrants: Entrant[] = [];
  const stop = async (): Promise<void> => {
    for (const { courier } of entrants) await courier.end();
    await servers.redis?.stop();
    await servers.postgres?.stop();
  };
  try {
    const leftOut = absentees(wanted);
    servers.postgres = needs('postgres') ? await startBenchPostgres() : null;
    const redis = needs('redis') ? await startBenchRedis() : null;
    if (redis && 'missing' in redis) leftOut.push({ name: 'bullmq', reason: redis.missing });
    else servers.redis = redis;
    const secret = `whsec_${randomBytes(32).toString('base64')}`;
    for (const contestant of chosen) {
      if (contestant.store === 'redis' && !servers.redis) continue;
      entrants.push(await enter(contestant, servers, secret, options));
    }
    return { entrants, leftOut, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function absentees(wanted: readonly ContestantName[]): LineUp['leftOut'] {
  const unwanted = CONTESTANT_NAMES.filter((name) => !wanted.includes(name));
  const unwritten = wanted.filter((name) => !CONTESTANTS.some((contestant) => contestant.name === name));
  return [
    ...unwanted.map((name) => ({ name, reason: 'not asked for' })),
    ...unwritten.map((name) => ({ name, reason: 'there is no courier for it yet' })),
  ];
}

async function enter(
  contestant: Contestant,
  { postgres, redis }: Servers,
  secret: string,
  options: SpawnOptions,
): Promise<Entrant> {
  let databaseUrl = '';
  let store: EntrantStore | null = null;
  if (contestant.store === 'postgres' && postgres) {
    databaseUrl = await postgres.createDatabase(`bench_${contestant.name.replaceAll('-', '_')}`);
    store = { pid: postgres.pid, tidy: () => tidyDatabase(databaseUrl) };
  }
  if (contestant.store === 'redis' && redis) store = { pid: redis.pid, tidy: async () => undefined };
  const environment = { databaseUrl, redisUrl: redis?.url ?? '', secret };
  return { contestant, courier: await RemoteCourier.start(contestant, environment, options), store };
}
