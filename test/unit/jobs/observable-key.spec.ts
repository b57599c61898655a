import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  modelSet,
  normalizeUrl,
  observableKey,
  observableOf,
} from '../../../src/modules/jobs/reconciliation/observable-key.js';

const URL = 'https://media.example.com/a/in.mp4?x=1';

describe('spellings of one URL', () => {
  it.each([
    ['the case of scheme and host', 'HTTPS://Media.EXAMPLE.com/a/in.mp4?x=1'],
    ['the default port', 'https://media.example.com:443/a/in.mp4?x=1'],
    ['a fragment', 'https://media.example.com/a/in.mp4?x=1#t=5'],
    ['an empty fragment', 'https://media.example.com/a/in.mp4?x=1#'],
    ['escapes of plain characters', 'https://media.example.com/%61/in%2Emp4?x=%31'],
    ['dot segments', 'https://media.example.com/b/../a/./in.mp4?x=1'],
    ['escaped dot segments', 'https://media.example.com/b/%2e%2E/a/in.mp4?x=1'],
    ['spaces around', '  https://media.example.com/a/in.mp4?x=1\n'],
    ['backslashes', 'https:\\\\media.example.com\\a\\in.mp4?x=1'],
  ])('should be one: %s', (_, text) => {
    expect(normalizeUrl(text)).toBe(normalizeUrl(URL));
  });

  it.each([
    ['the case of an escape', 'https://x.example/a%2fb?q=%c3%a9', 'https://x.example/a%2Fb?q=%C3%A9'],
    ['a character and its escape', 'https://x.example/vidéo 1.mp4', 'https://x.example/vid%C3%A9o%201.mp4'],
    ['an international name', 'https://bücher.example/a', 'https://xn--bcher-kva.example/a'],
    ['no path and a slash', 'https://x.example', 'https://x.example/'],
    ['a tilde', 'https://x.example/%7Ea', 'https://x.example/~a'],
  ])('should be one: %s', (_, one, other) => {
    expect(normalizeUrl(one)).toBe(normalizeUrl(other));
  });

  it.each([
    ['the case of the path', URL, 'https://media.example.com/A/in.mp4?x=1'],
    ['the query', URL, 'https://media.example.com/a/in.mp4?x=2'],
    ['the order of the query', 'https://x.example/?a=1&b=2', 'https://x.example/?b=2&a=1'],
    ['an escaped slash', 'https://x.example/a%2Fb', 'https://x.example/a/b'],
    ['an escaped percent sign', 'https://x.example/a%2541', 'https://x.example/aA'],
    ['an escaped plus', 'https://x.example/?a=%2B', 'https://x.example/?a=+'],
    ['an escaped ampersand', 'https://x.example/?a=%26b', 'https://x.example/?a=&b'],
    ['a trailing slash', 'https://x.example/a', 'https://x.example/a/'],
    ['the scheme', 'https://x.example/a', 'http://x.example/a'],
    ['another port', 'https://x.example/a', 'https://x.example:8443/a'],
    ['a subdomain', 'https://x.example/a', 'https://www.x.example/a'],
    ['a name in the URL', 'https://x.example/a', 'https://u@x.example/a'],
  ])('should be two: %s', (_, one, other) => {
    expect(normalizeUrl(one)).not.toBe(normalizeUrl(other));
  });

  it.each(['', 'no url', 'https://', '/in.mp4', 'https://x.example:99999/', '%'])(
    'should leave %j as it is, which is no URL',
    (text) => {
      expect(normalizeUrl(text)).toBe(text);
    },
  );

  it('should be normal after one time', () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true, withFragments: true }), (url) => {
        expect(normalizeUrl(normalizeUrl(url))).toBe(normalizeUrl(url));
      }),
    );
    for (const text of [
      'https://x.example/%2541',
      'https://x.example/%25%34%31',
      'https://x.example/%',
      'https://x.example/%zz',
    ])
      expect(normalizeUrl(normalizeUrl(text))).toBe(normalizeUrl(text));
  });
});

describe('a set of models', () => {
  it.each([
    ['order', [3, 1, 2], [1, 2, 3]],
    ['repetition', [2, 1, 2], [1, 2]],
    ['text', ['10', 9], [9, 10]],
    ['size', [10, 9, 100], [9, 10, 100]],
    ['nothing', [], []],
  ])('should not depend on %s', (_, models, set) => {
    expect(modelSet(models)).toEqual(set);
  });
});

describe('the observable key', () => {
  const input = { video_url: URL, ml_models: [1, 4] };

  it('should be the hash of URL and models, whatever else was asked for', () => {
    expect(observableKey(input)).toMatch(/^[0-9a-f]{64}$/);
    for (const other of [
      { ...input, ml_models: [4, 1] },
      { ...input, crf: 3, container: 'mov', start_frame: 5, preview: true },
      { ...input, video_url: `${URL}#x` },
    ])
      expect(observableKey(other)).toBe(observableKey(input));
  });

  it.each([
    ['another URL', { ...input, video_url: `${URL}2` }],
    ['another model', { ...input, ml_models: [1, 5] }],
    ['a model less', { ...input, ml_models: [1] }],
    ['a model more', { ...input, ml_models: [1, 4, 5] }],
    ['other borders of the same digits', { ...input, ml_models: [14] }],
  ])('should be another with %s', (_, other) => {
    expect(observableKey(other)).not.toBe(observableKey(input));
  });

  it('should exist for inputs that are no requests', () => {
    expect(observableOf({})).toEqual({ url: '', modelIds: [] });
    expect(observableKey({ video_url: 5, ml_models: 'x' })).toBe(observableKey({}));
  });
});
