import { describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { parseAllDocuments } from 'yaml';
import { parseConfig } from '../../../src/common/config/config.js';
import { HealthController } from '../../../src/modules/health/health.controller.js';

interface Container {
  env?: { name: string; value: string }[];
  envFrom: { secretRef: { name: string } }[];
  lifecycle?: { preStop: { exec: { command: string[] } } };
  securityContext: object;
  livenessProbe: { httpGet: { path: string } };
  readinessProbe: { httpGet: { path: string } };
}

interface Pod {
  terminationGracePeriodSeconds: number;
  automountServiceAccountToken: boolean;
  securityContext: object;
  containers: [Container];
}

interface Manifest {
  kind: string;
  stringData?: Record<string, string>;
  spec: { selector: { matchLabels: object }; template: { spec: Pod } };
}

const SECRETS = {
  DATABASE_URL: 'postgresql://gateway:password@postgres:5432/gateway',
  ADMIN_API_KEY: 'a'.repeat(32),
  ENCRYPTION_KEYS: `k1:${Buffer.alloc(32).toString('base64')}`,
};

async function manifests(kind: string): Promise<Manifest[]> {
  const text = await readFile(new URL('../../../docs/kubernetes.md', import.meta.url), 'utf8');
  const documents = parseAllDocuments(/```yaml\n([\s\S]*?)```/.exec(text)?.[1] ?? '');
  const all = documents.map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() as Manifest;
  });
  return all.filter((manifest) => manifest.kind === kind);
}

describe('the manifests of docs/kubernetes.md', () => {
  it('should give the program what it needs, in both roles', async () => {
    const [secret] = await manifests('Secret');
    expect(Object.keys(secret?.stringData ?? {})).toEqual(Object.keys(SECRETS));
    const roles = (await manifests('Deployment')).map(({ spec }) => {
      const env = spec.template.spec.containers[0].env ?? [];
      return parseConfig({ ...SECRETS, ...Object.fromEntries(env.map(({ name, value }) => [name, value])) }).role;
    });
    expect(roles).toEqual(['api', 'worker']);
  });

  it('should let a drain end by itself', async () => {
    const drainSeconds = parseConfig(SECRETS).shutdownTimeoutMs / 1_000;
    for (const { spec } of await manifests('Deployment')) {
      const { terminationGracePeriodSeconds: grace, containers } = spec.template.spec;
      const pauseSeconds = Number(containers[0].lifecycle?.preStop.exec.command[1] ?? 0);
      expect(grace).toBeGreaterThan(drainSeconds + pauseSeconds);
    }
  });

  it('should run where only restricted pods may', async () => {
    const pods = [...(await manifests('Job')), ...(await manifests('Deployment'))].map(
      ({ spec }) => spec.template.spec,
    );
    expect(pods).toHaveLength(3);
    for (const { securityContext, automountServiceAccountToken, containers } of pods) {
      expect(automountServiceAccountToken).toBe(false);
      expect(securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
      expect(containers[0].securityContext).toEqual({
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      });
    }
  });

  it('should leave a pod of each role while a node is drained', async () => {
    const selectors = async (kind: string) => (await manifests(kind)).map(({ spec }) => spec.selector.matchLabels);
    expect(await selectors('PodDisruptionBudget')).toEqual(await selectors('Deployment'));
  });

  it('should ask for what there is', async () => {
    const methods = Object.values(Object.getOwnPropertyDescriptors(HealthController.prototype));
    const paths = methods.map(({ value }) => Reflect.getMetadata('path', value as object) as string | undefined);
    for (const { spec } of await manifests('Deployment')) {
      const [{ livenessProbe, readinessProbe }] = spec.template.spec.containers;
      for (const { httpGet } of [livenessProbe, readinessProbe]) expect(paths).toContain(httpGet.path.slice(1));
    }
  });
});
