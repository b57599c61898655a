import { createServer } from 'node:http';

/** What a worker of a benchmark shows of itself, at the paths of the gateway. */
export function serveCount(port: number): { add: (observations: number) => void } {
  let seen = 0;
  createServer((_, response) => void response.end(`gateway_observations_total ${seen}\n`)).listen(port, '127.0.0.1');
  return { add: (observations) => void (seen += observations) };
}
