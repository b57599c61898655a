import { Injectable, type PipeTransform } from '@nestjs/common';
import { Problem } from '../errors/problem.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Any version, in any case of its letters. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** An id in a path. What is no UUID is the id of nothing: 404, like any other unknown id. */
@Injectable()
export class IdPipe implements PipeTransform<string, string> {
  transform(id: string): string {
    if (!isUuid(id)) throw new Problem('not_found', 'There is nothing with this id.');
    return id.toLowerCase();
  }
}
