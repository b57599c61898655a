import { startSimulator } from '../../simulator/simulator.js';
import type { Lifetime } from './lifetime.js';
import { DemoError, type DemoOptions } from './options.js';

/** The TensorPix that the gateway will talk to. */
export interface TensorpixAccount {
  baseUrl: string;
  token: string;
  /** With the real one, only what costs nothing is asked for. */
  real: boolean;
}

interface MlModel {
  id: number;
  name: string;
  task: number;
  cost_weight: number;
}

const SIMULATOR_TOKEN = 'demo-token';
const QUEUE_MS = 1_000;
const SUPER_RESOLUTION = 1;
const CATALOGUE_TIMEOUT_MS = 30_000;

/** The real TensorPix if there is a token for it, else a simulator that ends with `lifetime`. */
export async function openTensorpix(
  { account, durationMs }: DemoOptions,
  lifetime: Lifetime,
): Promise<TensorpixAccount> {
  if (account !== null) return { ...account, real: true };
  const simulator = await startSimulator({
    tokens: [SIMULATOR_TOKEN],
    credits: 1_000,
    queueMs: QUEUE_MS,
    durationMs,
  });
  lifetime.atEnd('the simulator', () => simulator.close());
  return { baseUrl: simulator.url, token: SIMULATOR_TOKEN, real: false };
}

/**
 * Asks TensorPix for its AI models, because their ids are nowhere documented, and takes the cheapest Super Resolution.
 * @throws DemoError when the list cannot be had
 */
export async function chooseModel({ baseUrl, token }: TensorpixAccount, signal: AbortSignal): Promise<MlModel> {
  const answer = await fetch(new URL('/api/ml-models/?page_size=100', baseUrl), {
    headers: { authorization: `Token ${token}` },
    signal: AbortSignal.any([signal, AbortSignal.timeout(CATALOGUE_TIMEOUT_MS)]),
  }).catch((error: unknown) => {
    throw new DemoError(`TensorPix at ${baseUrl} cannot be reached: ${reasonOf(error)}`);
  });
  if (answer.status === 401) throw new DemoError('TensorPix does not know the token in TENSORPIX_TOKEN.');
  if (!answer.ok) throw new DemoError(`TensorPix answered ${answer.status} when asked for its AI models.`);
  const { results } = (await answer.json()) as { results: MlModel[] };
  const cheapestFirst = results.toSorted((a, b) => a.cost_weight - b.cost_weight);
  const model = cheapestFirst.find(({ task }) => task === SUPER_RESOLUTION) ?? cheapestFirst[0];
  if (model === undefined) throw new DemoError('TensorPix lists no AI models for this account.');
  return model;
}

/** `fetch` itself only says that it failed; why is in the cause. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, message } = (error.cause ?? error) as NodeJS.ErrnoException;
  return code ?? message;
}
