import { Injectable } from '@nestjs/common';
import { PrismaService } from '../../../common/prisma/prisma.service.js';

/** Ids that this process has noted, so that the same page is not written at every look. */
const MAX_NOTED = 50_000;

/** Jobs that TensorPix has shown and that no row owned: what was there before a call was not made by it. */
@Injectable()
export class SightingsStore {
  private readonly noted = new Set<string>();

  constructor(private readonly prisma: PrismaService) {}

  /** Remembers when these were seen first, unless rows of the account own them. */
  async note(accountId: string, tensorpixIds: number[]): Promise<void> {
    const keyOf = (id: number) => `${accountId} ${id}`;
    // In one order everywhere, so that no two statements wait for each other in a circle.
    const news = tensorpixIds.filter((id) => !this.noted.has(keyOf(id))).sort((a, b) => a - b);
    if (news.length === 0) return;
    await this.prisma.$executeRaw`
      insert into upstream_sightings (account_id, tensorpix_id)
      select ${accountId}::uuid, s.id
        from unnest(${news}::bigint[]) as s(id)
       where not exists (select 1 from jobs j where j.account_id = ${accountId}::uuid and j.tensorpix_id = s.id offset 0)
          on conflict (account_id, tensorpix_id) do nothing`;
    if (this.noted.size + news.length > MAX_NOTED) this.noted.clear();
    for (const id of news) this.noted.add(keyOf(id));
  }

  async findFirstSeen(accountId: string, tensorpixIds: number[]): Promise<Map<number, Date>> {
    const rows = await this.prisma.$queryRaw<{ id: bigint; at: Date }[]>`
      select s.tensorpix_id as id, s.first_seen_at as at
        from upstream_sightings s
       where s.account_id = ${accountId}::uuid and s.tensorpix_id = any(${tensorpixIds}::bigint[])`;
    return new Map(rows.map(({ id, at }) => [Number(id), at]));
  }

  /** What was seen long ago is told by its own time of start. Returns how many were removed, at most `limit`. */
  async deleteOldAnyAccount(keptDays: number, limit: number): Promise<number> {
    return this.prisma.$executeRaw`
      delete from upstream_sightings
       where ctid = any(array(
         select s.ctid
           from upstream_sightings s
          where s.first_seen_at < now() - ${keptDays}::float8 * interval '1 day'
          order by s.first_seen_at
          limit ${limit}::int
            for update skip locked))`;
  }
}
