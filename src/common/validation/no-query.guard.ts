import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum.js';
import type { FastifyRequest } from 'fastify';
import { QueryPipe } from './validate.pipe.js';

class NoFields {}

const NO_FIELDS = new QueryPipe(NoFields);
const API = '/v1/';

/**
 * For routes of the API that take no query: a field in one is an error there too (contract, section 2). `POST /v1/jobs?preview=true`
 * would be a paid job instead of a preview.
 *
 * @throws Problem `validation_failed`
 */
@Injectable()
export class NoQueryGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { query, url } = context.switchToHttp().getRequest<FastifyRequest>();
    const hasQuery = Object.keys(query as object).length > 0;
    if (hasQuery && url.startsWith(API) && !takesQuery(context)) NO_FIELDS.transform(query);
    return true;
  }
}

function takesQuery(context: ExecutionContext): boolean {
  const args: unknown = Reflect.getMetadata(ROUTE_ARGS_METADATA, context.getClass(), context.getHandler().name);
  return Object.keys(args ?? {}).some((key) => key.startsWith(`${RouteParamtypes.QUERY}:`));
}
