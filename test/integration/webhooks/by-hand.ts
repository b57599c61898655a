import { JobsPoller } from '../../../src/modules/jobs/polling/jobs.poller.js';
import { WebhooksDispatcher } from '../../../src/modules/webhooks/webhooks.dispatcher.js';
import type { Gateway } from '../../support/gateway.js';
import { idOf, type Stage, type Team } from '../../support/stage.js';

const ALL_EVENTS = ['job.queued', 'job.processing', 'job.progress', 'job.finished', 'job.failed', 'job.canceled'];

/** What the loops of webhooks do, tick by tick, for a stage on which none runs. */
export class ByHand {
  /** @param events what the callbacks of its jobs are told */
  constructor(
    private readonly stage: Stage,
    private readonly events: readonly string[] = ALL_EVENTS,
  ) {}

  /** Looks at all jobs at TensorPix. */
  async look(): Promise<void> {
    await this.stage.makeLooksDue();
    const poller = this.stage.gateway.app.get(JobsPoller, { strict: false });
    await poller.tick();
    await poller.drain();
  }

  /** Starts the attempts that are due, and waits for them. */
  async dispatch(gateway: Gateway = this.stage.gateway): Promise<void> {
    await this.stage.sql('select pg_sleep(0.005)');
    await this.startAttempts(gateway);
    await this.untilAttempted(gateway);
  }

  async startAttempts(gateway: Gateway = this.stage.gateway): Promise<void> {
    await gateway.app.get(WebhooksDispatcher, { strict: false }).tick();
  }

  async untilAttempted(gateway: Gateway = this.stage.gateway): Promise<void> {
    await gateway.app.get(WebhooksDispatcher, { strict: false }).drain();
  }

  /** A job whose events are told to this URL. */
  async video(team: Team, url = this.stage.receiver.url): Promise<{ id: string; upstream: number }> {
    const created = await this.stage.video(team, { callback_url: url, callback_events: this.events });
    if (created.status !== 201) throw new Error(`${created.status} ${created.text}`);
    return { id: idOf(created), upstream: created.body.tensorpix_id as number };
  }

  /** Of a job's webhooks, in their order: type and status. */
  async states(id: string): Promise<string[]> {
    return (await this.stage.deliveries(id)).map(({ event_type, status }) => `${event_type} ${status}`);
  }
}
