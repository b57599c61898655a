import type { SimulatorOptions } from './options.js';

/** Where a list was asked for: needed to build `next` and `previous`. */
export interface ListRequest {
  base: string;
  path: string;
  /** Without the question mark. */
  query: string;
}

export interface Page {
  count: number;
  next: string | null;
  previous: string | null;
  results: unknown[];
}

interface Listable<T> {
  count: number;
  page(offset: number, limit: number): T[];
}

/** DRF's LimitOffsetPagination: bad values count as absent, `limit` is cut to the page maximum, links are absolute. */
export function limitOffsetPage<T>(
  list: Listable<T>,
  request: ListRequest,
  options: SimulatorOptions,
  render: (item: T) => unknown,
): Page {
  const query = new URLSearchParams(request.query);
  const limit = Math.min(readInteger(query.get('limit'), 1) ?? options.pageDefault, options.pageMax);
  const offset = readInteger(query.get('offset'), 0) ?? 0;
  const { count } = list;
  return {
    count,
    next: offset + limit < count ? link(request, query, { limit, offset: offset + limit }) : null,
    previous: offset > 0 ? link(request, query, { limit, offset: offset > limit ? offset - limit : null }) : null,
    results: list.page(offset, limit).map(render),
  };
}

/** DRF's PageNumberPagination; null is a 404 "Invalid page.". */
export function numberedPage(all: readonly unknown[], request: ListRequest, options: SimulatorOptions): Page | null {
  const query = new URLSearchParams(request.query);
  const size = Math.min(readInteger(query.get('page_size'), 1) ?? options.pageDefault, options.pageMax);
  const asked = query.get('page');
  const page = asked === null ? 1 : readInteger(asked, 1);
  const pages = Math.max(1, Math.ceil(all.length / size));
  if (page === null || page > pages) return null;
  return {
    count: all.length,
    next: page < pages ? link(request, query, { page: page + 1 }) : null,
    previous: page > 1 ? link(request, query, { page: page > 2 ? page - 1 : null }) : null,
    results: all.slice((page - 1) * size, page * size),
  };
}

function link(request: ListRequest, query: URLSearchParams, changes: Record<string, number | null>): string {
  const changed = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) changed.delete(name);
    else changed.set(name, String(value));
  }
  const text = changed.toString();
  return `${request.base}${request.path}${text === '' ? '' : `?${text}`}`;
}

function readInteger(text: string | null, least: number): number | null {
  if (text === null || !/^\d{1,15}$/.test(text)) return null;
  const value = Number(text);
  return value >= least ? value : null;
}
