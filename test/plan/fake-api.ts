/** A sixth cloud API, made for these tests: nothing outside this file knows it. */
import { z } from 'zod';
import type { CloudApi, ResourceState } from '../../activities/clouds/port.js';
import { parseSource } from '../../plan/source.js';
import type { Account } from '../../plan/accounts.js';
import { accountsOf } from '../../plan/accounts.js';

const target = z.strictObject({
  version: z.string().regex(/^\d+(\.\d+)+$/, 'use digits and dots, as in 2.4.1'),
  force: z.boolean().optional(),
  acknowledged: z.boolean().optional(),
});
type Target = z.infer<typeof target>;

const resource = z.object({
  name: z.string(),
  status: z.string(),
  condition: z.enum(['ready', 'upgrading', 'rolling-back', 'busy', 'stopped', 'broken']),
  version: z.string(),
});
const dryRun = z.object({
  findings: z.array(
    z.object({
      check: z.string(),
      status: z.string(),
      problems: z.array(z.object({ type: z.string(), code: z.string(), message: z.string() })),
      remedy: z.string().optional(),
    }),
  ),
});

function compare(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  for (let index = 0; index < 4; index += 1) {
    const difference = (left?.[index] ?? 0) - (right?.[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function fakeApi(service: string, family: string, cloud: string): CloudApi<Target> {
  return {
    cloud,
    service,
    family,
    pace: {
      expectedMs: 1,
      deadlineMs: 1,
      pollMinMs: 1,
      pollMaxMs: 1,
      stableReads: 1,
      stableEveryMs: 1,
      visibilityLagMs: 1,
    },
    id: { pattern: /^kite-\d+$/, hint: 'use an id such as kite-7' },
    target,
    label: ({ version }) => version,
    objection: ({ force, acknowledged }) =>
      force === true && acknowledged !== true ? 'force cuts the string, and nobody acknowledged that' : null,
    describe: async (reader, id): Promise<ResourceState> => ({
      id,
      tags: {},
      ...(await reader.read({ path: ['kites', id] }, resource)),
    }),
    list: () => Promise.resolve({ resources: [], next: null }),
    standing: (state, { version }) => {
      if (!/^[\d.]+$/.test(state.version)) return 'not-comparable';
      const difference = compare(state.version, version);
      if (difference === 0) return 'at';
      return difference < 0 ? 'below' : 'above';
    },
    precheck: async (reader, id, { version }, token) => {
      const query = { dryRun: 'true', clientToken: token };
      return (await reader.read({ method: 'POST', path: ['kites', id, 'upgrade'], query, body: { version } }, dryRun))
        .findings;
    },
    submission: ({ projectId }, id, { version }, token) => ({
      method: 'POST',
      path: ['v1', projectId, 'kites', id, 'upgrade'],
      query: { clientToken: token },
      body: { version },
    }),
    accepted: () => ({ kind: 'accepted', operationId: null }),
    operations: () => Promise.resolve([]),
    poll: () => Promise.resolve({ state: 'running', detail: '', percent: null, remainingMs: null }),
    health: () => Promise.resolve({ healthy: true, detail: 'flies' }),
    classify: () => 'permanent',
  };
}

/** Two API versions of one family at a cloud with projects, and one API at another cloud. */
export const FAKE_APIS: readonly CloudApi[] = [
  fakeApi('kite-v1', 'kite', 'huawei'),
  fakeApi('kite-v2', 'kite', 'huawei'),
  fakeApi('balloon', 'balloon', 'alibaba'),
];

const ACCOUNTS_YAML = `accounts:
  north: { cloud: huawei, region: cn-north-4, projectId: p1 }
  north-too: { cloud: huawei, region: cn-north-4, projectId: p1 }
  south: { cloud: huawei, region: cn-south-1, projectId: p2 }
  ali: { cloud: alibaba, region: cn-hangzhou }
  rehearsal: { cloud: huawei, region: cn-east-3, projectId: p3, endpoints: { kite: 'http://127.0.0.1:8080' } }
`;

export const ACCOUNTS: ReadonlyMap<string, Account> = accountsOf(
  parseSource(ACCOUNTS_YAML, 'accounts.yaml'),
  FAKE_APIS,
);
