import { describe, expect, it } from '@jest/globals';
import type { ServerResponse } from 'node:http';
import request from 'supertest';
import { eventually } from '../../support/gateway.js';
import { useStage, type Team } from '../../support/stage.js';

/** Longer than any test: what is sent again is so because of a change. */
const LATER_MS = 600_000;
const stage = useStage({
  env: { CALLBACK_RETRY_SCHEDULE_MS: Array.from({ length: 3 }, () => LATER_MS).join(',') },
  simulator: { queueMs: 3_600_000 },
});
let paths = 0;

interface Shown {
  id: string;
  status: string;
  attempt_count: number;
  last_error: string | null;
  next_attempt_at: string | null;
}

/** An endpoint whose receiver answers a webhook when it is told to, all that come after at once. */
class Scene {
  readonly path = `/changed-${(paths += 1)}`;
  readonly mended = `${this.path}-mended`;
  id = '';
  private held: ServerResponse | null = null;
  private status = 204;

  constructor(readonly team: Team) {}

  /** A webhook is under way to it, and not answered. */
  static async start(): Promise<Scene> {
    const scene = new Scene(await stage.team());
    stage.receiver.answer(({ path }, response) => {
      if (path !== scene.path) return void response.writeHead(204).end();
      if (scene.held === null) scene.held = response;
      else response.writeHead(scene.status).end();
    });
    const url = stage.receiver.url + scene.path;
    const { body } = await request(stage.gateway.url).post('/v1/webhook-endpoints').set(scene.team.auth).send({ url });
    scene.id = (body as { id: string }).id;
    await stage.video(scene.team);
    await scene.untilHeld();
    return scene;
  }

  /** The next one is not answered either. */
  hold(): void {
    this.held = null;
  }

  async untilHeld(): Promise<void> {
    await eventually(
      () => this.held,
      (held) => held !== null,
    );
  }

  async untilAttempts(id: string, count: number): Promise<void> {
    await eventually(
      () => stage.sql('select 1 from webhook_attempts where delivery_id = $1', [id]),
      (attempts) => attempts.length === count,
    );
  }

  answerHeld(status: number): void {
    this.held?.writeHead(status).end();
  }

  /** To whatever comes from now on. */
  answerAll(status: number): void {
    this.status = status;
  }

  async change(fields: object): Promise<void> {
    await request(stage.gateway.url)
      .patch(`/v1/webhook-endpoints/${this.id}`)
      .set(this.team.auth)
      .send(fields)
      .expect(200);
  }

  async remove(): Promise<void> {
    await request(stage.gateway.url).delete(`/v1/webhook-endpoints/${this.id}`).set(this.team.auth).expect(204);
  }

  async delivery(): Promise<Shown | undefined> {
    const { body } = await stage.get(this.team, `/v1/webhook-deliveries?endpoint_id=${this.id}`);
    return (body as unknown as { data: Shown[] }).data[0];
  }

  async until(holds: (delivery: Shown) => boolean): Promise<Shown> {
    const found = await eventually(
      () => this.delivery(),
      (delivery) => delivery !== undefined && holds(delivery),
    );
    return found as Shown;
  }

  async shown(): Promise<{ status: string; failing_since: string | null }> {
    const { body } = await stage.get(this.team, `/v1/webhook-endpoints/${this.id}`);
    return body as { status: string; failing_since: string | null };
  }

  received(path: string): number {
    return stage.receiver.received.filter((webhook) => webhook.path === path).length;
  }
}

describe('an endpoint that is changed while a webhook is under way to it', () => {
  it.each([500, 410])('should get it at its new URL when the old one answers %d', async (status) => {
    const scene = await Scene.start();
    await scene.change({ url: stage.receiver.url + scene.mended });
    scene.answerHeld(status);
    await scene.until((delivery) => delivery.status === 'delivered');
    expect(scene.received(scene.mended)).toBe(1);
    // What the old receiver did says nothing of the new one.
    expect(await scene.shown()).toMatchObject({ status: 'enabled', failing_since: null });
  });

  it('should get it again at once when it was paused and enabled meanwhile', async () => {
    const scene = await Scene.start();
    await scene.change({ status: 'paused' });
    await scene.change({ status: 'enabled' });
    scene.answerHeld(500);
    await scene.until(({ status }) => status === 'delivered');
    expect(scene.received(scene.path)).toBe(2);
  });

  it('should not be disabled by a 410 to what was under way before it was enabled anew', async () => {
    const scene = await Scene.start();
    await scene.change({ status: 'disabled' });
    await scene.change({ status: 'enabled' });
    scene.answerHeld(410);
    await scene.until(({ status }) => status === 'delivered');
    expect(await scene.shown()).toMatchObject({ status: 'enabled' });
  });

  it('should have it given up when it was deleted meanwhile', async () => {
    const scene = await Scene.start();
    const before = await stage.metric('gateway_webhooks_given_up_total{reason="endpoint_deleted"}');
    await scene.remove();
    scene.answerHeld(500);
    const { last_error: error } = await scene.until(({ status }) => status === 'exhausted');
    expect(error).toBe('the endpoint was deleted');
    expect(await stage.metric('gateway_webhooks_given_up_total{reason="endpoint_deleted"}')).toBe(before + 1);
  });

  it('should still be reached by later changes', async () => {
    const scene = await Scene.start();
    await scene.change({ url: `${stage.receiver.url.replace('127.0.0.1', 'localhost')}${scene.path}` });
    scene.answerAll(500);
    scene.answerHeld(500);
    await scene.until(({ attempt_count: count, next_attempt_at: at }) => count === 1 && isLater(at));
    expect(scene.received(scene.path)).toBe(2);
    await scene.change({ url: stage.receiver.url + scene.mended });
    await scene.until(({ status }) => status === 'delivered');
  });

  it('should count what it takes as taken, whatever its URL is by then', async () => {
    const scene = await Scene.start();
    await scene.change({ url: stage.receiver.url + scene.mended });
    scene.answerHeld(204);
    await scene.until(({ status }) => status === 'delivered');
    expect(scene.received(scene.mended)).toBe(0);
  });
});

describe('an endpoint that is changed while an attempt of a person is under way to it', () => {
  it('should have the webhook still to come when the old one answers 410', async () => {
    const scene = await Scene.start();
    scene.answerHeld(503);
    const { id } = await scene.until(({ status }) => status === 'failing');
    scene.hold();
    await request(stage.gateway.url).post(`/v1/webhook-deliveries/${id}/retry`).set(scene.team.auth).expect(202);
    await scene.untilHeld();
    // The new one fails, too: what comes next is a matter of the schedule.
    stage.receiver.answer((_, response) => void response.writeHead(500).end());
    await scene.change({ url: stage.receiver.url + scene.mended });
    await eventually(
      () => scene.received(scene.mended),
      (received) => received === 1,
    );
    const before = await stage.metric('gateway_webhooks_given_up_total{reason="gone"}');
    scene.answerHeld(410);
    await scene.untilAttempts(id, 3);
    expect(await scene.delivery()).toMatchObject({ status: 'failing' });
    expect(await stage.metric('gateway_webhooks_given_up_total{reason="gone"}')).toBe(before);
  });

  it.each([
    ['fails', 500, null],
    ['succeeds', 204, 'for days'],
  ])('should not be judged by a test that %s at the old one', async (_, status, failing) => {
    const scene = await Scene.start();
    scene.answerHeld(204);
    await scene.until((delivery) => delivery.status === 'delivered');
    scene.hold();
    const test = await request(stage.gateway.url)
      .post(`/v1/webhook-endpoints/${scene.id}/test`)
      .set(scene.team.auth)
      .expect(202);
    await scene.untilHeld();
    await scene.change({ url: stage.receiver.url + scene.mended });
    if (failing)
      await stage.sql(
        `update webhook_endpoints set failing_since = now() - interval '4 days', failed_at = now() where id = $1`,
        [scene.id],
      );
    scene.answerHeld(status);
    const { id } = test.body as { id: string };
    await scene.untilAttempts(id, 1);
    const { body } = await stage.get(scene.team, `/v1/webhook-deliveries/${id}`);
    expect(body.status).toBe(status === 204 ? 'delivered' : 'exhausted');
    expect((await scene.shown()).failing_since === null).toBe(failing === null);
  });
});

describe('an endpoint that gets another URL while an event of a failing job comes', () => {
  it('should be sent at once what waits for a retry', async () => {
    const scene = await Scene.start();
    scene.answerHeld(503);
    await scene.until(({ status }) => status === 'failing');
    const other = stage.receiver.url.replace('127.0.0.1', 'localhost');
    // Of an event that was written between the change and this.
    await stage.sql('update webhook_queues set origin = $2 where endpoint_id = $1', [scene.id, other]);
    await scene.change({ url: other + scene.mended });
    await scene.until(({ status }) => status === 'delivered');
    expect(scene.received(scene.mended)).toBe(1);
  });
});

describe('a webhook that is tried before its time', () => {
  it('should use up no retry, however often its endpoint is paused and enabled', async () => {
    const scene = await Scene.start();
    scene.answerAll(500);
    scene.answerHeld(500);
    for (let attempts = 1; attempts <= 6; attempts += 1) {
      await scene.until(({ next_attempt_at: at }) => isLater(at) && scene.received(scene.path) === attempts);
      await scene.change({ status: 'paused' });
      await scene.change({ status: 'enabled' });
    }
    const { status, attempt_count: count } = await scene.until(
      ({ next_attempt_at: at }) => isLater(at) && scene.received(scene.path) === 7,
    );
    expect({ status, count }).toEqual({ status: 'failing', count: 1 });
  });
});

describe('an endpoint that is set to the URL that it has', () => {
  it('should keep the time since when it fails', async () => {
    const scene = await Scene.start();
    scene.answerHeld(500);
    await scene.until(({ status }) => status === 'failing');
    const { failing_since: since } = await scene.shown();
    expect(since).not.toBeNull();
    await scene.change({ url: stage.receiver.url + scene.path, status: 'enabled' });
    expect(await scene.shown()).toMatchObject({ failing_since: since });
  });
});

function isLater(at: string | null): boolean {
  return at !== null && Date.parse(at) - Date.now() > LATER_MS / 2;
}
