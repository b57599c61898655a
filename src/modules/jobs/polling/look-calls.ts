import { Injectable } from '@nestjs/common';
import { Draining } from '../../../common/draining.js';
import type { Lease } from '../../../common/loops/lease.js';
import type { CallOutcome, Refusal } from '../../tensorpix/call-outcome.js';
import type { CallPace } from './call-pace.js';
import { TenantPaceStore } from './tenant-pace.store.js';

/** Why a look ended before it had seen everything. */
export type LookTrouble =
  | { kind: 'rate_limited'; retryAfterMs: number | null }
  | { kind: 'token_rejected' }
  | { kind: 'unavailable' }
  | { kind: 'lease_over' };

/** A look that ends here: what TensorPix, or the claim, says concerns all of its calls. */
export class LookInterrupted extends Error {
  constructor(readonly trouble: LookTrouble) {
    super(trouble.kind);
    this.name = 'LookInterrupted';
  }
}

/** The claim under which a look asks and writes, the token it asks with, and how fast. */
export interface LookContext {
  tenantId: string;
  accountId: string;
  token: string;
  lease: Lease;
  pace: CallPace;
  callTimeoutMs: number;
}

/** Makes the calls of a look: at the tenant's rate, only under a claim that covers them, none once TensorPix says stop. */
@Injectable()
export class LookCalls {
  constructor(
    private readonly tenantPace: TenantPaceStore,
    private readonly draining: Draining,
  ) {}

  /** @throws LookInterrupted when it must not be made, or what TensorPix answers concerns all calls of the tenant */
  async ask<T>(context: LookContext, call: () => Promise<CallOutcome<T>>): Promise<CallOutcome<T>> {
    const { pace } = context;
    if (!this.draining.begun) await pace.turn();
    if (this.draining.begun || !(await this.isCovered(context))) throw new LookInterrupted({ kind: 'lease_over' });
    const outcome = await call();
    if (outcome.kind === 'ok') pace.noteServed();
    if (outcome.kind === 'refused') interruptOn(outcome.refusal);
    return outcome;
  }

  /** A long look prolongs its claim, which is never longer than a call and a little. */
  private async isCovered({ tenantId, lease, callTimeoutMs }: LookContext): Promise<boolean> {
    return lease.covers(callTimeoutMs) || (await lease.renew(() => this.tenantPace.renew(tenantId, lease)));
  }
}

function interruptOn({ reason, retryAfterMs }: Refusal): void {
  if (reason === 'rate_limited') throw new LookInterrupted({ kind: 'rate_limited', retryAfterMs });
  if (reason === 'token_rejected') throw new LookInterrupted({ kind: 'token_rejected' });
}
