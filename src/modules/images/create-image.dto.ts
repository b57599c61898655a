import { BooleanField, EnumField, EnumListField, StringField } from '../../common/validation/fields.js';
import { OwnFieldsDto } from '../jobs/job-fields.dto.js';
import { IMAGE_WEBHOOK_TYPES, type WebhookType } from '../webhooks/webhook-types.js';

const ENHANCEMENT_TYPES = ['underwaterCC', 'denoise', 'sr2x', 'sr4x', 'faceEnhance'] as const;
const OUTPUT_FORMATS = ['png', 'jpg', 'webp', 'jpeg'] as const;

/** TensorPix's request fields of `UrlImageEnhancement`: what of a create is sent on. */
export const IMAGE_INPUT_FIELDS = ['url', 'enhancement_type', 'face_enhance', 'output_format', 'watermark'] as const;

/** Body of `POST /v1/images`: TensorPix's `UrlImageEnhancement` (API 1.1.0) and the gateway's own fields. */
export class CreateImageDto extends OwnFieldsDto {
  @StringField({
    description: 'URL of the image itself. Presigned URLs should live at least 2 hours.',
    required: true,
    minLength: 5,
    maxLength: 1000,
    format: 'uri',
    example: 'https://dummyimage.com/600x400/000/fff',
  })
  url!: string;

  @EnumField(ENHANCEMENT_TYPES, { description: 'Kind of enhancement.', required: true, example: 'sr2x' })
  enhancement_type!: (typeof ENHANCEMENT_TYPES)[number];

  @BooleanField({ description: 'Enhance faces.', required: true, example: false })
  face_enhance!: boolean;

  @EnumField(OUTPUT_FORMATS, { description: 'Format of the output.', required: true, example: 'png' })
  output_format!: (typeof OUTPUT_FORMATS)[number];

  @BooleanField({
    description: 'With a watermark the image is free, and limited in number a day.',
    required: true,
    example: true,
  })
  watermark!: boolean;

  @EnumListField(IMAGE_WEBHOOK_TYPES, {
    description: 'Webhooks that the callback URL gets; default both.',
    maxItems: IMAGE_WEBHOOK_TYPES.length,
    nullable: true,
  })
  callback_events?: WebhookType[] | null;
}
