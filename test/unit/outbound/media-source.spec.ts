import { describe, expect, it } from '@jest/globals';
import { checkMediaUrl } from '../../../src/common/outbound/media-source.js';

const reasonOf = (raw: string): string | null => {
  const verdict = checkMediaUrl(raw);
  return verdict.ok ? null : verdict.reason;
};

describe('checkMediaUrl', () => {
  it.each([
    'https://bucket.s3.amazonaws.com/in.mp4?X-Amz-Expires=60',
    'http://example.com/video.mov',
    'https://vod-progressive.akamaized.vimeocdn.com/1.mp4',
    'https://rr3---sn.googlevideo.com/videoplayback',
    'https://scontent.cdninstagram.com/v/1.mp4',
    'https://notyoutube.com/in.mp4',
    'https://example.com/youtube.com/in.mp4',
  ])('should accept %s', (raw) => {
    expect(reasonOf(raw)).toBeNull();
  });

  it.each([
    ['https://www.youtube.com/watch?v=1', 'YouTube'],
    ['https://m.YouTube.com./watch?v=1', 'YouTube'],
    ['https://youtu.be/1', 'YouTube'],
    ['https://www.youtube-nocookie.com/embed/1', 'YouTube'],
    ['https://www.instagram.com/reel/1/', 'Instagram'],
    ['https://vimeo.com/1', 'Vimeo'],
    ['https://player.vimeo.com/video/1', 'Vimeo'],
    ['https://vm.tiktok.com/1', 'TikTok'],
    ['http://tiktok.com/@a/video/1', 'TikTok'],
  ])('should refuse %s as a page of %s', (raw, platform) => {
    expect(reasonOf(raw)).toBe(`must be a direct media URL: pages of ${platform} are not supported`);
  });

  it.each([
    ['ftp://example.com/in.mp4', 'must use http or https'],
    ['s3://bucket/in.mp4', 'must use http or https'],
    ['data:video/mp4;base64,AA', 'must use http or https'],
    ['in.mp4', 'must be an absolute URL'],
    ['', 'must be an absolute URL'],
  ])('should refuse %s', (raw, reason) => {
    expect(reasonOf(raw)).toBe(reason);
  });
});
