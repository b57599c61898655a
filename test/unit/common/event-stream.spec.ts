import { describe, expect, it } from '@jest/globals';
import { prefersEventStream } from '../../../src/common/http/event-stream.js';

describe('Accept', () => {
  it.each([
    'text/event-stream',
    'TEXT/Event-Stream',
    'text/event-stream; charset=utf-8',
    'text/event-stream, */*',
    '*/*, text/event-stream',
    'application/json, text/event-stream',
    'text/event-stream;q=0.9, */*;q=0.1',
    'text/event-stream;q=0.5',
    'text/event-stream, application/json;q=0.9, */*;q=0.8',
    'text/event-stream;q=0.5, application/json;q=0, */*',
    'text/event-stream;q=nonsense',
  ])('should ask for a stream: %s', (accept) => {
    expect(prefersEventStream(accept)).toBe(true);
  });

  it.each([
    undefined,
    '',
    '*/*',
    'text/*',
    'application/json',
    'application/json, text/plain, */*',
    'text/event-stream;q=0',
    'text/event-stream;q=0.0, */*',
    'text/event-stream;q=0.5, application/json',
    'text/event-stream;q=0.5, */*',
    'text/event-stream;q=0.5, application/*;q=0.6',
    'text/event-streams',
    'application/text/event-stream',
  ])('should ask for JSON: %s', (accept) => {
    expect(prefersEventStream(accept)).toBe(false);
  });
});
