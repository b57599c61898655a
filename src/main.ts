import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ConfigError, parseConfig, type Config } from './common/config/config.js';
import { Ending } from './main.ending.js';

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
  const ending = new Ending();
  const config = readConfig();
  // Megabytes, and seconds of a small container's CPU: loaded once it is clear that the start can succeed.
  const [{ createApp, shutDown }, { Logger }] = await Promise.all([
    import('./app.setup.js'),
    import('./common/logging/logger.js'),
  ]);
  const logger = new Logger(config.logLevel);
  try {
    const starting = createApp(config, logger);
    let closing: Promise<void> | null = null;
    const failed = (error: unknown): void => logger.error({ err: error }, 'the start failed');
    const close = (): Promise<void> => (closing ??= starting.then(shutDown, failed));
    ending.prepare({ logger, timeoutMs: config.shutdownTimeoutMs, close });
    const app = await starting.catch(nameDatabase);
    if (!ending.begun) await listen(app, config, close);
    if (!ending.begun) logger.info({ url: await app.getUrl(), role: config.role }, 'listening');
  } catch (error) {
    // Loops run before anybody listens: what they have begun is being drained.
    if (ending.begun) return;
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

await main();
