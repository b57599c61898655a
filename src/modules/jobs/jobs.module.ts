import { Module } from '@nestjs/common';
import { TenantsModule } from '../tenants/tenants.module.js';
import { TensorpixModule } from '../tensorpix/tensorpix.module.js';
import { WebhooksModule } from '../webhooks/webhooks.module.js';
import { EventStreams } from './event-streams.service.js';
import { JobCancelService } from './job-cancel.service.js';
import { IdempotencyKeysStore } from './idempotency/idempotency-keys.store.js';
import { ReplayService } from './idempotency/replay.service.js';
import { JobResolutionController } from './job-resolution.controller.js';
import { JobResolutionService } from './job-resolution.service.js';
import { JobsSweeper } from './jobs.sweeper.js';
import { AccountObserver } from './reconciliation/account-observer.js';
import { AccountsStore } from './reconciliation/accounts.store.js';
import { JobsReconciler } from './reconciliation/jobs.reconciler.js';
import { SightingsStore } from './reconciliation/sightings.store.js';
import { JobIntentsStore } from './job-intents.store.js';
import { JobChangesStore } from './job-changes.store.js';
import { JobClaimsStore } from './job-claims.store.js';
import { JobCreationService } from './job-creation.service.js';
import { LostClaims } from './lost-claims.js';
import { JobsController } from './jobs.controller.js';
import { JobWatch } from './job-watch.js';
import { JobsPoller } from './polling/jobs.poller.js';
import { JobsService } from './jobs.service.js';
import { JobsStore } from './jobs.store.js';
import { JobsSubmitter } from './jobs.submitter.js';
import { RetentionStore } from './retention.store.js';
import { SubmissionRecorder } from './submission-recorder.js';
import { SubmissionService } from './submission.service.js';
import { LookCalls } from './polling/look-calls.js';
import { ObservationsStore } from './polling/observations.store.js';
import { TenantLook } from './polling/tenant-look.js';
import { TenantPaceStore } from './polling/tenant-pace.store.js';

/** Jobs: their routes, and the loops that submit, follow and reconcile them. */
@Module({
  imports: [TensorpixModule, TenantsModule, WebhooksModule],
  controllers: [JobsController, JobResolutionController],
  providers: [
    JobsStore,
    JobIntentsStore,
    JobChangesStore,
    JobClaimsStore,
    TenantPaceStore,
    SubmissionRecorder,
    LostClaims,
    SubmissionService,
    JobCreationService,
    JobCancelService,
    JobWatch,
    EventStreams,
    JobsService,
    JobsSubmitter,
    ObservationsStore,
    LookCalls,
    TenantLook,
    JobsPoller,
    IdempotencyKeysStore,
    ReplayService,
    AccountsStore,
    SightingsStore,
    AccountObserver,
    JobsReconciler,
    JobResolutionService,
    RetentionStore,
    JobsSweeper,
  ],
  exports: [JobsService, EventStreams, JobCreationService, SubmissionService],
})
export class JobsModule {}
