import { Module } from '@nestjs/common';
import { HealthController } from './health.controller.js';
import { HealthStore } from './health.store.js';

/** Probes and metrics (contract, section 9). */
@Module({ controllers: [HealthController], providers: [HealthStore] })
export class HealthModule {}
