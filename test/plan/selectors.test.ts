/** Selectors: their form, what they choose, and their way through list calls over HTTP into a plan. */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { systemClock } from '../../activities/clock.js';
import { CLOUD_APIS } from '../../activities/clouds/index.js';
import { gesV2 } from '../../activities/clouds/huawei/ges-v2.js';
import type { CloudApi, ResourceState } from '../../activities/clouds/port.js';
import { openSessions } from '../../activities/clouds/sessions.js';
import { createTransport, type Transport } from '../../activities/transport.js';
import { planProblems, preparePlan, resolvePlan } from '../../activities/planner.js';
import { type Account, accountsOf } from '../../plan/accounts.js';
import { InputError } from '../../plan/errors.js';
import { planOf, type RolloutPlan, selectorsOf } from '../../plan/plan.js';
import { fits, resolveSelectors, type Selector } from '../../plan/selectors.js';
import { parseSource, type Source } from '../../plan/source.js';
import { DEMO_PROJECT, DEMO_UID, seedInventory } from '../../simulator/inventory.js';
import type { SimulatedResource } from '../../simulator/model.js';
import { startSimulator, type Simulator } from '../../simulator/server.js';
import { ACCOUNTS, FAKE_APIS } from './fake-api.js';

const FAKE = { apis: FAKE_APIS, accounts: ACCOUNTS };

function sourceOf(targets: readonly object[], spec: object = {}): Source {
  const document = {
    apiVersion: 'uplift/v1',
    kind: 'Rollout',
    metadata: { name: 'spring' },
    spec: { targets, ...spec },
  };
  return parseSource(stringify(document), 'plan.yaml');
}

function kites(select: unknown): Source {
  return sourceOf([{ service: 'kite-v1', account: 'north', version: '2.0', select }]);
}

function kite(name: string, version = '1.0', tags: Record<string, string> = {}, id = name): ResourceState {
  return { id, name, version, tags, status: 'flying', condition: 'ready' };
}

/** What an action throws as an InputError, line by line. */
async function linesOf(action: () => unknown): Promise<string[]> {
  try {
    await action();
  } catch (error) {
    if (error instanceof InputError) return error.message.split('\n');
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('the form of a selector', () => {
  it.each<[string, unknown, string]>([
    [
      'empty',
      {},
      "plan.yaml:10: spec.targets[0].select: is empty (say which resources, by name, tags or currentVersion; name: '*' takes all)",
    ],
    ['no tags', { tags: {} }, 'plan.yaml:11: spec.targets[0].select.tags: is empty (give at least one tag)'],
    [
      'a number as a tag',
      { tags: { cost: 12 } },
      'plan.yaml:12: spec.targets[0].select.tags.cost: must be text, and without quotes it is a number (put it in quotes: "12")',
    ],
    [
      'another form of version',
      { currentVersion: '>=2.4' },
      'plan.yaml:11: spec.targets[0].select.currentVersion: ">=2.4" does not have the right form (use "<2.4" (everything below it) or "2.3.*" (2.3 and whatever follows))',
    ],
    [
      'an unknown key',
      { tag: { env: 'prod' } },
      'plan.yaml:11: spec.targets[0].select.tag: is not a known key (did you mean tags? Known: name, tags, currentVersion)',
    ],
  ])('%s is refused before any cloud is read', async (_, select, line) => {
    expect(await linesOf(() => selectorsOf(kites(select), FAKE))).toEqual([line]);
  });

  it('stands in place of ids, not beside them', async () => {
    const source = sourceOf([
      { service: 'kite-v1', account: 'north', version: '2.0', id: 'kite-1', select: { name: '*' } },
    ]);
    expect(await linesOf(() => selectorsOf(source, FAKE))).toEqual([
      'plan.yaml:7: spec.targets[0]: must have exactly one of `id`, `ids` and `select` (give the id of one resource, a list of ids that share these settings, or a selector)',
    ]);
  });

  it('is no plan before it is resolved', async () => {
    expect(await linesOf(() => planOf(kites({ name: '*' }), FAKE))).toEqual([
      'plan.yaml:10: spec.targets[0].select: has not been resolved (use `uplift plan`, which reads the clouds)',
    ]);
  });
});

describe('a selector', () => {
  const prod = kite('orders-eu.1', '2.3.17', { env: 'prod', team: 'risk' });

  it.each<[boolean, Selector]>([
    [true, { name: '*' }],
    [true, { name: 'orders-*' }],
    [true, { name: 'orders-??.1' }],
    [true, { name: '*eu*1' }],
    [false, { name: 'orders' }],
    [false, { name: 'Orders-*' }],
    [false, { name: 'orders-euX1' }],
    [false, { name: 'orders-eu?.1' }],
    [true, { tags: { env: 'prod' } }],
    [true, { tags: { env: 'prod', team: 'risk' } }],
    [false, { tags: { env: 'prod', team: 'data' } }],
    [false, { tags: { constructor: 'Object' } }],
    [true, { currentVersion: '<2.4' }],
    [true, { currentVersion: '<2.3.18' }],
    [false, { currentVersion: '<2.3.17' }],
    [false, { currentVersion: '<2.3' }],
    [true, { currentVersion: '2.3.*' }],
    [true, { currentVersion: '2.*' }],
    [false, { currentVersion: '2.30.*' }],
    [false, { currentVersion: '3.*' }],
    [true, { name: 'orders-*', tags: { env: 'prod' }, currentVersion: '<2.4' }],
    [false, { name: 'orders-*', tags: { env: 'test' }, currentVersion: '<2.4' }],
  ])('says %s: %j', (expected, selector) => {
    expect(fits(selector, prod)).toBe(expected);
  });

  it('takes every other character of a pattern as itself', () => {
    const odd = String.raw`a\b^c$d.e+f(g)[h]{i}|j/k-l 🚀`;
    expect(fits({ name: odd }, kite(odd))).toBe(true);
    expect(fits({ name: odd.replace('🚀', '?') }, kite(odd))).toBe(true);
    expect(fits({ name: odd }, kite(odd.replace('.', 'x')))).toBe(false);
    expect(fits({ name: 'a|b' }, kite('a'))).toBe(false);
  });

  it('compares the first number of a version of several parts, and chooses none without a number', () => {
    const below: Selector = { currentVersion: '<6.0' };
    expect(fits(below, kite('a', 'engine 5.0.14, proxy 6.1'))).toBe(true);
    expect(fits(below, kite('a', '6.3.2 (apack 1.0.1)'))).toBe(false);
    expect(fits(below, kite('a', 'unknown'))).toBe(false);
    expect(fits(below, kite('a', ''))).toBe(false);
  });

  it('lists an account and service once for all its selectors, and takes each resource once, by name', async () => {
    const source = sourceOf([
      { service: 'kite-v1', account: 'north', version: '2.0', select: { name: 'b*' } },
      { service: 'kite-v1', account: 'north', version: '2.0', select: { name: 'a*' } },
      { service: 'kite-v1', account: 'south', version: '2.0', select: { name: '*' } },
    ]);
    const asked: string[] = [];
    const list = (_: unknown, account: Account) => {
      asked.push(account.name);
      const [b, a2, a1, a1Too] = [kite('b'), kite('a', '1', {}, 'kite-2'), kite('a', '1', {}, 'kite-1'), kite('a1')];
      return Promise.resolve({ resources: [b, a2, a1Too, a1, b, a2] });
    };
    const choices = await resolveSelectors(selectorsOf(source, FAKE), list);
    expect(asked).toEqual(['north', 'south']);
    expect([...choices]).toEqual([
      [0, ['b']],
      [1, ['kite-1', 'kite-2', 'a1']],
      [2, ['kite-1', 'kite-2', 'a1', 'b']],
    ]);
  });
});

describe('selectors over HTTP', () => {
  const SECRET = 'selector-secret-key';
  const ENV = {
    CLOUD_SDK_AK: 'selector-hw-key',
    CLOUD_SDK_SK: SECRET,
    ALIBABA_CLOUD_ACCESS_KEY_ID: 'selector-ali-key',
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: SECRET,
  };
  /** More than two pages of each list. */
  const GRAPHS = 130;
  const ENGINES = 120;
  const CACHES = 115;
  const CLUSTERS = 110;
  let inventory: SimulatedResource[];
  let simulator: Simulator;
  let transport: Transport;

  beforeEach(async () => {
    inventory = seedInventory({
      seed: 'selectors',
      graphs: GRAPHS,
      engines: ENGINES,
      caches: CACHES,
      clusters: CLUSTERS,
    });
    simulator = await startSimulator({
      seed: 'selectors',
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
  });
  afterEach(async () => {
    await transport.close();
    await simulator.close();
  });

  function readingOf(endpoint = simulator.url) {
    const rates = { reads: 1000, writes: 1 };
    const file = {
      accounts: {
        hw: {
          cloud: 'huawei',
          region: 'eu-west-101',
          projectId: DEMO_PROJECT,
          rates,
          endpoints: { ges: endpoint, cse: endpoint, dcs: endpoint },
        },
        ali: { cloud: 'alibaba', region: 'cn-hangzhou', rates, endpoints: { elasticsearch: endpoint } },
      },
    };
    const accounts = accountsOf(parseSource(stringify(file), 'accounts.yaml'), CLOUD_APIS);
    const sessions = openSessions({ accounts, clock: systemClock, transport, env: ENV, scale: 0 });
    const clock = { ...systemClock, sleep: () => Promise.resolve() };
    return { accounts, sessions, apis: CLOUD_APIS, clock };
  }

  function resolve(targets: readonly object[], spec: object = {}): Promise<RolloutPlan> {
    return resolvePlan(sourceOf(targets, spec), readingOf());
  }

  function idsOf(plan: RolloutPlan): string[] {
    return plan.waves.flatMap((wave) => wave.targets.map(({ resource }) => resource.id));
  }

  const of = (family: string) => inventory.filter((resource) => resource.family === family);

  it('lose nothing when an entry goes while the list is read', async () => {
    const reading = readingOf();
    const reader = await reading.sessions.reader(gesV2, 'hw');
    const state = await gesV2.describe(reader, of('ges')[0]?.id ?? '');
    const idOf = (index: number) => `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
    let graphs = Array.from({ length: 120 }, (_, index) => ({ ...state, id: idOf(index) }));
    let pages = 0;
    const resolveWhile = (changes: (page: number) => boolean) => {
      const list: CloudApi['list'] = (_reader, page) => {
        const [resources, total] = [graphs.slice(page, page + 50), graphs.length];
        if (changes(page)) graphs = graphs.slice(1);
        pages += 1;
        return Promise.resolve({ resources, next: page + 50 < total ? page + 50 : null, total });
      };
      const apis = CLOUD_APIS.map((api) => (api.service === 'ges-v2' ? { ...api, list } : api));
      const targets = [{ service: 'ges-v2', account: 'hw', version: '9.9.9', select: { name: '*' } }];
      return resolvePlan(sourceOf(targets), { ...reading, apis });
    };
    // The first entry goes after the first page: what was the 51st is now the last of a page that was read already.
    const plan = await resolveWhile((page) => page === 0 && pages === 0);
    expect(idsOf(plan)).toHaveLength(119);
    expect(idsOf(plan)).toContain(idOf(50));
    await expect(resolveWhile((page) => page === 0)).rejects.toThrow(
      /the list of account hw changed each time it was read, so an entry may be missing \(try again later/,
    );
  });

  it('choose from every page, by name, tags and version', async () => {
    const all = await resolve([
      { service: 'ges-v2', account: 'hw', version: '9.9.9', select: { name: '*' } },
      { service: 'cse', account: 'hw', version: '9.9.9', select: { name: '*' } },
      { service: 'dcs', account: 'hw', engineMinorVersion: 'latest', select: { name: '*' } },
      { service: 'elasticsearch', account: 'ali', version: '7.10', select: { name: '*' } },
    ]);
    expect(new Set(idsOf(all))).toEqual(new Set(inventory.map(({ id }) => id)));
    expect(idsOf(all)).toHaveLength(GRAPHS + ENGINES + CACHES + CLUSTERS);

    const some = await resolve([
      {
        service: 'ges-v1',
        account: 'hw',
        version: '9.9.9',
        select: { name: 'fraud_*', tags: { env: 'prod' }, currentVersion: '2.3.*' },
      },
    ]);
    const expected = of('ges').filter(
      ({ name, tags, versions }) =>
        name.startsWith('fraud_') && tags['env'] === 'prod' && versions['graph']?.startsWith('2.3.') === true,
    );
    expect(expected.length).toBeGreaterThan(1);
    expect(idsOf(some)).toEqual(expected.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map(({ id }) => id));
  });

  it('compare what the list has of a version: of a cache its major one, of a cluster the engine’s', async () => {
    // Every simulated cache is a 5.0 in the list, whatever its minor version.
    const caches = (currentVersion: string) => [
      { service: 'dcs', account: 'hw', engineMinorVersion: 'latest', select: { currentVersion } },
    ];
    expect(idsOf(await resolve(caches('5.0.*')))).toHaveLength(CACHES);
    expect(idsOf(await resolve(caches('<5.0.14')))).toHaveLength(CACHES);
    expect(await linesOf(() => resolve(caches('<5')))).toEqual([
      `plan.yaml:10: spec.targets[0].select: chooses nothing: of ${CACHES} listed, 0 fit the version (widen the selector, or remove the target)`,
    ]);

    const old = of('elasticsearch').filter(({ versions }) => !versions['engine']?.startsWith('7.'));
    const clusters = { service: 'elasticsearch', account: 'ali', version: '7.10', select: { currentVersion: '<7' } };
    expect(new Set(idsOf(await resolve([clusters])))).toEqual(new Set(old.map(({ id }) => id)));
  });

  it('make ordinary targets: prepared, shown with their names, no-change where they are there', async () => {
    const [first, second] = of('ges');
    if (first === undefined || second === undefined) throw new Error('no graphs');
    simulator.inventory.change(first.id, { name: 'chosen-b', versions: { graph: '2.4.1' } });
    simulator.inventory.change(second.id, { name: 'chosen-a', versions: { graph: '2.3.9' } });
    const targets = [
      { name: 'picked', service: 'ges-v2', account: 'hw', version: '2.4.1', select: { name: 'chosen-*' } },
      { service: 'elasticsearch', account: 'ali', version: '7.10', id: of('elasticsearch')[0]?.id },
    ];
    const waves = [
      { name: 'one', targets: ['picked'] },
      { name: 'two', rest: true },
    ];
    const reading = readingOf();
    const plan = await resolvePlan(sourceOf(targets, { waves }), reading);
    const prepared = await preparePlan({ ...reading, plan });
    expect(prepared.waves[0]?.targets.map(({ name, verdict, place }) => ({ name, verdict, path: place.path }))).toEqual(
      [
        { name: 'chosen-a', verdict: 'upgrade', path: 'spec.targets[0].select' },
        { name: 'chosen-b', verdict: 'no-change', path: 'spec.targets[0].select' },
      ],
    );
    expect(planProblems(prepared)).toEqual([]);

    // The digest is that of the same plan written with ids.
    const { select: _, ...written } = targets[0] ?? {};
    const byIds = planOf(sourceOf([{ ...written, ids: [second.id, first.id] }, targets[1] ?? {}], { waves }), reading);
    expect(plan.digest).toBe(byIds.digest);
    simulator.inventory.change(of('ges')[2]?.id ?? '', { name: 'chosen-c' });
    expect((await resolvePlan(sourceOf(targets, { waves }), reading)).digest).not.toBe(plan.digest);
  });

  it('a resource chosen twice is the duplicate that it would be by its id', async () => {
    const [graph] = of('ges');
    if (graph === undefined) throw new Error('no graph');
    simulator.inventory.change(graph.id, { name: 'twice' });
    const lines = await linesOf(() =>
      resolve([
        { service: 'ges-v1', account: 'hw', version: '9.9.9', id: graph.id },
        { service: 'ges-v2', account: 'hw', version: '9.9.9', select: { name: 'tw*' } },
        { service: 'ges-v1', account: 'hw', version: '9.9.9', select: { name: 'twice' } },
      ]),
    );
    const what = `ges ${graph.id} in eu-west-101 is spec.targets[0] (line 7) already (keep one of the two)`;
    expect(lines).toEqual([
      `plan.yaml:14: spec.targets[1].select: ${what}`,
      `plan.yaml:19: spec.targets[2].select: ${what}`,
    ]);
  });

  it('what chooses nothing is an error that says why, each at its line', async () => {
    for (const { id } of of('elasticsearch')) simulator.inventory.remove(id);
    const lines = await linesOf(() =>
      resolve([
        { service: 'ges-v2', account: 'hw', version: '9.9.9', select: { name: 'nothing-*', tags: { env: 'canary' } } },
        { service: 'elasticsearch', account: 'ali', version: '7.10', select: { name: '*' } },
      ]),
    );
    console.log(lines.join('\n'));
    const canaries = of('ges').filter(({ tags }) => tags['env'] === 'canary').length;
    expect(lines).toEqual([
      `plan.yaml:10: spec.targets[0].select: chooses nothing: of ${GRAPHS} listed, 0 fit the name, ${canaries} fit the tags (widen the selector, or remove the target)`,
      'plan.yaml:17: spec.targets[1].select: chooses nothing: account "ali" has no resource of elasticsearch in cn-hangzhou (check the account and its region, or remove the target)',
    ]);
  });

  it('says so where the tags are missing from the list itself', async () => {
    for (const { id } of of('ges')) simulator.inventory.change(id, { tags: {} });
    const lines = await linesOf(() =>
      resolve([{ service: 'ges-v2', account: 'hw', version: '9.9.9', select: { tags: { env: 'prod' } } }]),
    );
    expect(lines).toEqual([
      `plan.yaml:10: spec.targets[0].select: chooses nothing: of ${GRAPHS} listed, 0 fit the tags (choose without tags: the list of ges-v2 shows none)`,
    ]);
  });

  it('a page that fails twice is read again, and a cloud that is not there is an error at the line', async () => {
    simulator.faults.add({ fault: { kind: 'html', status: 502 }, calls: ['list'], times: 2 });
    const targets = [{ service: 'ges-v2', account: 'hw', version: '9.9.9', select: { name: '*' } }];
    expect(idsOf(await resolve(targets))).toHaveLength(GRAPHS);
    expect(simulator.truth().faults).toEqual({ html: 2 });

    await simulator.close();
    const [line, ...others] = await linesOf(() => resolve(targets));
    expect(others).toEqual([]);
    expect(line).toMatch(/^plan\.yaml:10: spec\.targets\[0\]\.select: cannot be resolved: .*127\.0\.0\.1/);
    expect(line).toContain('check `endpoints.ges` of account "hw" and the network, then try again');
  });
});

it('the example with selectors is a valid plan for the example accounts', () => {
  const read = (name: string) =>
    parseSource(readFileSync(new URL(`../../examples/${name}`, import.meta.url), 'utf8'), name);
  const accounts = accountsOf(read('accounts.yaml'), CLOUD_APIS);
  const selectors = selectorsOf(read('selectors.yaml'), { apis: CLOUD_APIS, accounts });
  expect(selectors.map(({ selector }) => Object.keys(selector))).toEqual([
    ['name', 'tags', 'currentVersion'],
    ['tags', 'currentVersion'],
  ]);
});
