import { describe, expect, it } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import pg from 'pg';
import { ConfigError } from '../../../src/common/config/config.js';
import { readConnectionParameters } from '../../../src/common/prisma/connection-parameters.js';

describe('the parameters of a connection', () => {
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
