import { Global, Module, type DynamicModule } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { CONFIG, type Config } from './config/config.js';
import { CanaryStore } from './crypto/canary.store.js';
import { Keyring } from './crypto/keyring.js';
import { Draining } from './draining.js';
import { ProblemFilter } from './errors/problem.filter.js';
import { Cursors } from './http/cursor.js';
import { GracefulClose } from './http/graceful-close.js';
import { RequestLog } from './http/request-log.js';
import { Logger } from './logging/logger.js';
import { LoopRunner } from './loops/loop-runner.js';
import { WakeUps } from './loops/wake-ups.js';
import { Metrics } from './metrics.js';
import { PrismaService } from './prisma/prisma.service.js';

/** What every module may use. It knows no table of a module and nothing of TensorPix. */
@Global()
@Module({})
export class CommonModule {
  static with(config: Config, logger: Logger): DynamicModule {
    const shared = [
      Metrics,
      RequestLog,
      Draining,
      GracefulClose,
      Cursors,
      PrismaService,
      CanaryStore,
      LoopRunner,
      WakeUps,
      ProblemFilter,
    ];
    const providers = [
      { provide: CONFIG, useValue: config },
      { provide: Logger, useValue: logger },
      { provide: Keyring, useValue: new Keyring(config.encryptionKeys) },
      ...shared,
    ];
    return {
      module: CommonModule,
      imports: [ScheduleModule.forRoot()],
      providers,
      exports: [CONFIG, Logger, Keyring, ...shared],
    };
  }
}
