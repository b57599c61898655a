import { afterAll } from '@jest/globals';
import { TensorpixClient } from '../../../src/modules/tensorpix/tensorpix.client.js';
import { eventually, type Gateway } from '../../support/gateway.js';

type Call = 'enhanceVideo' | 'enhanceImage' | 'getJob';
type Calls = Record<Call, (token: string, ...rest: unknown[]) => Promise<unknown>>;

/** An answer of TensorPix that is on its way to a gateway for as long as a test likes. */
export interface HeldAnswer {
  /** TensorPix has done the work and has answered; the gateway does not know. */
  untilGiven: () => Promise<void>;
  arrive: () => void;
}

/** TensorPix's answer to the next call of this kind with this token is held on its way to the gateway. */
export type Hold = (gateway: Gateway, call: Call, token: string) => HeldAnswer;

/** Call it above what starts the gateway: it cannot stop while an answer is held, so that those of failed tests arrive then. */
export function useHeldAnswers(): Hold {
  const held: HeldAnswer[] = [];
  afterAll(() => {
    for (const { arrive } of held) arrive();
  });
  return (...which) => {
    const answer = holdNext(...which);
    held.push(answer);
    return answer;
  };
}

function holdNext(gateway: Gateway, call: Call, token: string): HeldAnswer {
  const client = gateway.app.get<TensorpixClient, Calls>(TensorpixClient, { strict: false });
  const ask = client[call].bind(client);
  let arrive: () => void = () => undefined;
  const arrival = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  let [asked, given] = [false, false];
  client[call] = async (usedToken, ...rest) => {
    if (asked || usedToken !== token) return ask(usedToken, ...rest);
    asked = true;
    const answer = await ask(usedToken, ...rest);
    given = true;
    await arrival;
    return answer;
  };
  const untilGiven = async () => {
    await eventually(() => given, Boolean);
  };
  return { untilGiven, arrive };
}
