import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ConfigError, parseConfig, type Config } from './common/config/config.js';
import type { Logger } from './common/logging/logger.js';

/** A start that cannot succeed says why in one line and never shows a value. */
function refuse(error: ConfigError): never {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

function readConfig(): Config {
  try {
    return parseConfig(process.env);
  } catch (error) {
    if (error instanceof ConfigError) refuse(error);
    throw error;
  }
}

async function main(): Promise<void> {
  const config = readConfig();
  // Megabytes, and seconds of a small container's CPU: loaded once it is clear that the start can succeed.
  const [{ createApp, shutDown }, { Logger }] = await Promise.all([
    import('./app.setup.js'),
    import('./common/logging/logger.js'),
  ]);
  const logger = new Logger(config.logLevel);
  try {
    const app = await createApp(config, logger).catch(nameDatabase);
    await listen(app, config, () => shutDown(app));
    logger.info({ url: await app.getUrl(), role: config.role }, 'listening');
    const stop = onceStopped(config, logger, () => shutDown(app));
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  } catch (error) {
    if (error instanceof ConfigError) refuse(error);
    logger.error({ err: error }, 'the start failed');
    process.exit(1);
  }
}

/** Of what can fail before anybody listens, a database that is of no use is the configuration's fault. */
async function nameDatabase(error: unknown): Promise<never> {
  const { whyUnusable } = await import('./common/prisma/database-errors.js');
  const reason = whyUnusable(error);
  throw reason === null ? error : new ConfigError(`DATABASE_URL: its database ${reason}`);
}

/** Why nobody can listen where the configuration says, by the system's code. */
const UNHEARD: Record<string, string> = {
  EADDRINUSE: 'PORT is taken by another process',
  EACCES: 'PORT may not be used by this user',
  EADDRNOTAVAIL: 'HOST is no address of this machine',
  ENOTFOUND: 'HOST is no name that can be resolved',
  EAI_AGAIN: 'HOST is no name that can be resolved',
};

/** The loops run already: a port that is taken must not cut off what they have begun. */
async function listen(app: NestFastifyApplication, config: Config, close: () => Promise<void>): Promise<void> {
  try {
    await app.listen(config.port, config.host);
  } catch (error) {
    await close();
    const { code } = error as NodeJS.ErrnoException;
    const reason = UNHEARD[code ?? ''];
    throw reason === undefined ? error : new ConfigError(reason);
  }
}

/** Drains, then exits with 0; a drain that takes too long ends with 1, and what it left is found by the next replica. */
function onceStopped(config: Config, logger: Logger, close: () => Promise<void>): (signal: string) => void {
  let stopping = false;
  return (signal) => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, 'draining');
    setTimeout(() => {
      logger.error({}, 'the drain took too long');
      process.exit(1);
    }, config.shutdownTimeoutMs).unref();
    close().then(
      () => {
        logger.info({}, 'stopped');
        process.exit(0);
      },
      (error: unknown) => {
        logger.error({ err: error }, 'the drain failed');
        process.exit(1);
      },
    );
  };
}

await main();
