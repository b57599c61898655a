import { CheckedJsonField, CheckedStringField, StringField } from '../../common/validation/fields.js';
import { countCharacters, isStorableText } from '../../common/validation/text.js';

const MAX_METADATA_KEYS = 16;
const MAX_METADATA_KEY_LENGTH = 40;
const MAX_METADATA_VALUE_LENGTH = 500;
const MAX_METADATA_BYTES = 8_192;

/** The gateway's own fields of a create, beside TensorPix's (contract, section 4). */
export class OwnFieldsDto {
  @StringField({
    description: 'URL that gets the webhooks of this job: https, and http where the gateway allows it.',
    maxLength: 2048,
    nullable: true,
    format: 'uri',
    example: 'https://hooks.example.com/tensorpix',
  })
  callback_url?: string | null;

  @CheckedStringField(
    {
      description: "The client's own name for the job; filterable.",
      minLength: 1,
      maxLength: 128,
      nullable: true,
      example: 'order-4711',
    },
    () => null,
  )
  external_id?: string | null;

  @CheckedJsonField(
    {
      description: 'Returned and sent in webhooks. A JSON string in a form.',
      nullable: true,
      example: { team: 'restoration' },
    },
    {
      type: 'object',
      additionalProperties: { type: 'string', maxLength: MAX_METADATA_VALUE_LENGTH },
      maxProperties: MAX_METADATA_KEYS,
    },
    checkMetadata,
  )
  metadata?: Record<string, string> | null;
}

function checkMetadata(value: unknown): string | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'must be an object';
  const entries = Object.entries(value as Record<string, unknown>);
  if (entries.length > MAX_METADATA_KEYS) return `must have at most ${MAX_METADATA_KEYS} keys`;
  for (const [key, text] of entries) {
    if (key === '' || countCharacters(key) > MAX_METADATA_KEY_LENGTH)
      return `must have keys of 1 to ${MAX_METADATA_KEY_LENGTH} characters`;
    if (typeof text !== 'string') return 'must have string values';
    if (countCharacters(text) > MAX_METADATA_VALUE_LENGTH)
      return `must have values of at most ${MAX_METADATA_VALUE_LENGTH} characters`;
    if (!isStorableText(key) || !isStorableText(text)) return 'must not contain NUL characters or lone surrogates';
  }
  return Buffer.byteLength(JSON.stringify(value)) > MAX_METADATA_BYTES ? 'must not be larger than 8 kB as JSON' : null;
}
