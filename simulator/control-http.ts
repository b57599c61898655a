import type { SimulatorControl, AccountChange, SeedRequest } from './control.js';
import type { DecodedBody } from './body.js';
import type { FaultRule } from './faults.js';
import { detail, json, noContent, type Reply } from './replies.js';

/** Answers a request to `/_sim/…`; it needs no token. Unknown values are a 400 `{detail}`. */
export function handleControl(control: SimulatorControl, method: string, path: string, body: DecodedBody): Reply {
  const [, , resource = '', id] = path.replace(/\/$/, '').split('/');
  try {
    return dispatch(control, `${method} ${resource}${id === undefined ? '' : '/:id'}`, Number(id), body.values);
  } catch (error) {
    if (error instanceof RangeError) return detail(400, error.message);
    throw error;
  }
}

/** The bodies are trusted to have the shapes of `control.ts`: this interface is for tests and demos only. */
function dispatch(control: SimulatorControl, what: string, id: number, body: Record<string, unknown>): Reply {
  switch (what) {
    case 'POST clock':
      return json(200, control.advanceClock(Number(body['advance_ms'])));
    case 'GET faults':
      return json(200, control.listFaults());
    case 'POST faults':
      return json(201, { id: control.addFault(body as unknown as FaultRule).id });
    case 'DELETE faults':
      control.clearFaults();
      return noContent();
    case 'POST faults/:id':
      control.letGo(id);
      return noContent();
    case 'DELETE faults/:id':
      control.removeFault(id);
      return noContent();
    case 'GET jobs/:id':
      return json(200, control.describeJob(id));
    case 'POST jobs/:id':
      return json(200, control.changeJob(id, body));
    case 'POST accounts':
      if (typeof body['token'] !== 'string') return detail(400, 'token is required');
      return json(200, control.changeAccount(body as unknown as AccountChange));
    case 'POST seed':
      if (typeof body['token'] !== 'string') return detail(400, 'token is required');
      return json(201, control.seed(body as unknown as SeedRequest));
    case 'GET requests':
      return json(200, control.requests());
    case 'GET state':
      return json(200, control.summary());
    case 'POST reset':
      control.reset();
      return noContent();
    default:
      return detail(404, 'No such control.');
  }
}
