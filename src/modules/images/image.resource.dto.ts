import { ApiProperty } from '@nestjs/swagger';
import { NextCursor } from '../../common/http/page.dto.js';
import { CallbackStateResource, ImageOutputResource, SnapshotResource } from '../jobs/job.resource.dto.js';

/** An image as its webhooks carry it: without `input` and `callback`. */
export class ImageSnapshotResource extends SnapshotResource {
  @ApiProperty({ enum: ['image'] }) object!: 'image';
  @ApiProperty({ type: ImageOutputResource, nullable: true, description: 'Set when `finished`.' })
  output!: ImageOutputResource | null;
}

/** An image enhancement (contract, section 5). */
export class ImageResource extends ImageSnapshotResource {
  @ApiProperty({
    description: "TensorPix's fields of the request.",
    type: 'object',
    additionalProperties: true,
    example: {
      url: 'https://media.example.com/in.png',
      enhancement_type: 'sr2x',
      face_enhance: false,
      output_format: 'png',
      watermark: true,
    },
  })
  input!: Record<string, unknown>;
  @ApiProperty() callback!: CallbackStateResource;
}

/** A page of images, newest first (contract, section 5). */
export class ImagePage {
  @ApiProperty({ type: [ImageResource] }) data!: ImageResource[];
  @NextCursor() next_cursor!: string | null;
}
