import { ApiProperty } from '@nestjs/swagger';

/** The secret of a tenant's `callback_url`s, as Standard Webhooks writes it. */
export class WebhookSecretResource {
  @ApiProperty({ description: 'The current one.', example: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' }) secret!: string;
}
