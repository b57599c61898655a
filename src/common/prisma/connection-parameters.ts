import { parseIntoClientConfig } from 'pg-connection-string';
import type { ClientConfig } from 'pg';
import { ConfigError } from '../config/config.js';

/**
 * What DATABASE_URL says of a connection. Certificates that it names are read here and once: the driver, given the URL, would read
 * them for each connection, and one that has become unreadable would end the process.
 *
 * @throws ConfigError when a file cannot be read; without its name, which is part of the URL
 */
export function readConnectionParameters(databaseUrl: string): ClientConfig {
  try {
    return parseIntoClientConfig(databaseUrl);
  } catch (error) {
    const { code = 'no code' } = error as NodeJS.ErrnoException;
    throw new ConfigError(`DATABASE_URL names a certificate or key that cannot be read (${code})`);
  }
}
