import { ApiProperty, type ApiPropertyOptions } from '@nestjs/swagger';
import { PageQuery } from '../tenants/tenants.dto.js';

/** Query of `GET …/events`. */
export class EventsQuery extends PageQuery {}

/** A line of a job's history, internal steps included. */
export class EventResource {
  @ApiProperty({ type: 'integer', description: '1, 2, 3… without gaps', example: 2 }) sequence!: number;
  @ApiProperty({ example: 'job.queued' }) type!: string;
  @ApiProperty({ format: 'date-time' }) timestamp!: string;
  @ApiProperty({
    type: 'object',
    additionalProperties: true,
    example: { tensorpix_id: 123 },
  } as unknown as ApiPropertyOptions)
  data!: Record<string, unknown>;
}

export class EventPage {
  @ApiProperty({ type: [EventResource] }) data!: EventResource[];
  @ApiProperty({ type: String, nullable: true }) next_cursor!: string | null;
}
