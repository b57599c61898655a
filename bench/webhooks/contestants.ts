import type { Courier, CourierEnvironment } from './courier.js';

export const CONTESTANT_NAMES = ['gateway', 'ceiling', 'plain-store', 'graphile-worker', 'pg-boss', 'bullmq'] as const;
export type ContestantName = (typeof CONTESTANT_NAMES)[number];

/** What is known of a contestant before anything of it is started. */
export interface Contestant {
  name: ContestantName;
  label: string;
  /** Where it keeps deliveries: gets a Postgres database of its own, or the Redis; their CPU time counts too. */
  store: 'none' | 'postgres' | 'redis';
  /**
   * Whether it makes the one attempt at each delivery to a dead receiver while it is measured, or may put these off:
   * then nobody waits for them, and some may be missing.
   */
  deadReceivers: 'attempted' | 'may be put off';
  /** Called in its own process only, so that no process loads what another one needs. */
  load: () => Promise<{ createCourier: (environment: CourierEnvironment) => Promise<Courier> }>;
}

/** In the order in which they are measured. */
export const CONTESTANTS: readonly Contestant[] = [
  {
    name: 'gateway',
    label: 'gateway',
    store: 'postgres',
    deadReceivers: 'may be put off',
    load: () => import('./couriers/gateway.js'),
  },
  {
    name: 'ceiling',
    label: '(a) ceiling',
    store: 'none',
    deadReceivers: 'attempted',
    load: () => import('./couriers/ceiling.js'),
  },
  {
    name: 'plain-store',
    label: '(a+) ceiling that stores',
    store: 'postgres',
    deadReceivers: 'attempted',
    load: () => import('./couriers/plain-store.js'),
  },
  {
    name: 'graphile-worker',
    label: '(b) graphile-worker',
    store: 'postgres',
    deadReceivers: 'attempted',
    load: () => import('./couriers/graphile-worker.js'),
  },
  {
    name: 'pg-boss',
    label: '(c) pg-boss',
    store: 'postgres',
    deadReceivers: 'attempted',
    load: () => import('./couriers/pg-boss.js'),
  },
  {
    name: 'bullmq',
    label: '(d) BullMQ',
    store: 'redis',
    deadReceivers: 'attempted',
    load: () => import('./couriers/bullmq.js'),
  },
];
