import {
  Inject,
  Injectable,
  SetMetadata,
  createParamDecorator,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import { createHash, timingSafeEqual } from 'node:crypto';
import { CONFIG, type Config } from '../../common/config/config.js';
import { ACCESS } from '../../common/http/access.js';
import { Problem } from '../../common/errors/problem.js';
import type { Scope } from './api-key.js';
import type { KeyHolder } from './api-keys.store.js';
import { KeyDirectory } from './key-directory.js';

/** The tenant that a request acts for. */
export interface CurrentTenant {
  id: string;
  accountId: string;
  tokenCiphertext: string | null;
  callbackAllowedHosts: readonly string[];
  /** The key that the request came with. */
  apiKeyId: string;
}

type AuthenticatedRequest = FastifyRequest & { tenant?: CurrentTenant };

const ADMIN = 'admin';

/** A route of the tenant API: needs a tenant key with this scope. */
export const RequireScope = (scope: Scope) => SetMetadata(ACCESS, scope);
/** A route that the admin key opens. */
export const RequireAdmin = () => SetMetadata(ACCESS, ADMIN);

/** Hands the authenticated tenant to a controller. */
export const Tenant = createParamDecorator((_: unknown, context: ExecutionContext): CurrentTenant => {
  const { tenant } = context.switchToHttp().getRequest<AuthenticatedRequest>();
  if (!tenant) throw new Error('this route has no tenant');
  return tenant;
});

/**
 * Authentication of every route (contract, section 1). A route that says nothing about its access opens for nobody.
 * @throws Problem 401 `unauthenticated`, 403 `forbidden`
 */
@Injectable()
export class AuthGuard implements CanActivate {
  private readonly adminDigest: Buffer;

  constructor(
    @Inject(CONFIG) config: Config,
    private readonly reflector: Reflector,
    private readonly keys: KeyDirectory,
  ) {
    this.adminDigest = digest(config.adminApiKey);
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const access = this.reflector.getAllAndOverride<Scope | 'admin' | 'public' | undefined>(ACCESS, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (access === 'public') return true;
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    const key = readKey(request.headers.authorization);
    const isAdmin = timingSafeEqual(digest(key), this.adminDigest);
    if (isAdmin && access === ADMIN) return true;
    if (isAdmin || access === undefined) throw new Problem('forbidden', 'The admin key opens the tenants only.');
    const holder = await this.keys.find(key);
    if (!holder) throw new Problem('unauthenticated', 'This key is unknown, expired or revoked.');
    if (access === ADMIN) throw new Problem('forbidden', 'This needs the admin key.');
    request.tenant = admit(holder, access);
    return true;
  }
}

function admit({ keyId, scopes, tenant }: KeyHolder, scope: Scope): CurrentTenant {
  if (tenant.status === 'suspended') throw new Problem('forbidden', 'This tenant is suspended.');
  if (!scopes.includes(scope)) throw new Problem('forbidden', `This key lacks the scope ${scope}.`);
  const { id, accountId, tokenCiphertext, callbackAllowedHosts } = tenant;
  return { id, accountId, tokenCiphertext, callbackAllowedHosts, apiKeyId: keyId };
}

/** `Bearer` and `Token` mean the same; TensorPix's clients send `Token`. */
function readKey(header: string | undefined): string {
  const key = /^(?:bearer|token) +(\S{1,512})$/i.exec(header?.trim() ?? '')?.[1];
  if (!key) throw new Problem('unauthenticated', 'Send a key as "Authorization: Bearer <key>".');
  return key;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
