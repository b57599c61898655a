/**
 * The database's clock, carried forward by this process's monotonic one from the moment a statement answered. Used
 * for the timestamps of a record; what is due is always decided by the database's own now().
 */
export class DatabaseTime {
  private readonly readAtMs = performance.now();

  constructor(private readonly databaseNow: Date) {}

  now(): Date {
    return new Date(this.databaseNow.getTime() + Math.max(0, Math.round(performance.now() - this.readAtMs)));
  }
}
