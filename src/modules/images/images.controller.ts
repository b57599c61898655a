import { Body, Controller, Get, Headers, Param, Post, Query, Req, Res, type StreamableFile } from '@nestjs/common';
import { ApiHeader, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiProblems } from '../../common/http/api-problems.js';
import type { Page } from '../../common/http/cursor.js';
import { asksForEventStream } from '../../common/http/event-stream.js';
import { parsePrefer } from '../../common/http/prefer.js';
import { writeEventStream } from '../../common/http/streamed-reply.js';
import { IdPipe } from '../../common/validation/id.pipe.js';
import { BodyPipe, QueryPipe } from '../../common/validation/validate.pipe.js';
import { EventStreams } from '../jobs/event-streams.service.js';
import { JobCreationService, type NewJob } from '../jobs/job-creation.service.js';
import { EventsOperation, EventsQuery, type EventResource } from '../jobs/job-events.dto.js';
import type { JobView } from '../jobs/job-resource.js';
import { JobsService } from '../jobs/jobs.service.js';
import { ListJobsQuery } from '../jobs/list-jobs.query.js';
import { createOptions, writeCreated } from '../jobs/creation-reply.js';
import { CreationOperation, PREFER_WAIT_HEADER } from '../jobs/creation.operation.js';
import { RequireScope, Tenant, type CurrentTenant } from '../tenants/auth.guard.js';
import { IMAGE_WEBHOOK_TYPES } from '../webhooks/webhook-types.js';
import { CreateImageDto, IMAGE_INPUT_FIELDS } from './create-image.dto.js';
import { ImagePage, ImageResource } from './image.resource.dto.js';

/** Contract, section 5. An image is a row of the job table of another kind; it ends with TensorPix's answer. */
@ApiTags('images')
@Controller('v1/images')
export class ImagesController {
  constructor(
    private readonly creation: JobCreationService,
    private readonly jobs: JobsService,
    private readonly streams: EventStreams,
  ) {}

  @Post()
  @RequireScope('images:write')
  @CreationOperation({
    summary: 'Enhance an image',
    description:
      'TensorPix answers with the result. A paid image whose outcome is unknown cannot be looked up and fails as `outcome_unknown`.',
    body: CreateImageDto,
    resource: ImageResource,
    created: 'finished',
    accepted: 'The gateway goes on by itself; `status_reason` says why.',
  })
  async create(
    @Tenant() tenant: CurrentTenant,
    @Body(new BodyPipe(CreateImageDto)) body: CreateImageDto,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<JobView | string> {
    return writeCreated(reply, await this.creation.create(tenant, newImage(body), createOptions(request, reply)));
  }

  @Get()
  @RequireScope('images:read')
  @ApiOperation({ summary: 'List images, newest first' })
  @ApiResponse({ status: 200, type: ImagePage })
  @ApiProblems('validation_failed')
  list(
    @Tenant() tenant: CurrentTenant,
    @Query(new QueryPipe(ListJobsQuery)) query: ListJobsQuery,
  ): Promise<Page<JobView>> {
    return this.jobs.list(tenant, 'image', query);
  }

  @Get(':id')
  @RequireScope('images:read')
  @ApiOperation({
    summary: 'Read an image',
    description: '`Prefer: wait=N` holds the answer until the next state change or N seconds.',
  })
  @ApiHeader(PREFER_WAIT_HEADER)
  @ApiResponse({ status: 200, type: ImageResource })
  @ApiProblems('not_found')
  get(
    @Tenant() tenant: CurrentTenant,
    @Param('id', IdPipe) id: string,
    @Headers('prefer') prefer: string | undefined,
  ): Promise<JobView> {
    return this.jobs.get(tenant, 'image', id, parsePrefer(prefer).waitSeconds);
  }

  @Get(':id/events')
  @RequireScope('images:read')
  @EventsOperation("The image's own history, oldest first")
  async events(
    @Tenant() tenant: CurrentTenant,
    @Param('id', IdPipe) id: string,
    @Query(new QueryPipe(EventsQuery)) query: EventsQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Page<EventResource> | StreamableFile | undefined> {
    if (!asksForEventStream(request)) return this.jobs.events(tenant, 'image', id, query);
    return writeEventStream(reply, await this.streams.openFor(tenant, 'image', id, request, reply));
  }
}

function newImage(body: CreateImageDto): NewJob {
  return {
    kind: 'image',
    source: { field: 'url', url: body.url },
    input: Object.fromEntries(IMAGE_INPUT_FIELDS.map((name) => [name, body[name]])),
    preview: false,
    callbackUrl: body.callback_url ?? null,
    callbackEvents: body.callback_events ?? [...IMAGE_WEBHOOK_TYPES],
    externalId: body.external_id ?? null,
    metadata: body.metadata ?? {},
  };
}
