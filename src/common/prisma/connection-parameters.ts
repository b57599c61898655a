import { parse } from 'pg-connection-string';
import type { ClientConfig } from 'pg';
import { ConfigError } from '../config/config.js';

/**
 * What DATABASE_URL says of a connection, as the driver itself would take it apart. Certificates that it names are read here and
 * once: the driver would read them for each connection, and one that has become unreadable would end the process.
 *
 * @throws ConfigError when a file cannot be read; without its name, which is part of the URL
 */
export function readConnectionParameters(databaseUrl: string): ClientConfig {
  try {
    // Its types do not meet: ports as text and null for what is not said are the driver's own.
    return parse(databaseUrl) as unknown as ClientConfig;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined || code.startsWith('ERR_'))
      throw new ConfigError('DATABASE_URL cannot be taken apart; is its password percent-encoded?');
    throw new ConfigError(`DATABASE_URL names a certificate or key that cannot be read (${code})`);
  }
}
