import { describe, expect, it } from '@jest/globals';
import { eventually } from '../../support/gateway.js';
import { idOf, useStage } from '../../support/stage.js';

/** Every attempt waits for the timeout; the next one is made when the test says so. */
const stage = useStage({
  env: { CALLBACK_TIMEOUT_MS: '2000', CALLBACK_RETRY_SCHEDULE_MS: '3600000,3600000' },
  simulator: { queueMs: 3_600_000 },
  hurry: true,
});

function until(id: string, status: string, attempts: number) {
  return eventually(
    async () => (await stage.deliveries(id))[0],
    (delivery) => delivery?.status === status && delivery.attempts === attempts,
  );
}

describe('a receiver that does not answer', () => {
  it('should get the same again, and show in the job and in the attempt log as a timeout', async () => {
    const team = await stage.team();
    stage.receiver.answer(() => undefined);
    const id = idOf(await stage.video(team, stage.callback));
    const callback = async () => (await stage.get(team, `/v1/jobs/${id}`)).body.callback as object;
    const shown = { url: stage.receiver.url, last_error: expect.stringMatching(/^timeout: /) };
    for (const attempts of [1, 2]) {
      await until(id, 'failing', attempts);
      expect(await callback()).toMatchObject({ ...shown, state: 'failing', attempts });
      await stage.sql(`update webhook_queues set due_at = now() - interval '1 second' where id = $1`, [id]);
    }
    const exhausted = await until(id, 'exhausted', 3);
    expect(await callback()).toMatchObject({ ...shown, state: 'exhausted', attempts: 3 });

    const { body } = await stage.get(team, `/v1/webhook-deliveries/${exhausted?.id}`);
    const attempt = { manual: false, response_status: null, error_class: 'timeout' };
    expect(body).toMatchObject({ status: 'exhausted', ...shown, attempts: [attempt, attempt, attempt] });
    const received = stage.receiver.received.filter(({ json }) => json.data.id === id);
    expect(received.length).toBeGreaterThan(1);
    for (const webhook of received)
      expect([webhook.headers['webhook-id'], webhook.body]).toEqual([exhausted?.id, body.body]);
  });
});
