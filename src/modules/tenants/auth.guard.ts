import {
  applyDecorators,
  Injectable,
  SetMetadata,
  createParamDecorator,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { ApiSecurity } from '@nestjs/swagger';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ACCESS } from '../../common/http/access.js';
import { Problem } from '../../common/errors/problem.js';
import type { Scope } from './api-key.js';
import { admit, type Authenticator, type Identity } from './authenticator.js';

/** The tenant that a request acts for. */
export interface CurrentTenant {
  id: string;
  accountId: string;
  tokenCiphertext: string | null;
  callbackAllowedHosts: readonly string[];
  /** The key that the request came with. */
  apiKeyId: string;
}

type AuthenticatedRequest = FastifyRequest & { identity?: Identity; tenant?: CurrentTenant };

const API_PREFIX = '/v1/';

const ADMIN = 'admin';

/** A route of the tenant API: needs a tenant key with this scope. */
export const RequireScope = (scope: Scope) =>
  applyDecorators(SetMetadata(ACCESS, scope), ApiSecurity('tenant', [scope]));
/** A route that the admin key opens. */
export const RequireAdmin = () => SetMetadata(ACCESS, ADMIN);

/** Hands the authenticated tenant to a controller. */
export const Tenant = createParamDecorator((_: unknown, context: ExecutionContext): CurrentTenant => {
  const { tenant } = context.switchToHttp().getRequest<AuthenticatedRequest>();
  if (!tenant) throw new Error('this route has no tenant');
  return tenant;
});

/**
 * Says on every route whether this key may (contract, section 1). Whose key it is was found out before the body was
 * read. A route that says nothing about its access opens for nobody.
 *
 * @throws Problem 401 `unauthenticated`, 403 `forbidden`
 */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    const targets = [context.getHandler(), context.getClass()];
    const access = this.reflector.getAllAndOverride<Scope | 'admin' | 'public' | undefined>(ACCESS, targets);
    if (access === 'public') return true;
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    const { identity } = request;
    if (!identity) throw new Problem('unauthenticated', 'This needs a key.');
    if (identity.kind === 'admin') {
      if (access === ADMIN) return true;
      throw new Problem('forbidden', 'The admin key opens the tenants only.');
    }
    if (access === undefined || access === ADMIN) throw new Problem('forbidden', 'This needs the admin key.');
    request.tenant = admit(identity.holder, access);
    return true;
  }
}

/** Finds out whose key a request of the API came with, before anything of its body is read. */
export function registerAuthentication(fastify: FastifyInstance, authenticator: Authenticator): void {
  fastify.addHook('onRequest', async (request: AuthenticatedRequest) => {
    if (request.is404 || !request.url.startsWith(API_PREFIX)) return;
    request.identity = await authenticator.identify(request.headers.authorization);
  });
}
