import { describe, expect, it } from '@jest/globals';
import { ConfigError, parseConfig } from '../../../src/common/config/config.js';

const KEY = Buffer.alloc(32, 7).toString('base64');
const GOOD = {
  DATABASE_URL: 'postgresql://gateway:s3cret-of-the-db@127.0.0.1:5432/gateway',
  ADMIN_API_KEY: 'admin-key-admin-key-admin-key-0123456789',
  ENCRYPTION_KEYS: `k1:${KEY}`,
};

function refusal(env: NodeJS.ProcessEnv): string {
  try {
    parseConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  return 'accepted';
}

describe('the environment', () => {
  it('should have the defaults of the contract', () => {
    expect(parseConfig(GOOD)).toMatchObject({
      port: 3000,
      host: '0.0.0.0',
      role: 'all',
      tensorpixBaseUrl: 'https://backend.tensorpix.ai',
      tensorpixTimeoutMs: 60_000,
      reconcileGraceMs: 60_000,
      pollMinIntervalMs: 5_000,
      pollMaxIntervalMs: 60_000,
      callbackTimeoutMs: 15_000,
      callbackRetryScheduleMs: [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400].map((s) => s * 1_000),
      callbackAllowHttp: false,
      callbackAllowedCidrs: [],
      logLevel: 'info',
      retentionDays: 90,
      shutdownTimeoutMs: 75_000,
    });
  });

  it.each([
    ['', GOOD.DATABASE_URL, 'public', ''],
    ['?schema=team', GOOD.DATABASE_URL, 'team', ''],
    [
      '?host=/var/run/postgresql&schema=team&sslmode=require',
      `${GOOD.DATABASE_URL}?host=/var/run/postgresql&sslmode=require`,
      'team',
      '',
    ],
    [
      '?options=-c%20work_mem%3D7MB&application_name=a/b',
      `${GOOD.DATABASE_URL}?application_name=a/b`,
      'public',
      '-c work_mem=7MB',
    ],
  ])(
    'should take schema and options off the URL of the database, and leave the rest as it is: %s',
    (query, url, schema, options) => {
      expect(parseConfig({ ...GOOD, DATABASE_URL: GOOD.DATABASE_URL + query })).toMatchObject({
        databaseUrl: url,
        databaseSchema: schema,
        databaseOptions: options,
      });
    },
  );

  it('should take an empty variable for one that is not set', () => {
    const names = [
      'PORT',
      'HOST',
      'GATEWAY_ROLE',
      'TENSORPIX_BASE_URL',
      'LOG_LEVEL',
      'CALLBACK_RETRY_SCHEDULE_MS',
      'CALLBACK_ALLOW_HTTP',
      'CALLBACK_ALLOWED_CIDRS',
    ];
    expect(parseConfig({ ...GOOD, ...Object.fromEntries(names.map((name) => [name, ''])) })).toEqual(parseConfig(GOOD));
  });

  it.each(Object.keys(GOOD))('should name %s when it is missing or empty', (name) => {
    for (const value of [undefined, ''])
      expect(refusal({ ...GOOD, [name]: value })).toMatch(new RegExp(`^${name}\\b.*$`));
  });

  const numbers = ['-1', '1.5', '1e3', '0x10', ' 5', 'five-secret', 'NaN', 'Infinity', '99999999999999999999'];
  const wrong: [string, string[]][] = [
    [
      'DATABASE_URL',
      [
        'not-a-url-secret',
        'mysql://user:s3cret@host/db',
        'http://user:s3cret@host/',
        `${GOOD.DATABASE_URL}?schema=a-secret`,
      ],
    ],
    ['ADMIN_API_KEY', ['short-secret', 'a'.repeat(31), `${'a'.repeat(40)} b`, `${'a'.repeat(40)}\n`, 'ä'.repeat(40)]],
    [
      'ENCRYPTION_KEYS',
      [
        'k1',
        'k1:',
        `:${KEY}`,
        KEY,
        `k1:${KEY.slice(4)}`,
        `k1:${KEY}AAAA`,
        `k1:${KEY},`,
        `k1:${KEY},k1:${KEY}`,
        `k1:${KEY};k2:${KEY}`,
        `k.1:${KEY}`,
        `k1:${'!'.repeat(44)}`,
        `k1:${KEY},k2:short-secret`,
      ],
    ],
    ['PORT', [...numbers, '65536']],
    ['GATEWAY_ROLE', ['both-secret', 'API', 'api+worker']],
    [
      'TENSORPIX_BASE_URL',
      [
        'backend-secret',
        'ftp://host',
        'https://user:s3cret@host',
        'https://host/api',
        'https://host/?a=s3cret',
        'https://',
      ],
    ],
    ['TENSORPIX_TIMEOUT_MS', [...numbers, '0']],
    ['RECONCILE_GRACE_MS', numbers],
    ['POLL_MIN_INTERVAL_MS', [...numbers, '0']],
    ['POLL_MAX_INTERVAL_MS', [...numbers, '0', '1000']],
    ['CALLBACK_TIMEOUT_MS', [...numbers, '0']],
    ['CALLBACK_RETRY_SCHEDULE_MS', ['a-secret', '5000;6000', '5000,', ',', '-5', '1.5', '5s']],
    ['CALLBACK_ALLOW_HTTP', ['yes', '1', 'TRUE', 'secret']],
    ['CALLBACK_ALLOWED_CIDRS', ['10.9.8.0/33', '10.9.8.0/24,secret', '300.0.0.1', '10.9.8.0/-1', 'fd00::/129']],
    ['LOG_LEVEL', ['verbose-secret', 'INFO']],
    ['RETENTION_DAYS', [...numbers, '0']],
    ['SHUTDOWN_TIMEOUT_MS', numbers],
  ];
  describe.each(wrong)('%s', (name, values) => {
    it.each(values)('should stop the start as %j, in one line that names it and not its value', (value) => {
      const message = refusal({ ...GOOD, [name]: value });
      expect(message).toMatch(new RegExp(`^${name}\\b[^\\n]*$`));
      for (const part of value.split(/[\s,;:@/]/)) if (part.length >= 6) expect(message).not.toContain(part);
    });
  });

  it('should take several encryption keys in their order', () => {
    const keys = parseConfig({ ...GOOD, ENCRYPTION_KEYS: `new:${KEY}, old-1:${KEY}` }).encryptionKeys;
    expect(keys.map(({ id }) => id)).toEqual(['new', 'old-1']);
    expect(keys.every(({ key }) => key.length === 32)).toBe(true);
  });
});
