import { Module, type DynamicModule } from '@nestjs/common';
import { CommonModule } from './common/common.module.js';
import type { Config } from './common/config/config.js';
import type { Logger } from './common/logging/logger.js';
import { HealthModule } from './modules/health/health.module.js';
import { ImagesModule } from './modules/images/images.module.js';
import { JobsModule } from './modules/jobs/jobs.module.js';
import { TenantsModule } from './modules/tenants/tenants.module.js';
import { WebhooksModule } from './modules/webhooks/webhooks.module.js';

/** The whole program; which loops run is decided by `GATEWAY_ROLE`. */
@Module({})
export class AppModule {
  static with(config: Config, logger: Logger): DynamicModule {
    return {
      module: AppModule,
      // Their order is that of the documentation.
      imports: [
        CommonModule.with(config, logger),
        JobsModule,
        ImagesModule,
        WebhooksModule,
        TenantsModule,
        HealthModule,
      ],
    };
  }
}
