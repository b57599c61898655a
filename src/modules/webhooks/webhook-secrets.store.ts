import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import type { Prisma } from '../../generated/prisma/client.js';
import { beginningUnder, Keyring, type CiphertextPlace } from '../../common/crypto/keyring.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { newWebhookSecret } from './signature.js';

/** Whose secrets: a standing endpoint's, or those of the tenant's `callback_url`s. */
export interface SecretOwner {
  tenantId: string;
  endpointId: string | null;
}

/** A secret, encrypted, as its table has it. */
export interface SecretRow extends SecretOwner {
  id: string;
  ciphertext: string;
}

/** A secret that signs, or has signed until lately. */
export interface TenantSecret {
  secret: string;
  endpointId: string | null;
  /** null: the current one */
  expiresAt: Date | null;
}

/** Signatures of one webhook: the current secret's, and of many rotations within their overlaps those of the newest ones. */
const MOST_SIGNING = 10;

/** The secrets that sign webhooks, encrypted at rest. */
@Injectable()
export class WebhookSecretsStore {
  constructor(
    private readonly prisma: PrismaService,
    private readonly keyring: Keyring,
  ) {}

  /**
   * Those that sign now, the current one first. Whoever has none gets the first one when it is asked for; a deleted tenant
   * or endpoint has none.
   */
  async findSigning(owner: SecretOwner): Promise<string[]> {
    const rows = await this.read(owner);
    if (rows.length > 0) return rows;
    await this.insertFirst(owner);
    return this.read(owner);
  }

  /** A first secret, with the row to be written together with its owner's. */
  newFirst(owner: SecretOwner): { secret: string; row: SecretRow } {
    const id = uuidv7();
    const secret = newWebhookSecret();
    const ciphertext = this.keyring.encrypt(secret, place(owner.tenantId, id));
    return { secret, row: { ...owner, id, ciphertext } };
  }

  /** All of a tenant's, those included whose overlap is over. */
  async findAll(tenantId: string): Promise<TenantSecret[]> {
    const rows = await this.prisma.$queryRaw<
      { id: string; ciphertext: string; endpointId: string | null; expiresAt: Date | null }[]
    >`
      select id, ciphertext, endpoint_id as "endpointId", expires_at as "expiresAt" from webhook_secrets
       where tenant_id = ${tenantId}::uuid
       order by expires_at desc nulls first`;
    return rows.map(({ id, ciphertext, ...known }) => ({
      ...known,
      secret: this.keyring.decrypt(ciphertext, place(tenantId, id)),
    }));
  }

  /**
   * Puts a new secret in the current one's place, which signs along until the overlap has passed.
   * @returns null when the owner has been deleted
   */
  async rotate(owner: SecretOwner, overlapSeconds: number): Promise<string | null> {
    const { tenantId, endpointId } = owner;
    const { secret, row } = this.newFirst(owner);
    await this.insertFirst(owner);
    return this.prisma.$transaction(async (tx) => {
      // One rotation of a tenant at a time, because each must find exactly one current secret.
      const standing = await tx.$queryRaw<unknown[]>`
        select id from tenants where id = ${tenantId}::uuid and deleted_at is null for no key update`;
      const where = { tenantId, id: endpointId ?? '', deletedAt: null };
      const gone = standing.length === 0 || (endpointId !== null && !(await tx.webhookEndpoint.findFirst({ where })));
      if (gone) return null;
      await tx.$executeRaw`
        update webhook_secrets
           set expires_at = now() + ${overlapSeconds}::int * interval '1 second'
         where tenant_id = ${tenantId}::uuid and endpoint_id is not distinct from ${endpointId}::uuid and expires_at is null`;
      await insertSecret(tx, row);
      await tx.$executeRaw`
        delete from webhook_secrets
         where tenant_id = ${tenantId}::uuid
           and (expires_at <= now()
                or id in (select s.id from webhook_secrets s
                           where s.tenant_id = ${tenantId}::uuid and s.endpoint_id is not distinct from ${endpointId}::uuid
                             and s.expires_at is not null
                           order by s.created_at desc, s.id desc offset ${MOST_SIGNING - 1}::int))`;
      return secret;
    });
  }

  /** Whether one is encrypted with this key. */
  async hasSecretUnder(keyId: string): Promise<boolean> {
    const where = { ciphertext: { startsWith: beginningUnder(keyId) } };
    return (await this.prisma.webhookSecret.findFirst({ where, select: { id: true } })) !== null;
  }

  private async read({ tenantId, endpointId }: SecretOwner): Promise<string[]> {
    const rows = await this.prisma.$rows<{ id: string; ciphertext: string }>`
      select id, ciphertext from webhook_secrets
       where tenant_id = ${tenantId}::uuid and endpoint_id is not distinct from ${endpointId}::uuid
         and (expires_at is null or expires_at > now())
       order by expires_at desc nulls first`;
    return rows.map(({ id, ciphertext }) => this.keyring.decrypt(ciphertext, place(tenantId, id)));
  }

  /**
   * Two replicas may do this at once; the partial unique index lets one win. A tenant that is being deleted is waited for, and
   * looked at again then: nothing is signed for it any more.
   */
  private async insertFirst(owner: SecretOwner): Promise<void> {
    const { id, tenantId, endpointId, ciphertext } = this.newFirst(owner).row;
    await this.prisma.$executeRaw`
      insert into webhook_secrets (id, tenant_id, endpoint_id, ciphertext)
      select ${id}::uuid, t.id, ${endpointId}::uuid, ${ciphertext}
        from tenants t
       where t.id = ${tenantId}::uuid and t.deleted_at is null
         and (${endpointId}::uuid is null or exists (
               select 1 from webhook_endpoints e
                where e.id = ${endpointId}::uuid and e.tenant_id = t.id and e.deleted_at is null))
         for key share of t
      on conflict do nothing`;
  }
}

/**
 * With the database's time, which Prisma would take from this machine: which ones are the newest must not depend on what replica
 * made them. Rotations of a tenant are one after the other, and so are their times.
 */
export async function insertSecret(tx: Prisma.TransactionClient, row: SecretRow): Promise<void> {
  const { id, tenantId, endpointId, ciphertext } = row;
  await tx.$executeRaw`
    insert into webhook_secrets (id, tenant_id, endpoint_id, ciphertext, created_at)
    values (${id}::uuid, ${tenantId}::uuid, ${endpointId}::uuid, ${ciphertext}, clock_timestamp())`;
}

function place(tenantId: string, id: string): CiphertextPlace {
  return { table: 'webhook_secrets', column: 'ciphertext', owner: `${tenantId}/${id}` };
}
