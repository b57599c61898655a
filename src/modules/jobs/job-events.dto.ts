import { applyDecorators } from '@nestjs/common';
import { ApiExtraModels, ApiHeader, ApiOperation, ApiProperty, ApiResponse, getSchemaPath } from '@nestjs/swagger';
import { ApiProblems } from '../../common/http/api-problems.js';
import { EVENT_STREAM, StreamsEvents } from '../../common/http/event-stream.js';
import { NextCursor, PageQuery } from '../../common/http/page.dto.js';

/** Query of `GET …/events`; a stream has no use for it. */
export class EventsQuery extends PageQuery {}

/** A line of a job's history, internal steps included. */
export class EventResource {
  @ApiProperty({ type: 'integer', description: '1, 2, 3… without gaps', example: 2 }) sequence!: number;
  @ApiProperty({
    description: 'The state that was entered, or a step in between; more of these may come.',
    example: 'job.queued',
  })
  type!: string;
  @ApiProperty({ format: 'date-time', description: 'When it happened.' }) timestamp!: string;
  @ApiProperty({
    description: 'What belongs to an event of this type.',
    type: 'object',
    additionalProperties: true,
    example: { tensorpix_id: 123 },
  })
  data!: Record<string, unknown>;
}

/** A page of a job's events, oldest first (contract, section 4). */
export class EventPage {
  @ApiProperty({ type: [EventResource] }) data!: EventResource[];
  @NextCursor() next_cursor!: string | null;
}

const DESCRIPTION =
  `With \`Accept: ${EVENT_STREAM}\` as server-sent events, live: first what has happened, then what happens, each once ` +
  'and in order. The stream ends with the last event of a job that has ended, and when its key, or its tenant, may no ' +
  'longer read; a comment is sent every 15 seconds. `limit` and `cursor` are for the list. While the gateway is shutting ' +
  'down or has no database, a stream is answered with 200, `retry: 5000` and its end, because an EventSource would not ' +
  'come back after a 503.';

const EXAMPLE = `retry: 1000

id: 2
event: job.queued
data: {"sequence":2,"type":"job.queued","timestamp":"2026-11-20T09:00:00.000Z","data":{"tensorpix_id":123}}

`;

/** `GET …/events`: a list, or a stream (contract, section 4). */
export function EventsOperation(summary: string): MethodDecorator {
  return applyDecorators(
    StreamsEvents(),
    ApiExtraModels(EventPage),
    ApiOperation({ summary, description: DESCRIPTION }),
    ApiHeader({
      name: 'Last-Event-ID',
      required: false,
      description: 'Of a stream: the `id` of the last event that was seen. The stream goes on behind it.',
      schema: { type: 'integer', minimum: 0, example: 2 },
    }),
    ApiResponse({
      status: 200,
      description: 'A page of the list; or the stream, whose `data` are the resources of the list.',
      content: {
        'application/json': { schema: { $ref: getSchemaPath(EventPage) } },
        [EVENT_STREAM]: { schema: { type: 'string' }, example: EXAMPLE },
      },
    }),
    ApiResponse({
      status: 204,
      description: 'Of a stream: it has ended, and everything was seen. An EventSource stops.',
    }),
    ApiProblems('validation_failed', 'not_found', 'rate_limited'),
  );
}
