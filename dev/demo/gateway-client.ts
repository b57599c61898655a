import { DemoError } from './options.js';
import { reasonOf } from './tensorpix.js';

/** What the demo reads of a job or an image (contract, sections 4 and 5). */
export interface JobResource {
  id: string;
  status: string;
  status_reason: string | null;
  progress?: number | null;
  eta_seconds?: number | null;
  cost_credits: string | null;
  output: { url?: string | null; enhanced_url?: string } | null;
  error: { code: string; detail: string } | null;
}

interface ProblemResource {
  code?: string;
  detail?: string;
  errors?: Record<string, string[]>;
  non_field_errors?: string[];
}

export interface Tenant {
  id: string;
  key: string;
  /** Signs the webhooks to its callback URLs. */
  webhookSecret: string;
}

/** Longer than a create may take. */
const TIMEOUT_MS = 30_000;

/** The gateway's API with one key. */
export class GatewayClient {
  constructor(
    readonly baseUrl: string,
    private readonly key: string,
    private readonly stop: AbortSignal,
  ) {}

  get<T>(path: string): Promise<T> {
    return this.request<T>('GET', path).then(({ body }) => body);
  }

  post<T>(path: string, body: object): Promise<{ status: number; body: T }> {
    return this.request<T>('POST', path, body);
  }

  private async request<T>(method: string, path: string, content?: object): Promise<{ status: number; body: T }> {
    const answer = await fetch(new URL(path, this.baseUrl), {
      method,
      headers: {
        authorization: `Bearer ${this.key}`,
        ...(content && { 'content-type': 'application/json' }),
      },
      ...(content && { body: JSON.stringify(content) }),
      signal: AbortSignal.any([this.stop, AbortSignal.timeout(TIMEOUT_MS)]),
    }).catch((error: unknown) => {
      throw new DemoError(`${method} ${path} got no answer: ${reasonOf(error)}`);
    });
    if (!answer.ok) throw new DemoError(`${method} ${path} answered ${answer.status} ${await explain(answer)}`);
    return { status: answer.status, body: (await answer.json()) as T };
  }
}

/** The problem in one line (contract, section 2). */
async function explain(answer: Response): Promise<string> {
  const problem = (await answer.json().catch(() => ({}))) as ProblemResource;
  const fields = Object.entries(problem.errors ?? {}).map(([field, messages]) => `${field}: ${messages.join(', ')}`);
  const all = [...fields, ...(problem.non_field_errors ?? [])];
  // A single error may be the detail itself.
  const more = all.filter((text) => text !== problem.detail).join('; ');
  return `(${problem.code ?? 'no code'}) ${[problem.detail, more].filter(Boolean).join(' ')}`.trim();
}

/** Does what an operator does for a new team, with the admin key, and what the team does first, with its own. */
export async function createTenant(admin: GatewayClient, token: string, stop: AbortSignal): Promise<Tenant> {
  const { body: tenant } = await admin.post<{ id: string }>('/v1/tenants', { name: 'demo', tensorpix_token: token });
  const { body: apiKey } = await admin.post<{ key: string }>(`/v1/tenants/${tenant.id}/api-keys`, { name: 'demo' });
  const client = new GatewayClient(admin.baseUrl, apiKey.key, stop);
  const { secret } = await client.get<{ secret: string }>('/v1/webhook-secret');
  return { id: tenant.id, key: apiKey.key, webhookSecret: secret };
}
