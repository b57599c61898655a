import { Injectable } from '@nestjs/common';
import { PrismaService } from '../../common/prisma/prisma.service.js';

/** The newest migration that this program needs; a newer database serves it too. */
export const NEEDED_MIGRATION = '20261129060000_vacuum';

/** What readiness asks of the database. */
@Injectable()
export class HealthStore {
  constructor(private readonly prisma: PrismaService) {}

  /** Null when the database answers and has what this program needs; throws when it does not answer. */
  async findMissingMigration(): Promise<string | null> {
    const [exists] = await this.prisma.$queryRaw<{ found: boolean }[]>`
      select to_regclass('_prisma_migrations') is not null as found`;
    if (!exists?.found) return NEEDED_MIGRATION;
    const rows = await this.prisma.$queryRaw<{ done: number }[]>`
      select 1 as done from _prisma_migrations
       where migration_name = ${NEEDED_MIGRATION} and finished_at is not null and rolled_back_at is null`;
    return rows.length > 0 ? null : NEEDED_MIGRATION;
  }
}
