import { JobsPoller } from '../../../src/modules/jobs/polling/jobs.poller.js';
import { idOf, sourceUrl, type Stage, type Team } from '../../support/stage.js';

/** The list of jobs and what is below it, as faults name it. */
export const JOBS = { method: 'GET', path: '/api/jobs/' } as const;
/** The list alone. */
export const LIST = { method: 'GET', path: '/api/jobs/$' } as const;

/** One look at every tenant, as if all were due, in a gateway in which no loop runs. */
export async function look(stage: Stage): Promise<void> {
  await stage.makeLooksDue();
  const poller = stage.gateway.app.get(JobsPoller, { strict: false });
  for (let more = true; more;) {
    more = await poller.tick();
    await poller.drain();
  }
}

export async function videos(stage: Stage, team: Team, count: number, text = 'in'): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) {
    const size = Math.min(50, count - ids.length);
    const one = () => stage.video(team, { ...stage.callback, video_url: sourceUrl(text) });
    ids.push(...(await Promise.all(Array.from({ length: size }, one))).map(idOf));
  }
  return ids;
}

export async function upstreamId(stage: Stage, id: string): Promise<number> {
  return Number((await stage.row(id)).tensorpix_id);
}

/** Offsets of the pages of the list that were asked for. */
export function pagesOf(stage: Stage, team: Team): number[] {
  const paths = stage.calls(team, 'GET').map(({ path }) => path);
  return paths.flatMap((path) => {
    const { pathname, searchParams } = new URL(path, 'http://tensorpix');
    return pathname === '/api/jobs/' ? [Number(searchParams.get('offset') ?? 0)] : [];
  });
}

/** Calls for single jobs. */
export function singlesOf(stage: Stage, team: Team): number {
  return stage.calls(team, 'GET').filter(({ path }) => /^\/api\/jobs\/\d/.test(path)).length;
}
