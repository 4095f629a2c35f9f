/** The planner with the real adapters, sessions and signatures, over HTTP against the simulated clouds. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { systemClock } from '../../activities/clock.js';
import { CLOUD_APIS } from '../../activities/clouds/index.js';
import { openSessions } from '../../activities/clouds/sessions.js';
import type { Transport } from '../../activities/transport.js';
import { createTransport } from '../../activities/transport.js';
import type { PreparedPlan, PreparedTarget } from '../../activities/planner.js';
import { planProblems, preparePlan, toRolloutInput } from '../../activities/planner.js';
import { accountsOf } from '../../plan/accounts.js';
import { planOf } from '../../plan/plan.js';
import { parseSource } from '../../plan/source.js';
import { DEMO_PROJECT, DEMO_UID, seedInventory } from '../../simulator/inventory.js';
import type { Simulator } from '../../simulator/server.js';
import { startSimulator } from '../../simulator/server.js';
import { countsOf } from '../../simulator/truth.js';

const SECRET = 'planner-secret-key';
const ENV = {
  CLOUD_SDK_AK: 'planner-hw-key',
  CLOUD_SDK_SK: SECRET,
  ALIBABA_CLOUD_ACCESS_KEY_ID: 'planner-ali-key',
  ALIBABA_CLOUD_ACCESS_KEY_SECRET: SECRET,
};
const GRAPHS = 4;
const CACHES = 2;
const CLUSTERS = 2;

let simulator: Simulator;
let transport: Transport;
let graphs: string[];
let caches: string[];
let clusters: string[];

beforeEach(async () => {
  const inventory = seedInventory({ seed: 'planner', graphs: GRAPHS, caches: CACHES, clusters: CLUSTERS });
  simulator = await startSimulator({
    seed: 'planner',
    inventory,
    credentials: [
      { account: 'hw', cloud: 'huawei', owner: DEMO_PROJECT, accessKeyId: ENV.CLOUD_SDK_AK, secret: SECRET },
      {
        account: 'ali',
        cloud: 'alibaba',
        owner: DEMO_UID,
        accessKeyId: ENV.ALIBABA_CLOUD_ACCESS_KEY_ID,
        secret: SECRET,
      },
    ],
  });
  transport = createTransport({ clock: systemClock });
  graphs = inventory.filter(({ family }) => family === 'ges').map(({ id }) => id);
  caches = inventory.filter(({ family }) => family === 'dcs').map(({ id }) => id);
  clusters = inventory.filter(({ family }) => family === 'elasticsearch').map(({ id }) => id);
  for (const id of graphs) simulator.inventory.change(id, { versions: { graph: '2.3.9' } });
  for (const id of clusters) simulator.inventory.change(id, { versions: { engine: '6.3.2', apack: '1.0.1' } });
});

afterEach(async () => {
  await transport.close();
  await simulator.close();
});

interface Where {
  readonly endpoint?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Plans these targets with accounts `hw` and `ali`. */
function prepare(
  targets: readonly object[],
  { endpoint = simulator.url, env = ENV }: Where = {},
): Promise<PreparedPlan> {
  const rates = { reads: 1000, writes: 1 };
  const accountsFile = {
    accounts: {
      hw: {
        cloud: 'huawei',
        region: 'eu-west-101',
        projectId: DEMO_PROJECT,
        rates,
        endpoints: { ges: endpoint, dcs: endpoint },
      },
      ali: { cloud: 'alibaba', region: 'cn-hangzhou', rates, endpoints: { elasticsearch: endpoint } },
    },
  };
  const accounts = accountsOf(parseSource(stringify(accountsFile), 'accounts.yaml'), CLOUD_APIS);
  const document = { apiVersion: 'uplift/v1', kind: 'Rollout', metadata: { name: 'spring' }, spec: { targets } };
  const plan = planOf(parseSource(stringify(document), 'plan.yaml'), { apis: CLOUD_APIS, accounts });
  const sessions = openSessions({ accounts, clock: systemClock, transport, env, scale: 0 });
  // The pauses between tries belong to the clock, and nothing here waits for them.
  const clock = { ...systemClock, sleep: () => Promise.resolve() };
  return preparePlan({ plan, accounts, sessions, apis: CLOUD_APIS, clock });
}

function targetsOf(prepared: PreparedPlan): readonly PreparedTarget[] {
  return prepared.waves.flatMap((wave) => wave.targets);
}

/** Nothing that changes anything has reached the clouds, whatever else has. */
function expectNothingSent(): void {
  const truth = simulator.truth();
  expect({ submits: truth.submits, refused: truth.refused, violations: truth.violations }).toEqual({
    submits: [],
    refused: [],
    violations: [],
  });
  expect({ signatures: truth.signatureFailures, paths: truth.unknownPaths }).toEqual({ signatures: {}, paths: {} });
}

describe('against the simulated clouds', () => {
  it('all three services are read, dry-run and shown, and nothing is sent', async () => {
    const prepared = await prepare([
      { service: 'ges-v1', account: 'hw', id: graphs[0], version: '2.4.1' },
      { service: 'ges-v2', account: 'hw', id: graphs[1], version: '2.4.1' },
      { service: 'elasticsearch', account: 'ali', id: clusters[0], version: '6.7' },
    ]);
    expect(planProblems(prepared, ['error', 'blocked'])).toEqual([]);
    expect(targetsOf(prepared).map(({ verdict, from, to, call }) => ({ verdict, from, to, call }))).toEqual([
      {
        verdict: 'upgrade',
        from: '2.3.9',
        to: '2.4.1',
        call: {
          method: 'POST',
          path: `/v1.0/${DEMO_PROJECT}/graphs/${graphs[0]}/action?action_id=upgrade`,
          body: { upgradeVersion: '2.4.1', forceUpgrade: false },
        },
      },
      {
        verdict: 'upgrade',
        from: '2.3.9',
        to: '2.4.1',
        call: {
          method: 'POST',
          path: `/v2/${DEMO_PROJECT}/graphs/${graphs[1]}/upgrade`,
          body: { upgrade_version: '2.4.1', force_upgrade: false },
        },
      },
      {
        verdict: 'upgrade',
        from: '6.3.2 (apack 1.0.1)',
        to: '6.7',
        call: {
          method: 'POST',
          path: `/openapi/instances/${clusters[0]}/actions/upgrade-version?clientToken=(made at submit)&dryRun=false`,
          body: { version: '6.7', type: 'engineVersion' },
        },
      },
    ]);
    expectNothingSent();
    expect(countsOf(simulator.truth(), clusters[0] ?? '')).toMatchObject({ dryRuns: 1, accepted: 0 });
    expect(targetsOf(prepared)[2]?.findings.length).toBeGreaterThan(0);

    const input = toRolloutInput(prepared, { startedBy: 'test' });
    expect(input.waves[0]?.upgrades?.map(({ plannedFrom }) => plannedFrom)).toEqual([
      '2.3.9',
      '2.3.9',
      '6.3.2 (apack 1.0.1)',
    ]);
    expect(JSON.stringify({ prepared, input })).not.toContain(SECRET);
  });

  it('every state has its verdict', async () => {
    const [at = '', above = '', running = '', broken = ''] = graphs;
    const [failing = '', good = ''] = clusters;
    simulator.inventory.change(at, { versions: { graph: '2.4.1' } });
    simulator.inventory.change(above, { versions: { graph: '2.5.0' } });
    simulator.inventory.upgradeElsewhere(running, { graph: '2.4.1' });
    simulator.inventory.change(broken, { status: '300' });
    simulator.inventory.change(failing, {
      facts: { ...simulator.inventory.get(failing).facts, failingChecks: ['ClusterSnapshotNotAvaild'] },
    });
    const prepared = await prepare([
      { service: 'ges-v2', account: 'hw', ids: [at, above, running, broken], version: '2.4.1' },
      { service: 'elasticsearch', account: 'ali', ids: [failing, good], version: '6.7' },
    ]);
    expect(targetsOf(prepared).map(({ verdict }) => verdict)).toEqual([
      'no-change',
      'error',
      'running',
      'blocked',
      'blocked',
      'upgrade',
    ]);
    expect(planProblems(prepared, ['blocked']).map(({ message }) => message)).toEqual([
      `ges-v2 ${broken}: takes no upgrade: version 2.3.9, status 300`,
      `elasticsearch ${failing}: precheck failed: checkClusterSnapshot failed: clusterSnapshot ClusterSnapshotNotAvaild`,
    ]);
    expectNothingSent();
  });

  it('an id that no cloud has is an error at its line', async () => {
    const prepared = await prepare([
      { service: 'ges-v1', account: 'hw', id: '00000000-0000-4000-8000-000000000000', version: '2.4.1' },
      { service: 'elasticsearch', account: 'ali', id: 'es-cn-none', version: '6.7' },
    ]);
    expect(planProblems(prepared).map(({ file, line, path }) => `${file}:${line}: ${path}`)).toEqual([
      'plan.yaml:7: spec.targets[0]',
      'plan.yaml:11: spec.targets[1]',
    ]);
    for (const { remedy } of targetsOf(prepared)) expect(remedy).toMatch(/^check the id, and that account /);
  });

  it('a read that fails twice is read again', async () => {
    const html = { kind: 'html', status: 502 } as const;
    simulator.faults.add({ fault: html, calls: ['read'], resource: graphs[0], times: 2 });
    const prepared = await prepare([{ service: 'ges-v1', account: 'hw', id: graphs[0], version: '2.4.1' }]);
    expect(prepared.counts.upgrade).toBe(1);
    expect(simulator.truth().faults).toEqual({ html: 2 });
  });

  it('an endpoint that is not there is an error that names it', async () => {
    await simulator.close();
    const prepared = await prepare([{ service: 'ges-v1', account: 'hw', id: graphs[0], version: '2.4.1' }]);
    const [problem] = planProblems(prepared);
    expect(problem?.message).toContain(simulator.url.replace('http://', ''));
    expect(problem?.remedy).toBe('check `endpoints.ges` of account "hw" and the network, then try again');
  });

  it('credentials that are missing are an error that names the variable', async () => {
    const prepared = await prepare([{ service: 'ges-v1', account: 'hw', id: graphs[0], version: '2.4.1' }], {
      env: { ...ENV, CLOUD_SDK_SK: undefined },
    });
    const [problem] = planProblems(prepared);
    expect(`${problem?.message} (${problem?.remedy})`).toContain('CLOUD_SDK_SK');
    expect(simulator.truth().calls).toBe(0);
  });

  it('credentials that are wrong are an error without the key', async () => {
    const prepared = await prepare([{ service: 'ges-v1', account: 'hw', id: graphs[0], version: '2.4.1' }], {
      env: { ...ENV, CLOUD_SDK_SK: 'another-secret' },
    });
    expect(prepared.counts.error).toBe(1);
    expect(JSON.stringify(prepared)).not.toMatch(/another-secret|planner-hw-key/);
  });
});

/** The first cache has a proxy, the second has none. */
describe('what a cache leaves to the moment', () => {
  const latest = { engineMinorVersion: 'latest', proxyMinorVersion: 'latest' };
  const cacheIs = (engine: string, proxy: string): void =>
    simulator.inventory.change(caches[0] ?? '', { versions: { engine, proxy } });
  const cache = (target: object, id = caches[0]): object => ({ service: 'dcs', account: 'hw', id, ...target });

  it('is pinned to what is on offer, shown, and handed to the rollout', async () => {
    cacheIs('5.0.12', '5.0.10');
    const prepared = await prepare([cache(latest)]);
    const pinned = { ...latest, pinned: { engine: '5.0.14.2', proxy: '5.0.14.1' } };
    const to = 'engine latest (5.0.14.2), proxy latest (5.0.14.1)';
    expect(targetsOf(prepared)).toMatchObject([
      {
        verdict: 'upgrade',
        from: 'engine 5.0.12, proxy 5.0.10',
        target: pinned,
        to,
        call: {
          method: 'POST',
          path: `/v2/${DEMO_PROJECT}/instances/${caches[0]}/minor-version/upgrade`,
          body: { engine_minor_version: 'latest', proxy_minor_version: 'latest' },
        },
      },
    ]);
    const [upgrade] = toRolloutInput(prepared, { startedBy: 'test' }).waves[0]?.upgrades ?? [];
    expect(upgrade).toMatchObject({ target: pinned, targetLabel: to, plannedFrom: 'engine 5.0.12, proxy 5.0.10' });
    expectNothingSent();
  });

  it('makes another plan of it when the offer changes, under the same id', async () => {
    cacheIs('5.0.12', '5.0.10');
    const first = await prepare([cache(latest)]);
    expect((await prepare([cache(latest)])).digest).toBe(first.digest);
    const { facts } = simulator.inventory.get(caches[0] ?? '');
    simulator.inventory.change(caches[0] ?? '', { facts: { ...facts, latestEngine: '5.0.15.1' } });
    const second = await prepare([cache(latest)]);
    expect(second.digest).not.toBe(first.digest);
    expect(second.plan.rollout).toBe(first.plan.rollout);
    expect(toRolloutInput(second, { startedBy: 'test' }).planDigest).toBe(second.digest);
    // Where nothing is left to the moment, it is the plan's own.
    const plain = await prepare([{ service: 'ges-v1', account: 'hw', id: graphs[0], version: '2.4.1' }]);
    expect(plain.digest).toBe(plain.plan.digest);
  });

  it('is no change where the latest is there, and asks for the rest where a part is', async () => {
    cacheIs('5.0.14.2', '5.0.14.1');
    expect(targetsOf(await prepare([cache(latest)]))).toMatchObject([{ verdict: 'no-change' }]);
    cacheIs('5.0.14.2', '5.0.10');
    const [partly] = targetsOf(await prepare([cache(latest)]));
    expect(partly).toMatchObject({ verdict: 'upgrade', standing: 'partly' });
    expect(partly?.call?.body).toEqual({ proxy_minor_version: 'latest' });
  });

  it('is an error where the plan pins what is not on offer', async () => {
    cacheIs('5.0.12', '5.0.10');
    const [target] = targetsOf(await prepare([cache({ ...latest, pinned: { engine: '5.0.14.1' } })]));
    expect(target?.verdict).toBe('error');
    expect(target?.reason).toMatch(/5\.0\.14\.1 .* 5\.0\.14\.2/);
  });

  it('is an error for a proxy that is not there', async () => {
    const [target] = targetsOf(await prepare([cache(latest, caches[1])]));
    expect(target).toMatchObject({ verdict: 'error', standing: 'not-comparable' });
  });

  it('has to be said: neither version is refused before anything is read', async () => {
    await expect((async () => prepare([cache({})]))()).rejects.toThrow(
      'neither engineMinorVersion nor proxyMinorVersion is given (name at least one: latest, or a version)',
    );
    expect(simulator.truth().calls).toBe(0);
  });
});
