import type { Logger } from './common/logging/logger.js';

/** What there is to end. */
interface Running {
  logger: Logger;
  /** for what is under way, in milliseconds */
  timeoutMs: number;
  /** drains and closes everything, what is still starting included */
  close: () => Promise<void>;
}

/**
 * How the process ends: upon a signal, with 0; upon an error that nobody has caught, with 1. Either way calls under way, which cost
 * money, are brought to their end first. What a drain that takes too long leaves is found by the next replica.
 *
 * It listens from its construction on: as the first process of a container it would else be deaf to signals while it starts.
 */
export class Ending {
  private running: Running | null = null;
  private ended = false;

  constructor() {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.begin(0, { signal }));
    for (const event of ['uncaughtException', 'unhandledRejection'] as const)
      process.on(event, (error: unknown) => this.take(error));
  }

  /** Whether it has begun. */
  get begun(): boolean {
    return this.ended;
  }

  /** From now on there is something to drain. */
  prepare(running: Running): void {
    this.running = running;
  }

  private take(error: unknown): void {
    const { logger } = this.running ?? {};
    if (logger) logger.error({ err: error }, 'an error that nobody has caught');
    else process.stderr.write(`${error instanceof Error ? error.stack : 'an error that nobody has caught'}\n`);
    this.begin(1, {});
  }

  private begin(code: number, why: object): void {
    if (this.ended) return;
    this.ended = true;
    if (!this.running) process.exit(code);
    const { logger, timeoutMs, close } = this.running;
    logger.info({ ...why }, 'draining');
    setTimeout(() => {
      logger.error({}, 'the drain took too long');
      process.exit(1);
    }, timeoutMs);
    close().then(
      () => {
        logger.info({}, 'stopped');
        process.exit(code);
      },
      (error: unknown) => {
        logger.error({ err: error }, 'the drain failed');
        process.exit(1);
      },
    );
  }
}
