import { EnumField, IntegerField } from '../../common/validation/fields.js';

const DECISIONS = ['adopt', 'resubmit', 'fail'] as const;

/** Body of `POST /v1/tenants/{id}/jobs/{job_id}/resolve` (contract, section 4). */
export class ResolveJobDto {
  @EnumField(DECISIONS, {
    description:
      '`adopt`: TensorPix has the job under `tensorpix_id`. `resubmit`: it has not, send it again; it is charged then. `fail`: give it up.',
    required: true,
    example: 'adopt',
  })
  decision!: (typeof DECISIONS)[number];

  @IntegerField({
    description: "TensorPix's id of the job, with `adopt` only.",
    min: 1,
    max: Number.MAX_SAFE_INTEGER,
    nullable: true,
    example: 123,
  })
  tensorpix_id?: number | null;
}
