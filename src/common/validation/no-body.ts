import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { BodyPipe } from './validate.pipe.js';

class NoFields {}

const NO_FIELDS = new BodyPipe(NoFields);

/**
 * For an action that takes no body: a field in one is an error there too (contract, section 2).
 *
 * @throws Problem `validation_failed`
 */
export const NoBody = createParamDecorator((_: unknown, context: ExecutionContext): void => {
  NO_FIELDS.transform(context.switchToHttp().getRequest<FastifyRequest>().body);
});
