import { randomBytes } from 'node:crypto';
import type { Target } from '../support/load.js';
import { startServer, type ServerProcess, type ServerProgram, type SpawnOptions } from '../support/server-process.js';
import type { Databases } from './databases.js';

export type ContestantName = 'gateway' | 'simulator' | 'proxy' | 'obvious';

/** One way to get a job to TensorPix, in a process of its own. */
export interface Contestant {
  name: ContestantName;
  label: string;
  process: ServerProcess;
  target: Target;
  /** Its account at the simulator, which counts its jobs. */
  token: string;
}

export interface Contestants {
  /** In the order in which they are measured. */
  all: Contestant[];
  simulatorUrl: string;
}

/** Of each contestant, so that the simulator tells their jobs apart by the last four characters. */
const TOKENS: Record<ContestantName, string> = {
  gateway: 'bench-token-gate',
  simulator: 'bench-token-dire',
  proxy: 'bench-token-prox',
  obvious: 'bench-token-obvi',
};

/** No job moves while creates are measured. */
const QUEUE_MS = 24 * 3_600_000;
const CREDITS = 1_000_000_000;

const TENSORPIX_FIELDS = {
  video_url: 'https://media.example.com/archive/1994/reel-0042.mp4',
  ml_models: [1, 3, 7],
  codec: 'libx264',
  crf: 20,
  container: 'mp4',
  output_resolution: 1920,
  grain: 0.1,
  comparison: false,
};

/** Starts the simulator and the three servers in front of it. */
export async function startContestants(databases: Databases, options: SpawnOptions): Promise<Contestants> {
  const start = (program: ServerProgram) => startServer(program, options);
  const simulator = await start(simulatorProgram());
  const upstream = (name: ContestantName) => ({
    TENSORPIX_BASE_URL: simulator.url,
    TENSORPIX_TOKEN: TOKENS[name],
  });
  const gateway = await start(gatewayProgram(databases.gatewayUrl, simulator.url));
  const proxy = await start(benchProgram('proxy', upstream('proxy')));
  const obvious = await start(benchProgram('obvious', { ...upstream('obvious'), DATABASE_URL: databases.obviousUrl }));
  const key = await createTenantKey(gateway.url, TOKENS.gateway);
  const all = [
    contestant('gateway', 'gateway', gateway, gatewayRequest(gateway.url, { authorization: `Bearer ${key}` })),
    contestant('simulator', '(a) simulator directly', simulator, directRequest(simulator.url)),
    contestant('proxy', '(b) bare Nest proxy', proxy, gatewayRequest(proxy.url, {})),
    contestant('obvious', '(c) the obvious stack', obvious, gatewayRequest(obvious.url, {})),
  ];
  return { all, simulatorUrl: simulator.url };
}

function contestant(name: ContestantName, label: string, process: ServerProcess, target: Target): Contestant {
  return { name, label, process, target, token: TOKENS[name] };
}

function simulatorProgram(): ServerProgram {
  const tokens = Object.values(TOKENS).flatMap((token) => ['--token', token]);
  const settings = ['--request-log', '0', '--queue-ms', String(QUEUE_MS), '--credits', String(CREDITS)];
  return {
    name: 'simulator',
    args: (port) => ['--import', 'tsx', 'simulator/main.ts', '--port', String(port), ...settings, ...tokens],
    probe: '/_sim/state',
  };
}

const ADMIN_KEY = randomBytes(32).toString('hex');

/** The built program as an operator starts it, in the role that serves requests: the others follow no jobs either. */
function gatewayProgram(databaseUrl: string, simulatorUrl: string): ServerProgram {
  return {
    name: 'gateway',
    args: () => ['dist/main.js'],
    env: (port) => ({
      DATABASE_URL: databaseUrl,
      TENSORPIX_BASE_URL: simulatorUrl,
      ADMIN_API_KEY: ADMIN_KEY,
      ENCRYPTION_KEYS: `bench:${randomBytes(32).toString('base64')}`,
      GATEWAY_ROLE: 'api',
      HOST: '127.0.0.1',
      PORT: String(port),
    }),
    probe: '/health/ready',
  };
}

function benchProgram(name: ContestantName, env: NodeJS.ProcessEnv): ServerProgram {
  return {
    name,
    args: () => ['--import', 'tsx', `bench/ingress/${name}-server.ts`],
    env: (port) => ({ PORT: String(port), ...env }),
    probe: '/',
  };
}

function directRequest(origin: string): Target {
  const headers = { 'content-type': 'application/json', authorization: `Token ${TOKENS.simulator}` };
  const body = JSON.stringify(TENSORPIX_FIELDS);
  return { origin, path: '/api/jobs/from-url/', headers, body: () => body };
}

/** With the gateway's own fields, of which the proxy only checks the form. No callback: nothing else would send it. */
function gatewayRequest(origin: string, headers: Record<string, string>): Target {
  const own = { metadata: { team: 'restoration', reel: '42' } };
  return {
    origin,
    path: '/v1/jobs',
    headers: { 'content-type': 'application/json', ...headers },
    body: (number) => JSON.stringify({ ...TENSORPIX_FIELDS, ...own, external_id: `reel-${number}` }),
  };
}

async function createTenantKey(gatewayUrl: string, token: string): Promise<string> {
  const tenant = await postAsAdmin(`${gatewayUrl}/v1/tenants`, { name: 'bench', tensorpix_token: token });
  const { key } = await postAsAdmin(`${gatewayUrl}/v1/tenants/${tenant.id}/api-keys`, { name: 'bench' });
  if (key === undefined) throw new Error('the gateway made no key');
  return key;
}

async function postAsAdmin(url: string, body: object): Promise<{ id: string; key?: string }> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${ADMIN_KEY}` };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  if (response.status !== 201) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as { id: string; key?: string };
}
