import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { validateSync } from 'class-validator';
import fc from 'fast-check';
import { fieldsOf } from '../../../src/common/validation/fields.js';
import { passesQuickly } from '../../../src/common/validation/quick-check.js';
import { CreateImageDto } from '../../../src/modules/images/create-image.dto.js';
import { CreateJobDto } from '../../../src/modules/jobs/create-job.dto.js';

const valid = {
  video_url: 'https://media.example.com/in.mp4',
  ml_models: [34],
  url: 'https://media.example.com/in.png',
  enhancement_type: 'sr2x',
  face_enhance: false,
  output_format: 'png',
  watermark: true,
};

/** Values that are near the limits of some field, and values that no field takes. */
const value = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    true,
    '',
    'libx264',
    'mp4',
    'yuv420p',
    -1,
    0,
    0.5,
    1,
    23,
    51,
    52,
    240,
    1920,
  ),
  fc.constantFrom<unknown>('a\0b', '\ud800', 'x'.repeat(129), 'x'.repeat(2049), Number.NaN, 2 ** 31),
  fc.constantFrom<unknown>([], [1, 1], [1, 2], ['job.finished'], ['nothing'], {}, { team: 'a' }, { team: 1 }),
  fc.jsonValue(),
);

describe.each([CreateJobDto, CreateImageDto])('the quick check of %p', (dto) => {
  const names = [...fieldsOf(dto).keys()];

  it('says yes exactly when class-validator finds nothing wrong', () => {
    const changes = fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 4 });
    fc.assert(
      fc.property(changes, (changed) => {
        const instance = Object.assign(new dto(), pick(valid, names), changed);
        const errors = validateSync(instance, { stopAtFirstError: true, forbidUnknownValues: false });
        expect(passesQuickly(dto, instance)).toBe(errors.length === 0);
      }),
      { numRuns: 2_000 },
    );
  });
});

function pick(from: object, names: string[]): object {
  return Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)));
}
