import type { Fault, FaultMatch } from '../../simulator/faults.js';
import type { Simulator } from '../../simulator/simulator.js';
import { eventually } from './gateway.js';

/** An answer of TensorPix that waits for as long as a test likes: at most the gateway's timeout. */
export interface HeldAnswer {
  /** TensorPix has done the work; the gateway does not know. */
  untilHeld: () => Promise<void>;
  arrive: () => void;
}

const WORK_DONE: Fault = { kind: 'slow', delay_ms: 0, commit: true };

/** The answer to the next call that fits waits. What a failed test holds arrives when faults are cleared. */
export function holdAnswer({ control }: Simulator, match: FaultMatch, fault: Fault = WORK_DONE): HeldAnswer {
  const { id } = control.addFault({ match, times: 1, fault: { ...fault, held: true } });
  const held = (): number => control.listFaults().find((rule) => rule.id === id)?.held ?? 0;
  return {
    untilHeld: async () => void (await eventually(held, (answers) => answers === 1)),
    arrive: () => control.letGo(id),
  };
}
