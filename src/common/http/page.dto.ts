import { ApiProperty } from '@nestjs/swagger';
import { IntegerField, StringField } from '../validation/fields.js';

/** Rows of a page whose request does not say how many (contract, section 4). */
export const DEFAULT_PAGE = 20;

/** Query of the lists. */
export class PageQuery {
  @IntegerField({ description: 'Rows a page.', min: 1, max: 100, example: DEFAULT_PAGE })
  limit?: number;

  @StringField({ description: '`next_cursor` of the page before.', maxLength: 200 })
  cursor?: string;
}

/** `next_cursor` of a page. */
export const NextCursor = (): PropertyDecorator =>
  ApiProperty({ type: String, nullable: true, description: '`cursor` of the next page; null: this is the last one.' });
