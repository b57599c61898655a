import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { CONFIG, type Config } from '../../../common/config/config.js';
import { Draining } from '../../../common/draining.js';
import { backoffMs } from '../../../common/loops/backoff.js';
import { Lease } from '../../../common/loops/lease.js';
import { UnderWay } from '../../../common/loops/under-way.js';
import { LoopRunner } from '../../../common/loops/loop-runner.js';
import { Logger } from '../../../common/logging/logger.js';
import { Metrics } from '../../../common/metrics.js';
import { isUniqueViolation } from '../../../common/prisma/database-errors.js';
import { TenantTokens } from '../../tenants/tenant-tokens.js';
import type { JobChange } from '../job-change.js';
import { JobChangesStore } from '../job-changes.store.js';
import type { JobRecord } from '../job-record.js';
import { isLeftToPerson } from '../job-state.js';
import { TenantPaceStore } from '../polling/tenant-pace.store.js';
import { AccountObserver } from './account-observer.js';
import { AccountsStore, type ClaimedAccount, type UnknownJob } from './accounts.store.js';
import { judge, type AccountLook, type Timing } from './judgement.js';
import { ListInterrupted, type ListTrouble } from './list-reader.js';
import { nextLookInMs } from './look-pace.js';
import { unknownCall, verdictChange } from './verdict-change.js';

const INTERVAL_MS = 1_000;
/** Each holds the whole list of an account, of up to 20,000 jobs: some 30 MB. */
const MAX_IN_FLIGHT = 8;
/** Above one call, for the statements between two calls; the claim is renewed before each. Milliseconds. */
const LEASE_MARGIN_MS = 10_000;
const FORGOTTEN_INTERVAL_MS = 30_000;
const TROUBLE_BASE_MS = 2_000;
const TROUBLE_CAP_MS = 60_000;
const NO_TOKEN_PAUSE_MS = 60_000;

/**
 * Finds out what became of calls of unknown outcome. What is claimed is the TensorPix account: TensorPix shows its jobs as
 * one list, whoever of its tenants sent them.
 */
@Injectable()
export class JobsReconciler implements OnApplicationBootstrap {
  private readonly underWay = new UnderWay();
  private readonly timing: Timing;
  private forgottenLookedForAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly accounts: AccountsStore,
    private readonly observer: AccountObserver,
    private readonly changes: JobChangesStore,
    private readonly tokens: TenantTokens,
    private readonly pace: TenantPaceStore,
    private readonly loops: LoopRunner,
    private readonly draining: Draining,
    private readonly metrics: Metrics,
    private readonly logger: Logger,
  ) {
    this.timing = { callTimeoutMs: config.tensorpixTimeoutMs, graceMs: config.reconcileGraceMs };
  }

  onApplicationBootstrap(): void {
    const intervalMs = Math.max(100, Math.min(INTERVAL_MS, this.config.reconcileGraceMs / 4));
    this.loops.start('reconciler', intervalMs, { tick: () => this.tick(), drain: () => this.drain() });
  }

  async tick(): Promise<boolean> {
    await this.wakeForgotten();
    const room = MAX_IN_FLIGHT - this.underWay.size;
    if (room <= 0) return false;
    const lease = new Lease(this.config.tensorpixTimeoutMs + LEASE_MARGIN_MS);
    for (const account of await this.accounts.claimDueAnyAccount(lease, room)) this.start(account, lease.split());
    return false;
  }

  async drain(): Promise<void> {
    await this.underWay.drain();
  }

  private async wakeForgotten(): Promise<void> {
    if (performance.now() - this.forgottenLookedForAtMs < FORGOTTEN_INTERVAL_MS) return;
    this.forgottenLookedForAtMs = performance.now();
    await this.accounts.wakeForgottenAnyAccount();
  }

  private start(account: ClaimedAccount, lease: Lease): void {
    const looking = this.reconcile(account, lease).catch((error: unknown) =>
      this.logger.error(
        { err: error, account_id: account.accountId },
        'a look for jobs of unknown outcome failed; its claim will expire',
      ),
    );
    this.underWay.add(looking);
  }

  private async reconcile(account: ClaimedAccount, lease: Lease): Promise<void> {
    const { accountId, failures } = account;
    const pauseMs = account.tokenCiphertext === null ? NO_TOKEN_PAUSE_MS : account.restMs;
    if (pauseMs > 0) return void (await this.accounts.release(accountId, lease, pauseMs, failures));
    try {
      const left = await this.lookAndJudge(account, lease);
      await this.release(accountId, lease, nextLookInMs(left, this.timing), 0);
    } catch (error) {
      if (!(error instanceof ListInterrupted)) throw error;
      const retryMs = await this.noteTrouble(account, error.trouble);
      const failed = error.trouble.kind === 'stopped' ? failures : failures + 1;
      await this.release(accountId, lease, retryMs, failed);
    }
  }

  /** @returns what is unknown still */
  private async lookAndJudge(account: ClaimedAccount, lease: Lease): Promise<{ left: UnknownJob[]; now: Date }> {
    const { accountId, tenantId, tokenCiphertext } = account;
    const { unknown, time } = await this.accounts.findUnknown(accountId);
    if (unknown.length === 0) return { left: [], now: time.now() };
    const { token } = this.tokens.open(tenantId ?? '', tokenCiphertext ?? '');
    const mayCall = () => this.holdOn(accountId, lease);
    const calls = unknown.map(({ job, equalsUnknownSince }) => unknownCall(job, equalsUnknownSince));
    const look = await this.observer.look({ accountId, token, time, timing: this.timing, mayCall }, calls);
    // Read last: what has become unknown during the look may have been given up since.
    const givenUp = await this.accounts.findGivenUp(accountId, [...new Set(calls.map(({ key }) => key))]);
    const verdicts = judge([...calls, ...givenUp.map((job) => unknownCall(job))], look, this.timing);
    const left: UnknownJob[] = [];
    for (const each of unknown) {
      const { job, unknownCalls } = each;
      const verdict = verdicts.get(job.id) ?? { kind: 'wait' };
      const change = verdictChange(job, verdict, look.begunAt, time.now(), time.latest(), unknownCalls);
      const written = change !== null && (await this.write(change, lease));
      if (written && change) {
        this.metrics.verdicts.inc({ verdict: verdict.kind });
        if (change.after.status === 'unconfirmed') left.push({ ...each, job: change.after });
        this.report(change.after, verdict.kind, look);
      } else left.push(each);
    }
    return { left, now: time.now() };
  }

  private async write(change: JobChange, lease: Lease): Promise<boolean> {
    try {
      return await this.changes.apply(change, { reconcileLease: lease.token });
    } catch (error) {
      // Somebody has bound this very job meanwhile: it is looked at anew.
      if (isUniqueViolation(error)) return false;
      throw error;
    }
  }

  /** Renews the claim unless it covers one more call. False when the claim is gone or the process is shutting down. */
  private async holdOn(accountId: string, lease: Lease): Promise<boolean> {
    if (this.draining.begun) return false;
    const covers = lease.covers(this.config.tensorpixTimeoutMs + LEASE_MARGIN_MS / 2);
    return covers || lease.renew(() => this.accounts.renew(accountId, lease));
  }

  private async release(accountId: string, lease: Lease, nextInMs: number | null, failures: number): Promise<void> {
    const held = await this.accounts.release(accountId, lease, nextInMs, failures);
    if (!held) this.metrics.lostLeases.inc({ loop: 'reconciler' });
  }

  private async noteTrouble(account: ClaimedAccount, trouble: ListTrouble): Promise<number> {
    const { tenantId, tokenCiphertext: ciphertext, failures } = account;
    const retryMs = backoffMs(failures, TROUBLE_BASE_MS, Math.min(TROUBLE_CAP_MS, this.timing.graceMs));
    if (tenantId === null || ciphertext === null) return retryMs;
    if (trouble.kind === 'token_rejected') await this.tokens.noteRejected(tenantId, { ciphertext });
    if (trouble.kind !== 'rate_limited') return retryMs;
    const restMs = Math.max(retryMs, trouble.retryAfterMs ?? 0);
    await this.pace.rest(tenantId, restMs, { token: { ciphertext } });
    return restMs;
  }

  private report(job: JobRecord, verdict: string, { begunAt }: AccountLook): void {
    const { id, tenantId, tensorpixId } = job;
    const fields = { job_id: id, tenant_id: tenantId, verdict, tensorpix_id: tensorpixId, look_begun_at: begunAt };
    this.logger[isLeftToPerson(job) ? 'warn' : 'info'](fields, 'a job of unknown outcome was looked for');
  }
}
