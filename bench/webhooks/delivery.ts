import { v7 as uuid } from 'uuid';

/** A webhook to be sent; `id` is its `webhook-id`, and the gateway's delivery has it as its primary key. */
export interface Delivery {
  id: string;
  url: string;
  body: string;
}

/** One after another to each of the origins. */
export function makeDeliveries(count: number, origins: readonly string[]): Delivery[] {
  return Array.from({ length: count }, (_, index) => {
    const id = uuid();
    return { id, url: `${origins[index % origins.length]}/hooks/tensorpix`, body: bodyOf(id, index) };
  });
}

/** As large as the event of a finished job. */
function bodyOf(id: string, index: number): string {
  const at = '2026-11-20T09:00:00.000Z';
  const data = {
    id,
    object: 'job',
    kind: 'video',
    status: 'finished',
    sequence: 4,
    tensorpix_id: 1_000_000 + index,
    external_id: `reel-${index}`,
    metadata: { team: 'restoration', reel: '42' },
    progress: 100,
    cost: '12.50',
    output: { url: `https://media.example.com/outputs/${id}.mp4`, width: 1920, height: 1080, size_bytes: 734_003_200 },
    error: null,
    created_at: at,
    submitted_at: at,
    finished_at: at,
    updated_at: at,
  };
  return JSON.stringify({ type: 'job.finished', timestamp: at, data });
}
