import { describe, expect, it } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import pg from 'pg';
import { ConfigError } from '../../../src/common/config/config.js';
import { readConnectionParameters } from '../../../src/common/prisma/connection-parameters.js';

describe('the parameters of a connection', () => {
  it.each([
    'postgresql://user:pw@db.example.com/gateway',
    'postgresql://user:p%40w%25@db.example.com:5433/gate%20way?ssl=no-verify',
    'postgresql://user@[::1]/gateway?ssl=true&application_name=a&statement_timeout=7',
    'postgresql://user@db.example.com/gateway?sslmode=no-verify',
    'postgresql://user@db.example.com/gateway?sslmode=disable',
    'postgresql:///gateway?host=/var/run/postgresql&user=me',
    'postgresql://',
  ])('should be those that the driver would have read from %s', (connectionString) => {
    const parts = ['host', 'port', 'user', 'password', 'database', 'ssl', 'connectionParameters'] as const;
    const read = (config: pg.ClientConfig) => {
      const client = new pg.Client({ query_timeout: 5, ...config }) as unknown as Record<string, unknown>;
      return Object.fromEntries(parts.map((part) => [part, client[part]]));
    };
    expect(read(readConnectionParameters(connectionString))).toEqual(read({ connectionString }));
  });

  it('should be refused when they cannot be taken apart', () => {
    expect(() => readConnectionParameters('postgresql://user:%ff@db.example.com/gateway')).toThrow(
      /^DATABASE_URL cannot be taken apart; is its password percent-encoded\?$/,
    );
  });

  it('should need the certificates that the URL names only once', async () => {
    const directory = await mkdtemp(path.join(os.tmpdir(), 'certificates-'));
    const ca = path.join(directory, 'ca.pem');
    await writeFile(ca, 'of an authority');
    const parameters = readConnectionParameters(
      `postgresql://user:pw@db.example.com:5433/gateway?sslmode=verify-full&sslrootcert=${ca}`,
    );
    await rm(directory, { recursive: true });
    const { host, port, user, password, database, ssl } = new pg.Client(parameters) as pg.Client & { ssl: object };
    expect({ host, port, user, password, database, ssl }).toEqual({
      host: 'db.example.com',
      port: 5433,
      user: 'user',
      password: 'pw',
      database: 'gateway',
      ssl: { ca: 'of an authority' },
    });
  });

  it('should be refused when one cannot be read, without its name', () => {
    const read = () => readConnectionParameters('postgresql://db.example.com/gateway?sslrootcert=/nowhere/s3cret.pem');
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(/^DATABASE_URL names a certificate or key that cannot be read \(ENOENT\)$/);
  });
});
