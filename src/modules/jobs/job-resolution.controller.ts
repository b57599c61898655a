import { Body, Controller, HttpCode, Param, Post } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { ApiProblems } from '../../common/http/api-problems.js';
import { IdPipe } from '../../common/validation/id.pipe.js';
import { BodyPipe } from '../../common/validation/validate.pipe.js';
import { RequireAdmin } from '../tenants/auth.guard.js';
import { ResolveJobDto } from './job-resolution.dto.js';
import { JobResolutionService } from './job-resolution.service.js';
import { JobResource } from './job.resource.dto.js';
import type { JobView } from './job-resource.js';

/** Contract, section 4: the decision of a person about a job of unknown outcome, opened by the admin key. */
@ApiTags('tenants')
@ApiBearerAuth('admin')
@RequireAdmin()
@Controller('v1/tenants/:id/jobs')
export class JobResolutionController {
  constructor(private readonly resolutions: JobResolutionService) {}

  @Post(':job_id/resolve')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Decide what became of a job of unknown outcome',
    description:
      'Only for a job that is `unconfirmed`. The decision is a step of its history. Look at TensorPix first: `resubmit` is charged again if it had the job after all.',
  })
  @ApiBody({ type: ResolveJobDto })
  @ApiResponse({ status: 200, type: JobResource })
  @ApiProblems('validation_failed', 'not_found', 'invalid_state', 'upstream_error')
  resolve(
    @Param('id', IdPipe) id: string,
    @Param('job_id', IdPipe) jobId: string,
    @Body(new BodyPipe(ResolveJobDto)) body: ResolveJobDto,
  ): Promise<JobView> {
    return this.resolutions.resolve(id, jobId, body);
  }
}
