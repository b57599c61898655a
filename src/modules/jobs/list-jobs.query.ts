import { PageQuery } from '../../common/http/page.dto.js';
import { CheckedStringField, EnumField, EnumListField, StringField } from '../../common/validation/fields.js';
import { checkTime } from '../../common/validation/time.js';
import { JOB_STATUSES, type JobStatus } from './job-state.js';

/** Query of `GET /v1/jobs` and `GET /v1/images` (contract, section 4). */
export class ListJobsQuery extends PageQuery {
  @EnumListField(JOB_STATUSES, { description: 'Only these states; repeatable.', maxItems: JOB_STATUSES.length })
  status?: JobStatus[];

  @StringField({ description: "Only the jobs with this name of the client's.", maxLength: 128 })
  external_id?: string;

  @CheckedStringField(
    { description: 'Only jobs created after this time.', maxLength: 40, format: 'date-time' },
    checkTime,
  )
  created_after?: string;

  @CheckedStringField(
    { description: 'Only jobs created before this time.', maxLength: 40, format: 'date-time' },
    checkTime,
  )
  created_before?: string;

  @EnumField(['undelivered'], { description: 'Only jobs with a webhook that has not got through.' })
  callback?: 'undelivered';
}
