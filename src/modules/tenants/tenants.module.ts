import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { NoQueryGuard } from '../../common/validation/no-query.guard.js';
import { TensorpixModule } from '../tensorpix/tensorpix.module.js';
import { ApiKeysStore } from './api-keys.store.js';
import { AuthGuard } from './auth.guard.js';
import { Authenticator } from './authenticator.js';
import { KeyDirectory } from './key-directory.js';
import { ParkedJobsStore } from './parked-jobs.store.js';
import { TenantTokens } from './tenant-tokens.js';
import { TenantsController } from './tenants.controller.js';
import { TenantsService } from './tenants.service.js';
import { TenantsStore } from './tenants.store.js';

/** Tenants, their keys and TensorPix tokens, and who a request is from. */
@Module({
  imports: [TensorpixModule],
  controllers: [TenantsController],
  providers: [
    TenantsStore,
    ParkedJobsStore,
    ApiKeysStore,
    KeyDirectory,
    Authenticator,
    TenantTokens,
    TenantsService,
    // One after the other: who nobody knows is told nothing else.
    { provide: APP_GUARD, useClass: AuthGuard },
    { provide: APP_GUARD, useClass: NoQueryGuard },
  ],
  exports: [ParkedJobsStore, TenantTokens, KeyDirectory, Authenticator],
})
export class TenantsModule {}
