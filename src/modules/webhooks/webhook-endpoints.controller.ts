import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { ApiProblems } from '../../common/http/api-problems.js';
import type { Page } from '../../common/http/cursor.js';
import { PageQuery } from '../../common/http/page.dto.js';
import { IdPipe } from '../../common/validation/id.pipe.js';
import { NoBody } from '../../common/validation/no-body.js';
import { BodyPipe, QueryPipe } from '../../common/validation/validate.pipe.js';
import { RequireScope, Tenant, type CurrentTenant } from '../tenants/auth.guard.js';
import { DeliveryResource } from './webhook-deliveries.resource.dto.js';
import {
  CreateEndpointDto,
  EndpointPage,
  EndpointResource,
  EndpointWithSecretResource,
  RotateSecretDto,
  UpdateEndpointDto,
} from './webhook-endpoints.dto.js';
import { WebhookEndpointsService } from './webhook-endpoints.service.js';

/** Standing endpoints: URLs that get the webhooks of all jobs and images of a tenant (contract, section 7). */
@ApiTags('webhooks')
@Controller('v1/webhook-endpoints')
export class WebhookEndpointsController {
  constructor(private readonly endpoints: WebhookEndpointsService) {}

  @Post()
  @RequireScope('webhooks:write')
  @ApiOperation({ summary: 'Create a standing endpoint', description: 'The answer shows its signing secret.' })
  @ApiResponse({ status: 201, type: EndpointWithSecretResource })
  @ApiProblems('validation_failed', 'invalid_state')
  create(
    @Tenant() tenant: CurrentTenant,
    @Body(new BodyPipe(CreateEndpointDto)) body: CreateEndpointDto,
  ): Promise<EndpointWithSecretResource> {
    return this.endpoints.create(tenant, body);
  }

  @Get()
  @RequireScope('webhooks:read')
  @ApiOperation({ summary: 'List the standing endpoints, newest first' })
  @ApiResponse({ status: 200, type: EndpointPage })
  @ApiProblems('validation_failed')
  list(
    @Tenant() tenant: CurrentTenant,
    @Query(new QueryPipe(PageQuery)) query: PageQuery,
  ): Promise<Page<EndpointResource>> {
    return this.endpoints.list(tenant, query);
  }

  @Get(':id')
  @RequireScope('webhooks:read')
  @ApiOperation({ summary: 'Read a standing endpoint' })
  @ApiResponse({ status: 200, type: EndpointResource })
  @ApiProblems('not_found')
  get(@Tenant() tenant: CurrentTenant, @Param('id', IdPipe) id: string): Promise<EndpointResource> {
    return this.endpoints.get(tenant, id);
  }

  @Patch(':id')
  @RequireScope('webhooks:write')
  @ApiOperation({
    summary: 'Change, pause or enable a standing endpoint',
    description: 'What fell due while it was paused or disabled is sent, in order, once it is enabled.',
  })
  @ApiResponse({ status: 200, type: EndpointResource })
  @ApiProblems('validation_failed', 'not_found')
  update(
    @Tenant() tenant: CurrentTenant,
    @Param('id', IdPipe) id: string,
    @Body(new BodyPipe(UpdateEndpointDto)) body: UpdateEndpointDto,
  ): Promise<EndpointResource> {
    return this.endpoints.update(tenant, id, body);
  }

  @Delete(':id')
  @HttpCode(204)
  @RequireScope('webhooks:write')
  @ApiOperation({
    summary: 'Delete a standing endpoint',
    description: 'What is still to be delivered to it is given up.',
  })
  @ApiResponse({ status: 204 })
  @ApiProblems('not_found')
  delete(@Tenant() tenant: CurrentTenant, @Param('id', IdPipe) id: string): Promise<void> {
    return this.endpoints.delete(tenant, id);
  }

  @Post(':id/rotate-secret')
  @HttpCode(200)
  @RequireScope('webhooks:write')
  @ApiOperation({
    summary: 'Replace the secret',
    description: 'Both sign until the overlap has passed, the new one first.',
  })
  @ApiBody({ type: RotateSecretDto, required: false })
  @ApiResponse({ status: 200, type: EndpointWithSecretResource })
  @ApiProblems('validation_failed', 'not_found')
  rotateSecret(
    @Tenant() tenant: CurrentTenant,
    @Param('id', IdPipe) id: string,
    @Body(new BodyPipe(RotateSecretDto)) body: RotateSecretDto,
  ): Promise<EndpointWithSecretResource> {
    return this.endpoints.rotateSecret(tenant, id, body.overlap_seconds);
  }

  @Post(':id/test')
  @HttpCode(202)
  @RequireScope('webhooks:write')
  @ApiOperation({
    summary: 'Send webhook.test',
    description: 'One attempt, whatever the state of the endpoint is; the delivery shows what came of it.',
  })
  @ApiResponse({ status: 202, type: DeliveryResource })
  @ApiProblems('validation_failed', 'not_found')
  test(@Tenant() tenant: CurrentTenant, @Param('id', IdPipe) id: string, @NoBody() _: void): Promise<DeliveryResource> {
    return this.endpoints.test(tenant, id);
  }
}
