import type { ShownJob } from './answers.js';
import { isRefusedFor, type CallOutcome } from './call-outcome.js';
import type { TensorpixClient } from './tensorpix.client.js';

type Ask = <T>(call: () => Promise<CallOutcome<T>>) => Promise<CallOutcome<T>>;

/**
 * A job by its id, wherever TensorPix has it: among its jobs, else in the history, where ended ones may have gone. `not_found`
 * when it is in neither.
 *
 * @param ask makes each of the one or two calls
 */
export async function lookUpJob(
  tensorpix: TensorpixClient,
  token: string,
  id: number,
  ask: Ask = (call) => call(),
): Promise<CallOutcome<ShownJob>> {
  const outcome = await ask(() => tensorpix.getJob(token, id));
  return isRefusedFor(outcome, 'not_found') ? ask(() => tensorpix.getHistoryJob(token, id)) : outcome;
}
