/** An answer before it is sent. */
export interface Reply {
  status: number;
  /** null: no body. */
  body: string | null;
  contentType: string;
  headers?: Record<string, string>;
}

export function json(status: number, value: unknown, headers?: Record<string, string>): Reply {
  const reply: Reply = { status, body: JSON.stringify(value), contentType: 'application/json' };
  if (headers !== undefined) reply.headers = headers;
  return reply;
}

export function html(status: number, title: string, headers?: Record<string, string>): Reply {
  const body = `<html><head><title>${title}</title></head><body><center><h1>${title}</h1></center></body></html>\n`;
  const reply: Reply = { status, body, contentType: 'text/html' };
  if (headers !== undefined) reply.headers = headers;
  return reply;
}

export function noContent(): Reply {
  return { status: 204, body: null, contentType: '' };
}

/** Every error except validation is `{detail}`. */
export function detail(status: number, text: string, headers?: Record<string, string>): Reply {
  return json(status, { detail: text }, headers);
}

/** ValidationError of the documents. */
export function invalid(errors: Record<string, string[]>, nonFieldErrors: string[] = []): Reply {
  return json(400, { errors, non_field_errors: nonFieldErrors });
}

export function notFound(): Reply {
  return detail(404, 'Not found.');
}

export function unauthenticated(text: string): Reply {
  return detail(401, text, { 'www-authenticate': 'Token' });
}

/** 402 as in the schema, or the 400 "and an appropriate message" of the credits page. */
export function noCredits(status: 402 | 400): Reply {
  const text = 'Insufficient credits. Please purchase more credits to continue.';
  return status === 402 ? detail(402, text) : invalid({}, [text]);
}

export function storageFull(): Reply {
  return invalid({}, ['Storage limit reached. Please delete some of your videos to free up storage.']);
}

/** DRF's throttling answer; null seconds leaves out both the header and the number in the text. */
export function throttled(retryAfterS: number | null, withHeader: boolean): Reply {
  if (retryAfterS === null) return detail(429, 'Request was throttled.');
  const unitName = retryAfterS === 1 ? 'second' : 'seconds';
  const text = `Request was throttled. Expected available in ${retryAfterS} ${unitName}.`;
  return detail(429, text, withHeader ? { 'retry-after': String(retryAfterS) } : undefined);
}
