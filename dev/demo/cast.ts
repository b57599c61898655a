import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { migrate } from '../../prisma/migrate.js';
import { startPostgres } from '../postgres.js';
import { createTenant, GatewayClient, type Tenant } from './gateway-client.js';
import { followLog } from './gateway-log.js';
import { startGateway } from './gateway-process.js';
import type { Lifetime } from './lifetime.js';
import type { DemoOptions } from './options.js';
import { choosePort } from './ports.js';
import { chooseModel, openTensorpix, type TensorpixAccount } from './tensorpix.js';
import type { Terminal } from './terminal.js';
import { printWebhook } from './view.js';
import { startWebhookReceiver, type WebhookReceiver } from './webhook-receiver.js';

/** Everything that takes part, running and introduced to each other. */
export interface Cast {
  tensorpix: TensorpixAccount;
  /** Id of the AI model that the video gets. */
  model: number;
  receiver: WebhookReceiver;
  gatewayUrl: string;
  adminKey: string;
  tenant: Tenant;
  /** The API as the tenant sees it. */
  client: GatewayClient;
}

/** The simulator may be looked at often; TensorPix's own sample looks every 10 s. */
const PACE = { simulator: { min: 500, max: 1_000 }, real: { min: 5_000, max: 10_000 } };

/** Starts one after the other. What has been started ends with `lifetime`, also if the next one does not start. */
export async function gather(
  options: DemoOptions,
  logFile: string,
  terminal: Terminal,
  lifetime: Lifetime,
): Promise<Cast> {
  const port = await choosePort(options.port);
  const database = await terminal.step(
    'Postgres',
    () => openDatabase(lifetime),
    ({ summary }) => summary,
  );
  const tensorpix = await terminal.step(
    'TensorPix',
    () => openTensorpix(options, lifetime),
    ({ baseUrl, real }) => (real ? `${baseUrl}, only what costs nothing` : `simulated, ${baseUrl}`),
  );
  const model = await chooseModel(tensorpix, lifetime.signal);
  const receiver = await terminal.step(
    'Webhook receiver',
    () => openReceiver(terminal, lifetime),
    ({ url }) => url,
  );
  const adminKey = randomBytes(32).toString('base64url');
  const gatewayUrl = `http://127.0.0.1:${port}`;
  const env = gatewayEnv(port, database.url, tensorpix, adminKey);
  if (options.logs) printLog(logFile, terminal, lifetime);
  await terminal.step(
    'Gateway',
    () => startGateway({ port, env, logFile }, lifetime),
    () => gatewayUrl,
  );
  const admin = new GatewayClient(gatewayUrl, adminKey, lifetime.signal);
  const tenant = await terminal.step(
    'Tenant and key',
    () => createTenant(admin, tensorpix.token, lifetime.signal),
    ({ key }) => `${key.slice(0, 12)}…, and its webhook secret`,
  );
  const client = new GatewayClient(gatewayUrl, tenant.key, lifetime.signal);
  receiver.trust(tenant.webhookSecret, async (headers, body) => {
    const answer = await client.post<{ valid: boolean }>('/v1/webhook-deliveries/verify', { headers, body });
    return answer.body.valid;
  });
  return { tensorpix, model: model.id, receiver, gatewayUrl, adminKey, tenant, client };
}

/** An empty log for the gateway, in a directory of its own. */
export async function makeLogFile(): Promise<{ logFile: string; remove: () => Promise<void> }> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tensorpix-gateway-demo-'));
  const logFile = path.join(directory, 'gateway.log');
  await fs.writeFile(logFile, '', { mode: 0o600 });
  return { logFile, remove: () => fs.rm(directory, { recursive: true, force: true }) };
}

/** Begins before the gateway and ends after it, so that all of its log is seen. */
function printLog(logFile: string, terminal: Terminal, lifetime: Lifetime): void {
  const controller = new AbortController();
  const onLine = (line: string): void => terminal.print(terminal.paint('dim', line));
  const following = followLog(logFile, onLine, controller.signal);
  lifetime.atEnd('the log', () => {
    controller.abort();
    return following;
  });
}

async function openDatabase(lifetime: Lifetime): Promise<{ url: string; summary: string }> {
  const postgres = await startPostgres();
  lifetime.atEnd('Postgres', () => postgres.stop());
  lifetime.signal.throwIfAborted();
  const applied = await migrate(postgres.adminUrl);
  lifetime.signal.throwIfAborted();
  const migrations = applied.length === 1 ? '1 migration' : `${applied.length} migrations`;
  return { url: postgres.adminUrl, summary: `127.0.0.1:${postgres.port}, ${migrations} applied` };
}

async function openReceiver(terminal: Terminal, lifetime: Lifetime): Promise<WebhookReceiver> {
  const receiver = await startWebhookReceiver((webhook) => {
    if (!lifetime.signal.aborted) printWebhook(terminal, webhook);
  });
  lifetime.atEnd('the webhook receiver', () => receiver.close());
  return receiver;
}

/** Contract, section 9. Keys are made for this run; nothing but this machine is reached or listened to. */
function gatewayEnv(
  port: number,
  databaseUrl: string,
  { baseUrl, real }: TensorpixAccount,
  adminKey: string,
): Record<string, string> {
  const pace = real ? PACE.real : PACE.simulator;
  return {
    DATABASE_URL: databaseUrl,
    HOST: '127.0.0.1',
    PORT: String(port),
    ADMIN_API_KEY: adminKey,
    ENCRYPTION_KEYS: `demo:${randomBytes(32).toString('base64')}`,
    TENSORPIX_BASE_URL: baseUrl,
    POLL_MIN_INTERVAL_MS: String(pace.min),
    POLL_MAX_INTERVAL_MS: String(pace.max),
    CALLBACK_ALLOW_HTTP: 'true',
    CALLBACK_ALLOWED_CIDRS: '127.0.0.0/8',
  };
}
