import { Module } from '@nestjs/common';
import { HealthController } from './health.controller.js';
import { HealthStore } from './health.store.js';

/** Probes, metrics and the document of the API (contract, section 9). */
@Module({ controllers: [HealthController], providers: [HealthStore] })
export class HealthModule {}
