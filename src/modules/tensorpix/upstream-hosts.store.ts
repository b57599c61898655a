import { Injectable } from '@nestjs/common';
import { PrismaService } from '../../common/prisma/prisma.service.js';

/** What replicas tell each other of TensorPix's host. */
@Injectable()
export class UpstreamHostsStore {
  constructor(private readonly prisma: PrismaService) {}

  /** @param openForMs for how long nothing is to be sent; null: it serves */
  async tell(host: string, openForMs: number | null): Promise<void> {
    await this.prisma.$executeRaw`
      insert into upstream_hosts (host, open_until)
      values (${host}::text, now() + ${openForMs}::float8 * interval '1 millisecond')
          on conflict (host) do update
         set open_until = case when excluded.open_until is not null
                               then greatest(upstream_hosts.open_until, excluded.open_until) end,
             updated_at = now()`;
  }

  /** For how long nothing is to be sent, not above 0 when that is over; null: it serves. */
  async findOpenForMs(host: string): Promise<number | null> {
    const [row] = await this.prisma.$queryRaw<{ openForMs: number | null }[]>`
      select (extract(epoch from open_until - now()) * 1000)::float8 as "openForMs"
        from upstream_hosts where host = ${host}::text`;
    return row?.openForMs ?? null;
  }
}
