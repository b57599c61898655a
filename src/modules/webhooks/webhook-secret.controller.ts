import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { ApiProblems } from '../../common/http/api-problems.js';
import { BodyPipe } from '../../common/validation/validate.pipe.js';
import { RequireScope, Tenant, type CurrentTenant } from '../tenants/auth.guard.js';
import { RotateSecretDto } from './webhook-endpoints.dto.js';
import { WebhookSecretResource } from './webhook-secret.resource.dto.js';
import { WebhookSecretService } from './webhook-secret.service.js';

/** The secret of a tenant's `callback_url`s (contract, section 7). */
@ApiTags('webhooks')
@Controller('v1/webhook-secret')
export class WebhookSecretController {
  constructor(private readonly secrets: WebhookSecretService) {}

  @Get()
  @RequireScope('webhooks:read')
  @ApiOperation({ summary: 'The secret that signs webhooks to callback URLs' })
  @ApiResponse({ status: 200, type: WebhookSecretResource })
  @ApiProblems()
  get(@Tenant() tenant: CurrentTenant): Promise<WebhookSecretResource> {
    return this.secrets.get(tenant.id);
  }

  @Post('rotate')
  @HttpCode(200)
  @RequireScope('webhooks:write')
  @ApiOperation({ summary: 'Replace the secret', description: 'Both sign until the overlap has passed.' })
  @ApiBody({ type: RotateSecretDto, required: false })
  @ApiResponse({ status: 200, type: WebhookSecretResource })
  @ApiProblems('validation_failed', 'not_found')
  rotate(
    @Tenant() tenant: CurrentTenant,
    @Body(new BodyPipe(RotateSecretDto)) body: RotateSecretDto,
  ): Promise<WebhookSecretResource> {
    return this.secrets.rotate(tenant.id, body.overlap_seconds);
  }
}
