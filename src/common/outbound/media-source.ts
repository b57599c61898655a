import { parseUrl } from '../validation/url.js';

export type MediaUrlVerdict =
  { readonly ok: true; readonly url: URL } | { readonly ok: false; readonly reason: string };

/**
 * Platforms whose pages are not media (contract section 4; TensorPix: "direct URLs to video resources only"). A name
 * stands for its subdomains too. Their CDNs (`vimeocdn.com`, `googlevideo.com`, `cdninstagram.com`, `tiktokcdn.com`)
 * serve media and are not here.
 */
const PAGE_DOMAINS: ReadonlyMap<string, string> = new Map([
  ['youtube.com', 'YouTube'],
  ['youtu.be', 'YouTube'],
  ['youtube-nocookie.com', 'YouTube'],
  ['youtubekids.com', 'YouTube'],
  ['youtube.googleapis.com', 'YouTube'],
  ['yt.be', 'YouTube'],
  ['instagram.com', 'Instagram'],
  ['instagr.am', 'Instagram'],
  ['ig.me', 'Instagram'],
  ['vimeo.com', 'Vimeo'],
  ['vimeopro.com', 'Vimeo'],
  ['tiktok.com', 'TikTok'],
  ['tiktokv.com', 'TikTok'],
]);

/**
 * Judges the URL of an input video or image before TensorPix sees it: http(s), and not a page of a video platform. The
 * gateway never fetches it, so addresses are not judged. A `reason` completes the sentence "video_url …".
 */
export function checkMediaUrl(raw: string): MediaUrlVerdict {
  const url = parseUrl(raw);
  if (!url) return { ok: false, reason: 'must be an absolute URL' };
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return { ok: false, reason: 'must use http or https' };
  const platform = platformOf(url.hostname);
  if (platform === null) return { ok: true, url };
  return { ok: false, reason: `must be a direct media URL: pages of ${platform} are not supported` };
}

function platformOf(hostname: string): string | null {
  const labels = hostname.replace(/\.$/, '').split('.');
  for (let start = 0; start < labels.length; start++) {
    const platform = PAGE_DOMAINS.get(labels.slice(start).join('.'));
    if (platform !== undefined) return platform;
  }
  return null;
}
