import { eventually } from '../../support/gateway.js';
import type { World } from '../../support/world.js';

/** A look that began before a job was canceled may ask TensorPix for its cancel once more. */
export async function untilLooksEnded(world: World): Promise<void> {
  await eventually(
    () => world.sql('select 1 from tenant_paces where poll_lease_token is not null'),
    (rows) => rows.length === 0,
  );
}
