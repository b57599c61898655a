import { v7 as uuidv7 } from 'uuid';
import { Lease } from '../../../src/common/loops/lease.js';
import type { Intent } from '../../../src/modules/jobs/job-intent.js';
import { observableKey } from '../../../src/modules/jobs/reconciliation/observable-key.js';
import { sourceUrl, type Stage, type Team } from '../../support/stage.js';

/** What a create of a video writes before it is sent, as the only caller of its claim. */
export async function intentOf(stage: Stage, team: Team, fields: Partial<Intent> = {}): Promise<Intent> {
  const [row] = await stage.sql<{ account_id: string; key_id: string }>(
    'select t.account_id, k.id as key_id from tenants t join api_keys k on k.tenant_id = t.id where t.id = $1',
    [team.id],
  );
  const input = { video_url: sourceUrl(), ml_models: [1] };
  return {
    id: uuidv7(),
    tenantId: team.id,
    accountId: row?.account_id ?? '',
    apiKeyId: row?.key_id ?? '',
    kind: 'video',
    preview: false,
    input,
    warnings: [],
    externalId: null,
    metadata: {},
    callbackUrl: null,
    callbackEvents: [],
    parks: false,
    observableKey: observableKey(input),
    sourceExpiresAt: null,
    lease: new Lease(60_000),
    strict: false,
    key: { key: uuidv7(), fingerprint: 'ab'.repeat(32) },
    ...fields,
  };
}
