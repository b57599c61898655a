import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { ApiProblems } from '../../common/http/api-problems.js';
import type { Page } from '../../common/http/cursor.js';
import { IdPipe } from '../../common/validation/id.pipe.js';
import { NoBody } from '../../common/validation/no-body.js';
import { BodyPipe, QueryPipe } from '../../common/validation/validate.pipe.js';
import { RequireScope, Tenant, type CurrentTenant } from '../tenants/auth.guard.js';
import { CancelReplaysDto, ListDeliveriesQuery, ReplayDto, VerifyDto } from './webhook-deliveries.dto.js';
import {
  CanceledReplaysResource,
  DeliveryDetailResource,
  DeliveryPage,
  DeliveryResource,
  DiagnosisResource,
  ReplayResource,
} from './webhook-deliveries.resource.dto.js';
import { WebhookDeliveriesService } from './webhook-deliveries.service.js';

/** What became of every webhook (contract, section 7). */
@ApiTags('webhooks')
@Controller('v1/webhook-deliveries')
export class WebhookDeliveriesController {
  constructor(private readonly deliveries: WebhookDeliveriesService) {}

  @Get()
  @RequireScope('webhooks:read')
  @ApiOperation({ summary: 'List deliveries, newest first' })
  @ApiResponse({ status: 200, type: DeliveryPage })
  @ApiProblems('validation_failed')
  list(
    @Tenant() tenant: CurrentTenant,
    @Query(new QueryPipe(ListDeliveriesQuery)) query: ListDeliveriesQuery,
  ): Promise<Page<DeliveryResource>> {
    return this.deliveries.list(tenant.id, query);
  }

  @Post('replay')
  @HttpCode(202)
  @RequireScope('webhooks:write')
  @ApiOperation({
    summary: 'Send a range of deliveries again',
    description:
      'Each once more, with the same `webhook-id`, outside the order, at most 100 a second. At most 10,000 a request; `next_cursor` continues.',
  })
  @ApiResponse({ status: 202, type: ReplayResource })
  @ApiProblems('validation_failed', 'rate_limited')
  replay(@Tenant() tenant: CurrentTenant, @Body(new BodyPipe(ReplayDto)) body: ReplayDto): Promise<ReplayResource> {
    return this.deliveries.replay(tenant.id, body);
  }

  @Post('replay/cancel')
  @HttpCode(200)
  @RequireScope('webhooks:write')
  @ApiOperation({
    summary: 'Stop replays',
    description: 'What they have not sent yet is not sent. What is scheduled anyway, and single retries, stay.',
  })
  @ApiBody({ type: CancelReplaysDto, required: false })
  @ApiResponse({ status: 200, type: CanceledReplaysResource })
  @ApiProblems('validation_failed')
  cancelReplays(
    @Tenant() tenant: CurrentTenant,
    @Body(new BodyPipe(CancelReplaysDto)) body: CancelReplaysDto,
  ): Promise<CanceledReplaysResource> {
    return this.deliveries.cancelReplays(tenant.id, body);
  }

  @Post('verify')
  @HttpCode(200)
  @RequireScope('webhooks:read')
  @ApiOperation({
    summary: 'Find out why a signature does not verify',
    description: 'Paste what your receiver got; the answer says which check fails, and what to do.',
  })
  @ApiResponse({ status: 200, type: DiagnosisResource })
  @ApiProblems('validation_failed')
  verify(@Tenant() tenant: CurrentTenant, @Body(new BodyPipe(VerifyDto)) body: VerifyDto): Promise<DiagnosisResource> {
    return this.deliveries.verify(tenant.id, body);
  }

  @Get(':id')
  @RequireScope('webhooks:read')
  @ApiOperation({ summary: 'Read a delivery with its attempts' })
  @ApiResponse({ status: 200, type: DeliveryDetailResource })
  @ApiProblems('not_found')
  get(@Tenant() tenant: CurrentTenant, @Param('id', IdPipe) id: string): Promise<DeliveryDetailResource> {
    return this.deliveries.get(tenant.id, id);
  }

  @Post(':id/retry')
  @HttpCode(202)
  @RequireScope('webhooks:write')
  @ApiOperation({
    summary: 'Send a delivery again',
    description: 'One attempt, at once, with the same `webhook-id`, outside the order. Every request makes one.',
  })
  @ApiResponse({ status: 202, type: DeliveryResource })
  @ApiProblems('validation_failed', 'not_found', 'invalid_state', 'rate_limited')
  retry(
    @Tenant() tenant: CurrentTenant,
    @Param('id', IdPipe) id: string,
    @NoBody() _: void,
  ): Promise<DeliveryResource> {
    return this.deliveries.retry(tenant.id, id);
  }
}
