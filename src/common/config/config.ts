import { parseUrl } from '../validation/url.js';
import { InvalidCidrError, parseCidrs, type Cidr } from '../outbound/cidr.js';

/** A missing or wrong environment variable. The message names the variable and never holds its value. */
export class ConfigError extends Error {}

export type GatewayRole = 'api' | 'worker' | 'all';

export interface EncryptionKey {
  id: string;
  /** 32 bytes */
  key: Buffer;
}

/** The environment, parsed once (contract, section 9). */
export interface Config {
  /** without `schema` and `options` */
  databaseUrl: string;
  /** of `?schema=`, as Prisma has it */
  databaseSchema: string;
  /** of `?options=`: settings of each session, as libpq has them */
  databaseOptions: string;
  port: number;
  host: string;
  role: GatewayRole;
  adminApiKey: string;
  encryptionKeys: EncryptionKey[];
  tensorpixBaseUrl: string;
  tensorpixTimeoutMs: number;
  reconcileGraceMs: number;
  pollMinIntervalMs: number;
  pollMaxIntervalMs: number;
  callbackTimeoutMs: number;
  callbackRetryScheduleMs: number[];
  callbackAllowHttp: boolean;
  callbackAllowedCidrs: Cidr[];
  logLevel: string;
  retentionDays: number;
  shutdownTimeoutMs: number;
}

/** Injection token of the parsed environment. */
export const CONFIG = Symbol('CONFIG');

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** Contract, section 7: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h. */
export const DEFAULT_RETRY_SCHEDULE_MS = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  ...[2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR_MS),
];

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];

/**
 * Reads the variables of the contract's section 9.
 * @throws ConfigError naming the first variable that is missing or wrong.
 */
export function parseConfig(env: NodeJS.ProcessEnv): Config {
  const config: Config = {
    ...database(env),
    port: integer(env, 'PORT', 3000, 0, 65_535),
    host: env.HOST || '0.0.0.0',
    role: oneOf(env, 'GATEWAY_ROLE', 'all', ['api', 'worker', 'all']) as GatewayRole,
    adminApiKey: adminApiKey(env),
    encryptionKeys: encryptionKeys(env),
    tensorpixBaseUrl: baseUrl(env, 'TENSORPIX_BASE_URL', 'https://backend.tensorpix.ai'),
    tensorpixTimeoutMs: integer(env, 'TENSORPIX_TIMEOUT_MS', 60_000, 100, 600_000),
    reconcileGraceMs: integer(env, 'RECONCILE_GRACE_MS', 60_000, 0, HOUR_MS),
    pollMinIntervalMs: integer(env, 'POLL_MIN_INTERVAL_MS', 5_000, 50, HOUR_MS),
    pollMaxIntervalMs: integer(env, 'POLL_MAX_INTERVAL_MS', 60_000, 50, HOUR_MS),
    callbackTimeoutMs: integer(env, 'CALLBACK_TIMEOUT_MS', 15_000, 100, 120_000),
    callbackRetryScheduleMs: schedule(env, 'CALLBACK_RETRY_SCHEDULE_MS', DEFAULT_RETRY_SCHEDULE_MS),
    callbackAllowHttp: oneOf(env, 'CALLBACK_ALLOW_HTTP', 'false', ['true', 'false']) === 'true',
    callbackAllowedCidrs: cidrs(env, 'CALLBACK_ALLOWED_CIDRS'),
    logLevel: oneOf(env, 'LOG_LEVEL', 'info', LOG_LEVELS),
    retentionDays: integer(env, 'RETENTION_DAYS', 90, 1, 36_500),
    shutdownTimeoutMs: integer(env, 'SHUTDOWN_TIMEOUT_MS', 75_000, 0, HOUR_MS),
  };
  if (config.pollMaxIntervalMs < config.pollMinIntervalMs) {
    throw new ConfigError('POLL_MAX_INTERVAL_MS must not be less than POLL_MIN_INTERVAL_MS');
  }
  return config;
}

function required(env: NodeJS.ProcessEnv, name: string): string {
  const value = env[name];
  if (!value) throw new ConfigError(`${name} is required`);
  return value;
}

/** The query is taken apart by hand, because the driver would let its `options` replace ours. As prisma/session.js does. */
function database(env: NodeJS.ProcessEnv): Pick<Config, 'databaseUrl' | 'databaseSchema' | 'databaseOptions'> {
  const value = required(env, 'DATABASE_URL');
  const parsed = parseUrl(value);
  if (parsed?.protocol !== 'postgresql:' && parsed?.protocol !== 'postgres:') {
    throw new ConfigError('DATABASE_URL must be a postgresql:// URL');
  }
  const [base = '', query = ''] = value.split(/\?(.*)/s);
  const parameters = new URLSearchParams(query);
  // As they are written: the driver does not read all of what URLSearchParams would make of them.
  const others = query.split('&').filter((parameter) => !/^(schema|options)(=|$)/.test(parameter));
  const [databaseSchema, databaseOptions] = [parameters.get('schema') || 'public', parameters.get('options') ?? ''];
  if (!/^[A-Za-z_][\w$]*$/.test(databaseSchema)) throw new ConfigError('DATABASE_URL must name a plain schema');
  const databaseUrl = others.join('') === '' ? base : `${base}?${others.join('&')}`;
  return { databaseUrl, databaseSchema, databaseOptions };
}

function integer(env: NodeJS.ProcessEnv, name: string, fallback: number, min: number, max: number): number {
  const value = env[name];
  if (value === undefined || value === '') return fallback;
  if (!/^\d+$/.test(value) || Number(value) < min || Number(value) > max) {
    throw new ConfigError(`${name} must be a whole number from ${min} to ${max}`);
  }
  return Number(value);
}

function oneOf(env: NodeJS.ProcessEnv, name: string, fallback: string, allowed: readonly string[]): string {
  const value = env[name] || fallback;
  if (!allowed.includes(value)) throw new ConfigError(`${name} must be one of ${allowed.join(', ')}`);
  return value;
}

function adminApiKey(env: NodeJS.ProcessEnv): string {
  const value = required(env, 'ADMIN_API_KEY');
  if (!/^[\x21-\x7e]{32,512}$/.test(value)) {
    throw new ConfigError('ADMIN_API_KEY must have at least 32 characters (at most 512), visible ASCII without spaces');
  }
  return value;
}

function encryptionKeys(env: NodeJS.ProcessEnv): EncryptionKey[] {
  const entries = required(env, 'ENCRYPTION_KEYS').split(',');
  const keys = entries.map((entry) => {
    const match = /^\s*([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/_-]+={0,2})\s*$/.exec(entry);
    const key = Buffer.from(match?.[2] ?? '', 'base64');
    if (!match?.[1] || key.length !== 32) {
      throw new ConfigError('ENCRYPTION_KEYS must be id:base64 of 32 bytes, separated by commas');
    }
    return { id: match[1], key };
  });
  if (new Set(keys.map((key) => key.id)).size !== keys.length) {
    throw new ConfigError('ENCRYPTION_KEYS must not use a key id twice');
  }
  return keys;
}

function baseUrl(env: NodeJS.ProcessEnv, name: string, fallback: string): string {
  const value = env[name] || fallback;
  const url = parseUrl(value);
  const plain = url && !url.username && !url.password && !url.search && !url.hash && url.pathname === '/';
  if (!plain || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new ConfigError(`${name} must be an http(s) origin without path, credentials or query`);
  }
  return url.origin;
}

function schedule(env: NodeJS.ProcessEnv, name: string, fallback: number[]): number[] {
  const value = env[name];
  if (value === undefined || value === '') return fallback;
  const steps = value.split(',').map((step) => step.trim());
  if (!steps.every((step) => /^\d{1,10}$/.test(step))) {
    throw new ConfigError(`${name} must be milliseconds separated by commas`);
  }
  return steps.map(Number);
}

function cidrs(env: NodeJS.ProcessEnv, name: string): Cidr[] {
  try {
    return parseCidrs(env[name] ?? '');
  } catch (error) {
    if (!(error instanceof InvalidCidrError)) throw error;
    throw new ConfigError(
      `${name} must be address ranges such as 10.0.0.0/8, separated by commas; entry ${error.position} is not`,
    );
  }
}
