import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { ApiProblems } from '../../common/http/api-problems.js';
import type { Page } from '../../common/http/cursor.js';
import { PageQuery } from '../../common/http/page.dto.js';
import { IdPipe } from '../../common/validation/id.pipe.js';
import { BodyPipe, QueryPipe } from '../../common/validation/validate.pipe.js';
import { RequireAdmin } from './auth.guard.js';
import {
  ApiKeyPage,
  ApiKeyResource,
  CreateApiKeyDto,
  CreatedApiKeyResource,
  CreateTenantDto,
  CreateTenantQuery,
  TenantPage,
  TenantResource,
  UpdateTenantDto,
} from './tenants.dto.js';
import { TenantsService } from './tenants.service.js';

/** Contract, section 3: opened by the admin key. */
@ApiTags('tenants')
@ApiBearerAuth('admin')
@RequireAdmin()
@Controller('v1/tenants')
export class TenantsController {
  constructor(private readonly tenants: TenantsService) {}

  @Post()
  @ApiOperation({
    summary: 'Create a tenant',
    description:
      "Its token is checked against TensorPix's balance endpoint; when TensorPix cannot be reached, the token's status is `unknown`.",
  })
  @ApiBody({ type: CreateTenantDto })
  @ApiResponse({ status: 201, type: TenantResource })
  @ApiProblems('validation_failed')
  create(
    @Body(new BodyPipe(CreateTenantDto)) body: CreateTenantDto,
    @Query(new QueryPipe(CreateTenantQuery)) query: CreateTenantQuery,
  ): Promise<TenantResource> {
    return this.tenants.create(body, query.verify !== 'false');
  }

  @Get()
  @ApiOperation({ summary: 'List tenants, newest first' })
  @ApiResponse({ status: 200, type: TenantPage })
  @ApiProblems('validation_failed')
  list(@Query(new QueryPipe(PageQuery)) query: PageQuery): Promise<Page<TenantResource>> {
    return this.tenants.list(query);
  }

  @Get(':id')
  @ApiOperation({ summary: 'Read a tenant' })
  @ApiResponse({ status: 200, type: TenantResource })
  @ApiProblems('not_found')
  get(@Param('id', IdPipe) id: string): Promise<TenantResource> {
    return this.tenants.get(id);
  }

  @Patch(':id')
  @ApiOperation({
    summary: 'Change a tenant',
    description: 'A new token must see the TensorPix account that the jobs under way belong to.',
  })
  @ApiBody({ type: UpdateTenantDto })
  @ApiResponse({ status: 200, type: TenantResource })
  @ApiProblems('validation_failed', 'not_found', 'invalid_state')
  update(
    @Param('id', IdPipe) id: string,
    @Body(new BodyPipe(UpdateTenantDto)) body: UpdateTenantDto,
  ): Promise<TenantResource> {
    return this.tenants.update(id, body);
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Delete a tenant',
    description: 'Its keys, secrets and token go at once; refused while jobs are under way.',
  })
  @ApiResponse({ status: 204, description: 'deleted' })
  @ApiProblems('not_found', 'invalid_state')
  delete(@Param('id', IdPipe) id: string): Promise<void> {
    return this.tenants.delete(id);
  }

  @Post(':id/api-keys')
  @ApiOperation({ summary: 'Create a key', description: 'The key is shown in this answer only.' })
  @ApiBody({ type: CreateApiKeyDto })
  @ApiResponse({ status: 201, type: CreatedApiKeyResource })
  @ApiProblems('validation_failed', 'not_found')
  createApiKey(
    @Param('id', IdPipe) id: string,
    @Body(new BodyPipe(CreateApiKeyDto)) body: CreateApiKeyDto,
  ): Promise<CreatedApiKeyResource> {
    return this.tenants.createApiKey(id, body);
  }

  @Get(':id/api-keys')
  @ApiOperation({ summary: 'List keys, newest first' })
  @ApiResponse({ status: 200, type: ApiKeyPage })
  @ApiProblems('validation_failed', 'not_found')
  listApiKeys(
    @Param('id', IdPipe) id: string,
    @Query(new QueryPipe(PageQuery)) query: PageQuery,
  ): Promise<Page<ApiKeyResource>> {
    return this.tenants.listApiKeys(id, query);
  }

  @Delete(':id/api-keys/:keyId')
  @HttpCode(204)
  @ApiOperation({ summary: 'Revoke a key', description: 'Effective on every replica within 5 seconds.' })
  @ApiResponse({ status: 204, description: 'revoked' })
  @ApiProblems('not_found')
  revokeApiKey(@Param('id', IdPipe) id: string, @Param('keyId', IdPipe) keyId: string): Promise<void> {
    return this.tenants.revokeApiKey(id, keyId);
  }
}
