import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiProperty, ApiResponse, ApiTags } from '@nestjs/swagger';
import { Problem } from '../../common/errors/problem.js';
import { ApiProblems } from '../../common/http/api-problems.js';
import { BodyPipe } from '../../common/validation/validate.pipe.js';
import { RequireScope, Tenant, type CurrentTenant } from '../tenants/auth.guard.js';
import { SigningSecrets } from './signing-secrets.js';
import { DEFAULT_OVERLAP_SECONDS, RotateSecretDto } from './webhook-endpoints.dto.js';
import { WebhookSecretsStore, type SecretOwner } from './webhook-secrets.store.js';

/** The secret of a tenant's `callback_url`s, as Standard Webhooks writes it. */
export class WebhookSecretResource {
  @ApiProperty({ example: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' }) secret!: string;
}

/** The secret of a tenant's `callback_url`s (contract, section 7). */
@ApiTags('webhooks')
@Controller('v1/webhook-secret')
export class WebhookSecretController {
  constructor(
    private readonly store: WebhookSecretsStore,
    private readonly signing: SigningSecrets,
  ) {}

  @Get()
  @RequireScope('webhooks:read')
  @ApiOperation({ summary: 'The secret that signs webhooks to callback URLs' })
  @ApiResponse({ status: 200, type: WebhookSecretResource })
  @ApiProblems()
  async get(@Tenant() tenant: CurrentTenant): Promise<WebhookSecretResource> {
    const [secret = ''] = await this.store.findSigning(callbacksOf(tenant));
    return { secret };
  }

  @Post('rotate')
  @HttpCode(200)
  @RequireScope('webhooks:write')
  @ApiOperation({ summary: 'Replace the secret', description: 'Both sign until the overlap has passed.' })
  @ApiBody({ type: RotateSecretDto, required: false })
  @ApiResponse({ status: 200, type: WebhookSecretResource })
  @ApiProblems('validation_failed', 'not_found')
  async rotate(
    @Tenant() tenant: CurrentTenant,
    @Body(new BodyPipe(RotateSecretDto)) body: RotateSecretDto,
  ): Promise<WebhookSecretResource> {
    const secret = await this.store.rotate(callbacksOf(tenant), body.overlap_seconds ?? DEFAULT_OVERLAP_SECONDS);
    this.signing.forget(callbacksOf(tenant));
    if (secret === null) throw Problem.notFound('The tenant');
    return { secret };
  }
}

function callbacksOf({ id: tenantId }: CurrentTenant): SecretOwner {
  return { tenantId, endpointId: null };
}
