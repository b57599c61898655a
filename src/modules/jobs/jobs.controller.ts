import {
  Body,
  Controller,
  Get,
  Headers,
  HttpCode,
  Param,
  Post,
  Query,
  Req,
  Res,
  type StreamableFile,
} from '@nestjs/common';
import { ApiHeader, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiProblems } from '../../common/http/api-problems.js';
import type { Page } from '../../common/http/cursor.js';
import { asksForEventStream } from '../../common/http/event-stream.js';
import { parsePrefer } from '../../common/http/prefer.js';
import { writeEventStream } from '../../common/http/streamed-reply.js';
import { IdPipe } from '../../common/validation/id.pipe.js';
import { NoBody } from '../../common/validation/no-body.js';
import { BodyPipe, QueryPipe } from '../../common/validation/validate.pipe.js';
import { RequireScope, Tenant, type CurrentTenant } from '../tenants/auth.guard.js';
import { DEFAULT_JOB_EVENTS } from '../webhooks/webhook-types.js';
import { CreateJobDto, VIDEO_INPUT_FIELDS } from './create-job.dto.js';
import { EventStreams } from './event-streams.service.js';
import { JobCancelService } from './job-cancel.service.js';
import { JobCreationService, type NewJob } from './job-creation.service.js';
import { EventsOperation, EventsQuery, type EventResource } from './job-events.dto.js';
import { JobPage, JobResource } from './job.resource.dto.js';
import type { JobView } from './job-resource.js';
import { JobsService } from './jobs.service.js';
import { ListJobsQuery } from './list-jobs.query.js';
import { createOptions, writeCreated } from './creation-reply.js';
import { CreationOperation, PREFER_WAIT_HEADER } from './creation.operation.js';

/** Contract, section 4. */
@ApiTags('jobs')
@Controller('v1/jobs')
export class JobsController {
  constructor(
    private readonly creation: JobCreationService,
    private readonly jobs: JobsService,
    private readonly streams: EventStreams,
    private readonly cancels: JobCancelService,
  ) {}

  @Post()
  @RequireScope('jobs:write')
  @CreationOperation({
    summary: 'Enhance a video',
    description:
      'The job is recorded before TensorPix is called. A call whose outcome is unknown is repeated only after TensorPix has shown, twice, that the job is not there. Answers within 20 seconds, or `Prefer: wait=N`.',
    body: CreateJobDto,
    resource: JobResource,
    created: 'TensorPix has the job.',
    accepted: 'The job is recorded and the gateway goes on by itself; `status_reason` says why.',
  })
  async create(
    @Tenant() tenant: CurrentTenant,
    @Body(new BodyPipe(CreateJobDto)) body: CreateJobDto,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<JobView | string> {
    return writeCreated(reply, await this.creation.create(tenant, newVideo(body), createOptions(request, reply)));
  }

  @Get()
  @RequireScope('jobs:read')
  @ApiOperation({ summary: 'List jobs, newest first' })
  @ApiResponse({ status: 200, type: JobPage })
  @ApiProblems('validation_failed')
  list(
    @Tenant() tenant: CurrentTenant,
    @Query(new QueryPipe(ListJobsQuery)) query: ListJobsQuery,
  ): Promise<Page<JobView>> {
    return this.jobs.list(tenant, 'video', query);
  }

  @Get(':id')
  @RequireScope('jobs:read')
  @ApiOperation({
    summary: 'Read a job',
    description: '`Prefer: wait=N` holds the answer until the next state change or N seconds.',
  })
  @ApiHeader(PREFER_WAIT_HEADER)
  @ApiResponse({ status: 200, type: JobResource })
  @ApiProblems('not_found')
  get(
    @Tenant() tenant: CurrentTenant,
    @Param('id', IdPipe) id: string,
    @Headers('prefer') prefer: string | undefined,
  ): Promise<JobView> {
    return this.jobs.get(tenant, 'video', id, parsePrefer(prefer).waitSeconds);
  }

  @Post(':id/cancel')
  @HttpCode(200)
  @RequireScope('jobs:write')
  @ApiOperation({ summary: 'Cancel a job', description: 'Answers within 20 seconds, whatever TensorPix does.' })
  @ApiResponse({ status: 200, type: JobResource, description: 'canceled' })
  @ApiResponse({ status: 202, type: JobResource, description: 'TensorPix could not confirm yet; it is asked again.' })
  @ApiProblems('validation_failed', 'not_found', 'invalid_state')
  async cancel(
    @Tenant() tenant: CurrentTenant,
    @Param('id', IdPipe) id: string,
    @NoBody() _: void,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<JobView> {
    const { status, job } = await this.cancels.cancel(tenant, id);
    void reply.status(status);
    return job;
  }

  @Get(':id/events')
  @RequireScope('jobs:read')
  @EventsOperation("The job's own history, oldest first")
  async events(
    @Tenant() tenant: CurrentTenant,
    @Param('id', IdPipe) id: string,
    @Query(new QueryPipe(EventsQuery)) query: EventsQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Page<EventResource> | StreamableFile | undefined> {
    if (!asksForEventStream(request)) return this.jobs.events(tenant, 'video', id, query);
    return writeEventStream(reply, await this.streams.openFor(tenant, 'video', id, request, reply));
  }
}

/** What of the body is TensorPix's goes to TensorPix, as it was sent. */
function newVideo(body: CreateJobDto): NewJob {
  const given = VIDEO_INPUT_FIELDS.filter((name) => body[name] !== undefined);
  return {
    kind: 'video',
    source: { field: 'video_url', url: body.video_url },
    input: Object.fromEntries(given.map((name) => [name, body[name]])),
    preview: body.preview ?? false,
    callbackUrl: body.callback_url ?? null,
    callbackEvents: body.callback_events ?? DEFAULT_JOB_EVENTS,
    externalId: body.external_id ?? null,
    metadata: body.metadata ?? {},
  };
}
