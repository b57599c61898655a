import { ApiProperty } from '@nestjs/swagger';
import { isIPv6 } from 'node:net';
import { NextCursor } from '../../common/http/page.dto.js';
import {
  CheckedListField,
  CheckedJsonField,
  CheckedStringField,
  EnumField,
  EnumListField,
  IntegerField,
  ObjectField,
  StringField,
} from '../../common/validation/fields.js';
import { checkTime } from '../../common/validation/time.js';
import { SCOPES, type Scope } from './api-key.js';
import { TOKEN_PATTERN } from './tenant-token.js';
import type { TenantStatus } from './tenants.store.js';
import type { TokenStatus } from './token-columns.store.js';

const MAX_INT = 2_147_483_647;
/** The underscore is no host name's, but exists, and callback URLs may have it. */
const HOST_PATTERN = /^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

function checkCredits(value: unknown): string | null {
  const text = typeof value === 'number' ? String(value) : value;
  return typeof text === 'string' && /^\d{1,10}(\.\d{1,4})?$/.test(text)
    ? null
    : 'must be Credits with at most four decimals, not negative';
}

function checkToken(token: string): string | null {
  return TOKEN_PATTERN.test(token) ? null : 'must be visible ASCII characters without spaces';
}

function checkHost(host: string): string | null {
  return isAddressInBrackets(host) || (host.length <= 253 && HOST_PATTERN.test(host))
    ? null
    : 'must hold host names in lower case, *.suffix, or IPv6 addresses in brackets';
}

/** An IPv6 address as URLs have it: without a zone. */
function isAddressInBrackets(host: string): boolean {
  return /^\[[^%]*\]$/.test(host) && isIPv6(host.slice(1, -1));
}

/** Limits of a tenant. A limit that is omitted or null does not limit. */
export class TenantLimitsDto {
  @IntegerField({
    description: 'Jobs under way at once. Stored; not enforced yet.',
    min: 0,
    max: MAX_INT,
    nullable: true,
    example: 50,
  })
  max_active_jobs?: number | null;

  @IntegerField({
    description: 'Requests a minute. Stored; not enforced yet.',
    min: 0,
    max: MAX_INT,
    nullable: true,
    example: 600,
  })
  requests_per_minute?: number | null;

  @CheckedJsonField(
    {
      description: 'Credits a calendar month (UTC), a number or a decimal string. Stored; not enforced yet.',
      nullable: true,
      example: '1000.0000',
    },
    { oneOf: [{ type: 'string' }, { type: 'number' }] },
    checkCredits,
  )
  monthly_credits?: string | number | null;
}

class TenantSettingsDto {
  @ObjectField(TenantLimitsDto, { description: 'Limits; what is omitted or null does not limit.', nullable: true })
  limits?: TenantLimitsDto | null;

  @CheckedListField(
    {
      description:
        'Exact host names, `*.suffix`, or IPv6 addresses in brackets. When not empty, callbacks go only there. It never opens an address range.',
      maxItems: 100,
      example: ['hooks.example.com', '*.internal.example.com'],
    },
    checkHost,
  )
  callback_allowed_hosts?: string[];
}

const NAME = { description: 'Name of the team.', minLength: 1, maxLength: 200, example: 'video-team' };
const TOKEN = {
  description: "The tenant's TensorPix API token. Stored encrypted, never returned.",
  minLength: 1,
  maxLength: 256,
};

/** Body of `POST /v1/tenants`. */
export class CreateTenantDto extends TenantSettingsDto {
  @StringField({ ...NAME, required: true })
  name!: string;

  @CheckedStringField({ ...TOKEN, required: true, example: '0123456789abcdef0123456789abcdef01234567' }, checkToken)
  tensorpix_token!: string;
}

/** Body of `PATCH /v1/tenants/{id}`: what is given changes. */
export class UpdateTenantDto extends TenantSettingsDto {
  @StringField(NAME)
  name?: string;

  @CheckedStringField(TOKEN, checkToken)
  tensorpix_token?: string;

  @EnumField(['active', 'suspended'], {
    description: 'Suspended: its keys get 403, nothing new is sent, jobs under way are followed and called back.',
  })
  status?: TenantStatus;
}

/** Query of `POST /v1/tenants`. */
export class CreateTenantQuery {
  @EnumField(['true', 'false'], { description: "`false` skips the check against TensorPix's balance endpoint." })
  verify?: 'true' | 'false';
}

function checkFuture(text: string): string | null {
  return checkTime(text) ?? (Date.parse(text) > Date.now() ? null : 'must be in the future');
}

/** Body of `POST /v1/tenants/{id}/api-keys`. */
export class CreateApiKeyDto {
  @StringField({
    description: 'What the key is for.',
    minLength: 1,
    maxLength: 200,
    required: true,
    example: 'ingest service',
  })
  name!: string;

  @EnumListField(SCOPES, {
    description: 'What the key may do; omitted: everything.',
    minItems: 1,
    maxItems: SCOPES.length,
    nullable: true,
  })
  scopes?: Scope[] | null;

  @CheckedStringField(
    {
      description: 'When the key stops working; omitted: never.',
      maxLength: 40,
      nullable: true,
      format: 'date-time',
      example: '2027-12-31T00:00:00Z',
    },
    checkFuture,
  )
  expires_at?: string | null;
}

class TokenResource {
  @ApiProperty({
    description: 'Its last four characters, to recognise it by; empty for a token of less than eight.',
    example: '4567',
  })
  last4!: string;
  @ApiProperty({ description: 'What TensorPix said of it last.', enum: ['unknown', 'valid', 'rejected'] })
  status!: TokenStatus;
}

class LimitsResource {
  @ApiProperty({ type: Number, nullable: true, description: 'null does not limit. Not enforced yet.' })
  max_active_jobs!: number | null;
  @ApiProperty({ type: Number, nullable: true, description: 'null does not limit. Not enforced yet.' })
  requests_per_minute!: number | null;
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'null does not limit. Not enforced yet.',
    example: '1000.0000',
  })
  monthly_credits!: string | null;
}

/** A tenant (contract, section 3). */
export class TenantResource {
  @ApiProperty({ format: 'uuid' }) id!: string;
  @ApiProperty({ enum: ['tenant'] }) object!: 'tenant';
  @ApiProperty({ description: 'Name of the team.', example: 'video-team' }) name!: string;
  @ApiProperty({ description: 'The keys of a suspended one get 403.', enum: ['active', 'suspended'] })
  status!: TenantStatus;
  @ApiProperty({ description: 'The token itself is never shown.' }) tensorpix_token!: TokenResource;
  @ApiProperty({ description: 'Stored; not enforced yet.' }) limits!: LimitsResource;
  @ApiProperty({ description: 'When not empty, callbacks go only there.', type: [String] })
  callback_allowed_hosts!: string[];
  @ApiProperty({ format: 'date-time', description: 'When it was created.' }) created_at!: string;
  @ApiProperty({ format: 'date-time', description: 'The last change.' }) updated_at!: string;
}

/** A page of tenants, newest first (contract, section 3). */
export class TenantPage {
  @ApiProperty({ type: [TenantResource] }) data!: TenantResource[];
  @NextCursor() next_cursor!: string | null;
}

/** A tenant key without the key. */
export class ApiKeyResource {
  @ApiProperty({ format: 'uuid' }) id!: string;
  @ApiProperty({ enum: ['api_key'] }) object!: 'api_key';
  @ApiProperty({ description: 'What it is for.', example: 'ingest service' }) name!: string;
  @ApiProperty({ description: 'How the key begins, to recognise it by.', example: 'tpg_Ab3dEf6h' }) prefix!: string;
  @ApiProperty({ description: 'What it may do.', type: [String], enum: [...SCOPES] }) scopes!: Scope[];
  @ApiProperty({ type: String, format: 'date-time', nullable: true, description: 'null: never.' }) expires_at!:
    string | null;
  @ApiProperty({ format: 'date-time', description: 'When it was created.' }) created_at!: string;
}

/** The answer that shows a key, once. */
export class CreatedApiKeyResource extends ApiKeyResource {
  @ApiProperty({ description: 'Shown here and never again.', example: 'tpg_…' }) key!: string;
}

/** A page of a tenant's keys, newest first (contract, section 3). */
export class ApiKeyPage {
  @ApiProperty({ type: [ApiKeyResource] }) data!: ApiKeyResource[];
  @NextCursor() next_cursor!: string | null;
}
