import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { CONFIG, type Config } from '../../../common/config/config.js';
import { backoffMs } from '../../../common/loops/backoff.js';
import { Lease } from '../../../common/loops/lease.js';
import { UnderWay } from '../../../common/loops/under-way.js';
import { WakeUps } from '../../../common/loops/wake-ups.js';
import { LoopRunner } from '../../../common/loops/loop-runner.js';
import { Logger } from '../../../common/logging/logger.js';
import { Metrics } from '../../../common/metrics.js';
import { TenantTokens, type OpenToken } from '../../tenants/tenant-tokens.js';
import { CallPace } from './call-pace.js';
import { TenantLook, type LookResult } from './tenant-look.js';
import { TenantPaceStore, type ClaimedTenant, type LookEnd } from './tenant-pace.store.js';

const INTERVAL_MS = 1_000;
const MAX_IN_FLIGHT = 64;
/** A look begins a call only while the lease covers it: the rest of the lease is for the calls before. */
const LOOK_MS = 15_000;
const FORGOTTEN_INTERVAL_MS = 30_000;
const NOTHING_LEARNED = { gained: 0, learned: null, hurriedInMs: null };

/**
 * Follows the jobs at TensorPix. What is claimed is the tenant, not the job: one look covers all its jobs, one replica
 * at a time, and a tenant in trouble (throttled, rejected token, slow) costs the others nothing.
 */
@Injectable()
export class JobsPoller implements OnApplicationBootstrap {
  private readonly underWay = new UnderWay();
  private wake: () => void = () => undefined;
  private forgottenLookedForAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly pace: TenantPaceStore,
    private readonly tenantLook: TenantLook,
    private readonly tokens: TenantTokens,
    private readonly loops: LoopRunner,
    private readonly wakeUps: WakeUps,
    private readonly metrics: Metrics,
    private readonly logger: Logger,
  ) {}

  onApplicationBootstrap(): void {
    this.wake = this.loops.start('poller', Math.min(INTERVAL_MS, this.config.pollMinIntervalMs), {
      tick: () => this.tick(),
      drain: () => this.drain(),
    });
    this.wakeUps.on('looks', this.wake);
  }

  /** Claims tenants that are due and starts their looks; a slow one holds back nobody. */
  async tick(): Promise<boolean> {
    await this.wakeForgotten();
    const room = MAX_IN_FLIGHT - this.underWay.size;
    if (room <= 0) return false;
    const lease = new Lease(this.config.tensorpixTimeoutMs + LOOK_MS);
    const claimed = await this.pace.claimDueAnyTenant(lease, room);
    for (const tenant of claimed) this.start(tenant, lease.split());
    return claimed.length === room;
  }

  async drain(): Promise<void> {
    await this.underWay.drain();
  }

  private async wakeForgotten(): Promise<void> {
    if (performance.now() - this.forgottenLookedForAtMs < FORGOTTEN_INTERVAL_MS) return;
    this.forgottenLookedForAtMs = performance.now();
    await this.pace.wakeForgottenAnyTenant();
  }

  private start(tenant: ClaimedTenant, lease: Lease): void {
    const looking = this.look(tenant, lease)
      .catch((error: unknown) => this.giveUp(tenant, lease, error))
      .catch((error: unknown) =>
        this.logger.error({ err: error, tenant_id: tenant.tenantId }, 'a claim could not be ended; it will expire'),
      );
    this.underWay.add(looking, () => {
      if (this.underWay.size === MAX_IN_FLIGHT - 1) this.wake();
    });
  }

  private async look(tenant: ClaimedTenant, lease: Lease): Promise<void> {
    const { tenantId, accountId, tokenCiphertext, failures, known } = tenant;
    const { tensorpixTimeoutMs: callTimeoutMs, pollMinIntervalMs: minMs, pollMaxIntervalMs: maxMs } = this.config;
    if (tokenCiphertext === null)
      return this.release(tenantId, lease, { nextLookInMs: maxMs, failures: 0, ...NOTHING_LEARNED });
    const token = this.tokens.open(tenantId, tokenCiphertext);
    const pace = new CallPace(tenant.callsPerSecond);
    const context = { tenantId, accountId, token: token.token, lease, pace, callTimeoutMs };
    const result = await this.tenantLook.look(context, { minMs, maxMs }, known);
    const failed = result.trouble !== null && result.trouble.kind !== 'lease_over';
    await this.note(tenant, lease, token, result, pace.gained > 0);
    await this.release(tenantId, lease, {
      nextLookInMs: this.nextLookInMs(result, failures),
      failures: failed ? failures + 1 : 0,
      gained: failed ? 0 : pace.gained,
      learned: result.learned,
      hurriedInMs: result.trouble === null ? minMs : null,
    });
  }

  /** A fault of ours, or of the database: tried again soon, but not at once. */
  private async giveUp({ tenantId, failures }: ClaimedTenant, lease: Lease, error: unknown): Promise<void> {
    this.logger.error({ err: error, tenant_id: tenantId }, 'a look at TensorPix failed; it will be tried again');
    const { pollMinIntervalMs: minMs, pollMaxIntervalMs: maxMs } = this.config;
    const nextLookInMs = Math.max(minMs, backoffMs(failures, minMs, maxMs));
    await this.release(tenantId, lease, { nextLookInMs, failures: failures + 1, ...NOTHING_LEARNED });
  }

  private async release(tenantId: string, lease: Lease, end: LookEnd): Promise<void> {
    const held = await this.pace.release(tenantId, lease, end);
    if (!held) this.metrics.lostLeases.inc({ loop: 'poller' });
  }

  /** @param served TensorPix has served a call: the token is good */
  private async note(
    { tenantId, failures }: ClaimedTenant,
    lease: Lease,
    token: OpenToken,
    { trouble }: LookResult,
    served: boolean,
  ): Promise<void> {
    if (trouble === null && served) await this.tokens.noteValid(tenantId, token);
    if (trouble?.kind === 'token_rejected') await this.tokens.noteRejected(tenantId, token);
    if (trouble?.kind !== 'rate_limited') return;
    const restMs =
      trouble.retryAfterMs ?? backoffMs(failures, this.config.pollMinIntervalMs, this.config.pollMaxIntervalMs);
    await this.pace.rest(tenantId, restMs, { token, heldBy: lease });
  }

  /** Backing off while TensorPix is in trouble. */
  private nextLookInMs({ trouble, nextLookInMs }: LookResult, failures: number): number {
    const { pollMinIntervalMs: minMs, pollMaxIntervalMs: maxMs } = this.config;
    if (trouble?.kind === 'token_rejected') return maxMs;
    if (trouble === null || trouble.kind === 'lease_over') return nextLookInMs;
    return Math.max(minMs, backoffMs(failures, minMs, maxMs));
  }
}
