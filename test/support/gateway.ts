import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { randomBytes } from 'node:crypto';
import request from 'supertest';
import { createApp, shutDown } from '../../src/app.setup.js';
import { parseConfig } from '../../src/common/config/config.js';
import { Logger } from '../../src/common/logging/logger.js';

export const ADMIN_KEY = 'admin-key-for-tests-0123456789abcdef';
export const ENCRYPTION_KEYS = `k1:${randomBytes(32).toString('base64')}`;

/** A running gateway in this process, listening on a port of its own. */
export interface Gateway {
  app: NestFastifyApplication;
  url: string;
  /** everything logged so far */
  logs: () => string;
  close: () => Promise<void>;
}

/** The environment of a gateway under test. Its timeout is for tests in which none is waited for: a busy machine is not late. */
export function gatewayEnv(
  databaseUrl: string,
  tensorpixUrl: string,
  overrides: NodeJS.ProcessEnv = {},
): NodeJS.ProcessEnv {
  return {
    DATABASE_URL: databaseUrl,
    TENSORPIX_BASE_URL: tensorpixUrl,
    ADMIN_API_KEY: ADMIN_KEY,
    ENCRYPTION_KEYS,
    HOST: '127.0.0.1',
    PORT: '0',
    TENSORPIX_TIMEOUT_MS: '10000',
    POLL_MIN_INTERVAL_MS: '100',
    POLL_MAX_INTERVAL_MS: '500',
    CALLBACK_ALLOW_HTTP: 'true',
    CALLBACK_ALLOWED_CIDRS: '127.0.0.0/8',
    CALLBACK_RETRY_SCHEDULE_MS: '50,50,50,50,50,50',
    LOG_LEVEL: 'debug',
    ...overrides,
  };
}

export async function startGateway(
  databaseUrl: string,
  tensorpixUrl: string,
  overrides: NodeJS.ProcessEnv = {},
): Promise<Gateway> {
  const config = parseConfig(gatewayEnv(databaseUrl, tensorpixUrl, overrides));
  const lines: string[] = [];
  const app = await createApp(config, new Logger(config.logLevel, { write: (line: string) => void lines.push(line) }));
  await app.listen(config.port, config.host);
  return { app, url: await app.getUrl(), logs: () => lines.join(''), close: () => shutDown(app) };
}

export interface TestTenant {
  id: string;
  key: string;
}

/** Creates a tenant and a key through the API. On a busy machine a transaction may begin too late, which is a 503. */
export async function createTenant(url: string, token: string, body: object = {}): Promise<TestTenant> {
  const create = async <T>(path: string, fields: object): Promise<T> => {
    const admin = { authorization: `Bearer ${ADMIN_KEY}` };
    const answer = await eventually(
      async () => request(url).post(path).set(admin).send(fields),
      ({ status }) => status !== 503,
    );
    if (answer.status !== 201) throw new Error(`${path} was answered with ${answer.status} ${answer.text}`);
    return answer.body as T;
  };
  const { id } = await create<{ id: string }>('/v1/tenants', { name: 'team', tensorpix_token: token, ...body });
  const { key } = await create<{ key: string }>(`/v1/tenants/${id}/api-keys`, { name: 'test' });
  return { id, key };
}

/** Waits until a condition holds; fails with the last value after a generous time. */
export async function eventually<T>(
  read: () => T | Promise<T>,
  holds: (value: T) => boolean,
  timeoutMs = 60_000,
): Promise<T> {
  const untilMs = Date.now() + timeoutMs;
  for (;;) {
    const value = await read();
    if (holds(value)) return value;
    if (Date.now() > untilMs)
      throw new Error(`not within ${timeoutMs} ms; the last value was ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
