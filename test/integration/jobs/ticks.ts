import type { Type } from '@nestjs/common';
import type { Stage } from '../../support/stage.js';

interface Loop {
  tick: () => Promise<boolean>;
  drain: () => Promise<void>;
}

/** One round of a loop of a gateway in which no loop runs, and everything that it began. */
export async function tick(stage: Stage, loop: Type<Loop>): Promise<void> {
  const running = stage.gateway.app.get(loop, { strict: false });
  await running.tick();
  await running.drain();
}
