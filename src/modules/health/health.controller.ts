import { Controller, Get, Header } from '@nestjs/common';
import { ApiOperation, ApiProperty, ApiResponse, ApiTags } from '@nestjs/swagger';
import { Problem } from '../../common/errors/problem.js';
import { Draining } from '../../common/draining.js';
import { Public } from '../../common/http/access.js';
import { Metrics } from '../../common/metrics.js';
import { HealthStore } from './health.store.js';

/** What a probe gets (contract, section 9). */
export class HealthResource {
  @ApiProperty({ enum: ['ok'] }) status!: 'ok';
}

/** Contract, section 9: for probes and scrapers, without a key. */
@ApiTags('operations')
@Public()
@Controller()
export class HealthController {
  constructor(
    private readonly store: HealthStore,
    private readonly draining: Draining,
    private readonly metrics: Metrics,
  ) {}

  @Get('health/live')
  @ApiOperation({
    summary: 'The process runs',
    description: 'Says nothing of the database: a restart would not bring it back.',
  })
  @ApiResponse({ status: 200, type: HealthResource })
  live(): HealthResource {
    return { status: 'ok' };
  }

  @Get('health/ready')
  @ApiOperation({
    summary: 'Requests are welcome',
    description: '503 while shutting down, while the database is away, or before its migrations are in place.',
  })
  @ApiResponse({ status: 200, type: HealthResource })
  @ApiResponse({
    status: 503,
    description: '`unavailable`',
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/ProblemResource' } } },
  })
  async ready(): Promise<HealthResource> {
    if (this.draining.begun)
      throw new Problem('unavailable', 'This replica is shutting down.', { retryAfterSeconds: 5 });
    const missing = await this.store.findMissingMigration();
    if (missing !== null)
      throw new Problem('unavailable', `The migration ${missing} is not in place.`, { retryAfterSeconds: 5 });
    return { status: 'ok' };
  }

  @Get('metrics')
  @Header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
  @ApiOperation({ summary: 'Prometheus metrics' })
  @ApiResponse({ status: 200, content: { 'text/plain': { schema: { type: 'string' } } } })
  show(): Promise<string> {
    return this.metrics.registry.metrics();
  }
}
