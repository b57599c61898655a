import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { Keyring, type CiphertextPlace } from '../../common/crypto/keyring.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { newWebhookSecret } from './signature.js';

/** The secrets of a tenant's `callback_url`s, encrypted at rest. */
@Injectable()
export class WebhookSecretsStore {
  constructor(
    private readonly prisma: PrismaService,
    private readonly keyring: Keyring,
  ) {}

  /**
   * Those that sign now, the current one first. A tenant gets its first secret when it is first asked for; a deleted
   * tenant has none.
   */
  async findSigning(tenantId: string): Promise<string[]> {
    const rows = await this.read(tenantId);
    if (rows.length > 0) return rows;
    await this.insertFirst(tenantId);
    return this.read(tenantId);
  }

  /** Puts a new secret in the current one's place, which signs along until the overlap has passed. */
  async rotate(tenantId: string, overlapSeconds: number): Promise<string> {
    const secret = newWebhookSecret();
    const id = uuidv7();
    const ciphertext = this.keyring.encrypt(secret, place(tenantId, id));
    await this.insertFirst(tenantId);
    await this.prisma.$transaction(async (tx) => {
      // One rotation of a tenant at a time, because each must find exactly one current secret.
      await tx.$queryRaw`select id from tenants where id = ${tenantId}::uuid for no key update`;
      await tx.$executeRaw`
        update webhook_secrets
           set expires_at = now() + ${overlapSeconds}::int * interval '1 second'
         where tenant_id = ${tenantId}::uuid and expires_at is null`;
      await tx.webhookSecret.create({ data: { id, tenantId, ciphertext } });
      await tx.$executeRaw`
        delete from webhook_secrets where tenant_id = ${tenantId}::uuid and expires_at <= now()`;
    });
    return secret;
  }

  private async read(tenantId: string): Promise<string[]> {
    const rows = await this.prisma.$queryRaw<{ id: string; ciphertext: string }[]>`
      select id, ciphertext from webhook_secrets
       where tenant_id = ${tenantId}::uuid and (expires_at is null or expires_at > now())
       order by expires_at desc nulls first`;
    return rows.map(({ id, ciphertext }) => this.keyring.decrypt(ciphertext, place(tenantId, id)));
  }

  /** Two replicas may do this at once; the partial unique index lets one win. */
  private async insertFirst(tenantId: string): Promise<void> {
    const id = uuidv7();
    const ciphertext = this.keyring.encrypt(newWebhookSecret(), place(tenantId, id));
    await this.prisma.$executeRaw`
      insert into webhook_secrets (id, tenant_id, ciphertext)
      select ${id}::uuid, t.id, ${ciphertext} from tenants t where t.id = ${tenantId}::uuid and t.deleted_at is null
      on conflict do nothing`;
  }
}

function place(tenantId: string, id: string): CiphertextPlace {
  return { table: 'webhook_secrets', column: 'ciphertext', owner: `${tenantId}/${id}` };
}
