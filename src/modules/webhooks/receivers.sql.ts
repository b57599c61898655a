import { Prisma } from '../../generated/prisma/client.js';

/**
 * Whether a tenant has a standing endpoint that asks for any of these types, an expression of a `text[]`: what
 * `queueWebhooks` would write a delivery for. The offset keeps it a look-up by tenant, whatever it stands in.
 */
export function hasStandingReceiver(tenantId: Prisma.Sql, types: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`exists (
    select 1 from webhook_endpoints e
     where e.tenant_id = ${tenantId} and e.deleted_at is null and e.events && ${types}
    offset 0)`;
}
