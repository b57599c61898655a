import { Injectable } from '@nestjs/common';
import { Problem } from '../../common/errors/problem.js';
import { SigningSecrets } from './signing-secrets.js';
import { DEFAULT_OVERLAP_SECONDS } from './webhook-endpoints.dto.js';
import type { WebhookSecretResource } from './webhook-secret.resource.dto.js';
import { WebhookSecretsStore } from './webhook-secrets.store.js';

/** The secret of a tenant's `callback_url`s (contract, section 7). */
@Injectable()
export class WebhookSecretService {
  constructor(
    private readonly secrets: WebhookSecretsStore,
    private readonly signing: SigningSecrets,
  ) {}

  async get(tenantId: string): Promise<WebhookSecretResource> {
    const [secret = ''] = await this.secrets.findSigning({ tenantId, endpointId: null });
    return { secret };
  }

  /** @throws Problem 404 when the tenant has been deleted since its key was looked up */
  async rotate(tenantId: string, overlapSeconds: number | null | undefined): Promise<WebhookSecretResource> {
    const owner = { tenantId, endpointId: null };
    const secret = await this.secrets.rotate(owner, overlapSeconds ?? DEFAULT_OVERLAP_SECONDS);
    this.signing.forget(owner);
    if (secret === null) throw Problem.notFound('The tenant');
    return { secret };
  }
}
