import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { CONFIG, type Config } from '../config/config.js';
import { Logger } from '../logging/logger.js';
import { readConnectionParameters } from '../prisma/connection-parameters.js';
import { SESSION_BOUNDS } from '../prisma/session-bounds.js';
import { isUnanswered, socketOf } from '../prisma/vanished-connections.js';
import { backoffMs } from './backoff.js';

/** What there may be to do: webhooks that are due, jobs to be sent, tenants to be looked at, news of TensorPix's host. */
export type Topic = 'deliveries' | 'submissions' | 'looks' | 'upstream';

const TOPICS: readonly Topic[] = ['deliveries', 'submissions', 'looks', 'upstream'];
const CHANNEL = 'tensorpix_gateway';
/** Rings within this time go out as one notification. */
const GATHER_MS = 20;
const RECONNECT_BASE_MS = 500;
const RECONNECT_CAP_MS = 30_000;
const CONNECT_TIMEOUT_MS = 5_000;
const KEEP_ALIVE_MS = 30_000;
/** A host that has vanished answers no goodbye. */
const END_MS = 1_000;

/**
 * Wakes loops before their interval is over: those of this process at once, those of other replicas by NOTIFY, on a
 * connection of its own. It only shortens waits (invariant 14): what it loses, the intervals find.
 */
@Injectable()
export class WakeUps implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly wakers = new Map<Topic, () => void>();
  /** Told apart from the others, so that nobody is woken by its own notification. */
  private readonly instance = randomUUID();
  private readonly rung = new Set<Topic>();
  private client: pg.Client | null = null;
  private gathering: NodeJS.Timeout | null = null;
  private reconnecting: NodeJS.Timeout | null = null;
  private failures = 0;
  private closed = false;
  private readonly parameters: pg.ClientConfig;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly logger: Logger,
  ) {
    this.parameters = readConnectionParameters(config.databaseUrl);
  }

  onApplicationBootstrap(): void {
    void this.connect();
  }

  async onModuleDestroy(): Promise<void> {
    this.closed = true;
    if (this.reconnecting) clearTimeout(this.reconnecting);
    if (this.gathering) clearTimeout(this.gathering);
    if (this.client) await endWithin(this.client, END_MS);
  }

  on(topic: Topic, waker: () => void): void {
    this.wakers.set(topic, waker);
  }

  /** Wakes the loop of this process. */
  wake(topic: Topic): void {
    this.wakers.get(topic)?.();
  }

  /** Wakes the loops of all replicas. To be called after the commit of what there is to do. */
  ring(topic: Topic): void {
    this.wake(topic);
    this.rung.add(topic);
    this.gathering ??= setTimeout(() => void this.notify(), GATHER_MS);
  }

  /** One at a time: a connection that has died silently gathers no queries. */
  private async notify(): Promise<void> {
    const topics = [...this.rung];
    this.rung.clear();
    const { client } = this;
    try {
      await client?.query('select pg_notify($1, $2)', [CHANNEL, `${this.instance} ${topics.join(' ')}`]);
    } catch (error) {
      // It tells of its end itself, but not when the other side has vanished without a word.
      if (client && isUnanswered(error)) socketOf(client).destroy();
    }
    this.gathering = this.rung.size > 0 ? setTimeout(() => void this.notify(), GATHER_MS) : null;
  }

  private async connect(): Promise<void> {
    const client = new pg.Client({
      options: this.config.databaseOptions,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: CONNECT_TIMEOUT_MS,
      ...SESSION_BOUNDS,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
      application_name: 'tensorpix-gateway wake-ups',
      ...this.parameters,
    });
    client.on('notification', ({ payload = '' }) => this.receive(payload));
    // One that breaks while it connects says so twice.
    let lost = false;
    const lose = (error?: unknown): void => {
      if (lost) return;
      lost = true;
      this.reconnect(error);
    };
    client.on('error', lose);
    client.on('end', () => lose());
    try {
      await client.connect();
      await client.query(`listen ${CHANNEL}`);
    } catch (error) {
      void client.end().catch(() => undefined);
      return lose(error);
    }
    if (this.closed) return void (await client.end().catch(() => undefined));
    this.client = client;
    this.failures = 0;
    // What was rung meanwhile was not heard.
    for (const topic of TOPICS) this.wake(topic);
  }

  private reconnect(error: unknown): void {
    this.client = null;
    if (this.closed) return;
    if (this.failures === 0)
      this.logger.warn({ err: error }, 'the connection for wake-ups is lost; loops go by their intervals');
    this.failures += 1;
    const delayMs = backoffMs(this.failures, RECONNECT_BASE_MS, RECONNECT_CAP_MS);
    this.reconnecting = setTimeout(() => void this.connect(), delayMs);
  }

  private receive(payload: string): void {
    const [sender, ...topics] = payload.split(' ');
    if (sender === this.instance) return;
    for (const topic of TOPICS) if (topics.includes(topic)) this.wake(topic);
  }
}

async function endWithin(client: pg.Client, ms: number): Promise<void> {
  const timer = setTimeout(() => socketOf(client).destroy(), ms);
  await client.end().catch(() => undefined);
  clearTimeout(timer);
}
