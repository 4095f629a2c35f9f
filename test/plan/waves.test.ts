/** Waves by selection and share, limits, groups and waits: what the plan resolves them to, and what it refuses. */
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { InputError } from '../../plan/errors.js';
import { planOf, selectorsOf, tagsKey, usesTags, type KnownTags } from '../../plan/plan.js';
import { firstCircle } from '../../plan/relations.js';
import { chains, haveOneGate, inShards, partedGroups } from '../../plan/shards.js';
import { parseSource } from '../../plan/source.js';
import { ACCOUNTS, FAKE_APIS } from './fake-api.js';

type Target = Record<string, unknown>;
const kite = (ids: readonly number[], more: Target = {}): Target => ({
  service: 'kite-v1',
  account: 'north',
  ids: ids.map((n) => `kite-${n}`),
  version: '2.0',
  ...more,
});

function source(targets: readonly Target[], spec: Record<string, unknown> = {}) {
  const document = {
    apiVersion: 'uplift/v1',
    kind: 'Rollout',
    metadata: { name: 'spring' },
    spec: { targets, ...spec },
  };
  return parseSource(stringify(document), 'plan.yaml');
}

function plan(targets: readonly Target[], spec: Record<string, unknown> = {}, tags: KnownTags = new Map()) {
  return planOf(source(targets, spec), { apis: FAKE_APIS, accounts: ACCOUNTS }, new Map(), tags);
}

function problems(act: () => unknown): string[] {
  try {
    act();
  } catch (error) {
    if (error instanceof InputError)
      return error.message.split('\n').map((line) => line.replace(/^plan\.yaml:\d+: /, ''));
    throw error;
  }
  return [];
}

const ids = (of: ReturnType<typeof plan>) => of.waves.map(({ targets }) => targets.map(({ resource }) => resource.id));

const TAGS: KnownTags = new Map(
  [1, 2, 3, 4, 5].map((n) => [
    tagsKey({ account: 'north', service: 'kite-v1', id: `kite-${n}` }),
    { tier: n < 3 ? 'canary' : 'main', app: ['orders', 'mail'][n % 2] ?? '' },
  ]),
);

describe('waves', () => {
  it('take what fits by account, region, service and tags, in the order of the waves, after lists and before shares', () => {
    const targets = [kite([1, 2, 3, 4, 5]), kite([6, 7], { account: 'south' })];
    const waves = [
      { name: 'half', percent: 30 },
      { name: 'canary', select: { tags: { tier: 'canary' } } },
      { name: 'south', select: { region: ['cn-south-1', 'nowhere'], service: 'kite-v1' } },
      { name: 'listed', targets: ['kite-2'] },
      { name: 'rest', rest: true },
    ];
    const of = plan(targets, { waves }, TAGS);
    expect(ids(of)).toEqual([['kite-3', 'kite-4'], ['kite-1'], ['kite-6', 'kite-7'], ['kite-2'], ['kite-5']]);
    expect(usesTags(source(targets, { waves }))).toBe(true);
    expect(usesTags(source(targets, { waves: [{ name: 'all', rest: true }] }))).toBe(false);
  });

  it('of a list that has become too short for a share take one all the same, with the soak and the approval of it', () => {
    const canary = { name: 'canary', percent: 5, approval: { approvers: ['ana'] } };
    const waves = [canary, { name: 'rest', rest: true }];
    const context = { apis: FAKE_APIS, accounts: ACCOUNTS, mayBeEmpty: true };
    const of = planOf(source([kite([1, 2, 3])], { waves }), context, new Map(), new Map());
    expect(ids(of)).toEqual([['kite-1'], ['kite-2', 'kite-3']]);
    expect(of.waves[0]).toMatchObject({ shown: '5 % of 3 = 0, and at least one', approval: { approvers: ['ana'] } });
    expect(ids(planOf(source([kite([1])], { waves }), context, new Map(), new Map()))).toEqual([['kite-1']]);
  });

  it.each([
    ['plan', ['kite-3', 'kite-1', 'kite-2', 'kite-9', 'kite-8']],
    ['id', ['kite-1', 'kite-2', 'kite-3', 'kite-8', 'kite-9']],
    ['spread', ['kite-3', 'kite-9', 'kite-1', 'kite-8', 'kite-2']],
  ])('start in the order %s', (order, expected) => {
    const targets = [kite([3, 1, 2]), kite([9, 8], { account: 'south' })];
    expect(ids(plan(targets, { waves: [{ name: 'all', rest: true, order }] }))).toEqual([expected]);
  });

  it('have the lowest of all limits, for each or by name, and a budget of their own', () => {
    const of = plan([kite([1, 2, 3, 4]), kite([5], { account: 'south' })], {
      limits: { account: 3, region: { 'cn-north-4': 2 } },
      waves: [
        { name: 'all', rest: true, concurrency: 5, limits: { account: { north: 1 } }, failureBudget: { max: '40%' } },
      ],
      failureBudget: { max: 3, counts: ['submit', 'upgrade'] },
    });
    expect(of.waves[0]).toMatchObject({
      limits: { 'account:north': 1, 'account:south': 3, 'region:cn-north-4': 2 },
      maxFailures: { count: 2, shown: '40 % of 5 = 2' },
      effective: { concurrency: 2, cause: 'because of the concurrency of account north' },
    });
    expect(of.budget).toEqual({ max: 3, mode: 'strict', counts: ['submit', 'upgrade'] });
  });

  it.each([
    [
      {
        waves: [
          { name: 'a', select: { region: 'mars' } },
          { name: 'b', rest: true },
        ],
      },
      'spec.waves[0].select: takes nothing: no target that is left fits (widen it)',
    ],
    [
      { limits: { account: { nort: 2 } } },
      'spec.limits.account.nort: no target is of account "nort" (did you mean north?)',
    ],
    [
      { waves: [{ name: 'a', rest: true, limits: { service: { dcs: 2 } } }] },
      'spec.waves[0].limits.service.dcs: no target is of service "dcs" (use one of: kite-v1)',
    ],
    [
      { waves: [{ name: 'a', select: {} }] },
      'spec.waves[0].select: is empty (say which targets, by account, service, region or tags)',
    ],
  ])('are refused: %o', (spec, message) => {
    expect(problems(() => plan([kite([1, 2])], spec))).toEqual([message]);
  });
});

describe('groups', () => {
  it('are lists, or the values of a tag', () => {
    const of = plan(
      [kite([1, 2]), kite([3, 4, 5], { name: 'trio' })],
      {
        groups: [
          { name: 'app', tag: 'app' },
          { name: 'trio', targets: ['trio'], maxUnavailable: 2 },
        ],
      },
      TAGS,
    );
    expect(of.waves[0]?.targets.map(({ relations }) => relations.groups)).toEqual([
      { 'app=mail': 1 },
      { 'app=orders': 1 },
      { 'app=mail': 1, trio: 2 },
      { 'app=orders': 1, trio: 2 },
      { 'app=mail': 1, trio: 2 },
    ]);
  });

  it.each([
    [
      { name: 'g', targets: ['kite-9'] },
      'spec.groups[0].targets[0]: "kite-9" is no target of this plan (did you mean kite-1? Known: kite-1, kite-2)',
    ],
    [{ name: 'g', tag: 'app' }, 'spec.groups[0].tag: no target has the tag "app" (check its name, or list targets)'],
    [
      { name: 'g' },
      'spec.groups[0]: must have exactly one of `targets` and `tag` (list its members, or name the tag whose values make groups)',
    ],
  ])('are refused: %o', (group, message) => {
    expect(problems(() => plan([kite([1, 2])], { groups: [group] }))).toEqual([message]);
  });
});

describe('waits', () => {
  it('name what has to be at its target first', () => {
    const of = plan([
      kite([1, 2], { name: 'engines' }),
      kite([3], { name: 'client', after: ['engines', 'kite-4'] }),
      kite([4]),
    ]);
    expect(of.waves[0]?.targets.map(({ relations: { after, provides } }) => ({ after, provides }))).toEqual([
      { after: [], provides: ['engines'] },
      { after: [], provides: ['engines'] },
      { after: ['engines', 'kite-4'], provides: [] },
      { after: [], provides: ['kite-4'] },
    ]);
  });

  it('are what a wave has fewer in flight for, as far as they are for its own targets', () => {
    const chain = [1, 2, 3, 4].map((n) => kite([n], n === 1 ? {} : { after: [`kite-${n - 1}`] }));
    const of = plan(chain, {
      waves: [
        { name: 'first', concurrency: 3, targets: ['kite-1', 'kite-2', 'kite-3'] },
        { name: 'last', rest: true },
      ],
      failureBudget: { max: 3 },
    });
    const [first, last] = of.waves.map(({ effective }) => effective);
    expect(first).toMatchObject({ concurrency: 1, cause: 'because targets wait for each other' });
    expect(first?.takesMs).toBe(3 * (first?.askedMs ?? NaN));
    expect(last).toMatchObject({ concurrency: 1, cause: null });
    expect(of.notes).toEqual(['wave "first": effective concurrency 1, because targets wait for each other']);
  });

  const circle = [
    kite([1], { name: 'a', after: ['b'] }),
    kite([2], { name: 'b', after: ['c'] }),
    kite([3], { name: 'c', after: ['a'] }),
  ];
  const waves = [
    { name: 'first', targets: ['kite-1'] },
    { name: 'second', rest: true },
  ];
  it.each([
    ['a circle', circle, {}, 'spec.targets[0].after: goes round in a circle: a → b → c → a (remove one of these)'],
    [
      'a target after itself',
      [kite([1], { name: 'a', after: ['kite-1'] })],
      {},
      'spec.targets[0].after: goes round in a circle: a → a (remove one of these)',
    ],
    [
      'nobody',
      [kite([1, 2], { after: ['engines'] })],
      {},
      'spec.targets[0].after[0]: "engines" is no target of this plan (use one of: kite-1, kite-2)',
    ],
    [
      'a later wave',
      [kite([1], { after: ['kite-2'] }), kite([2])],
      { waves },
      'spec.targets[0].after[0]: "kite-2" is in wave "second", which comes after wave "first" of this target (order the waves the other way)',
    ],
    [
      'more than a shard can hold',
      [
        kite(
          Array.from({ length: 400 }, (_, n) => n + 2),
          { name: 'many' },
        ),
        kite([1], { after: ['many'] }),
      ],
      {},
      'spec.targets[0]: 401 targets of wave "all" wait for each other, and at most 400 can (put what others wait for into an earlier wave)',
    ],
  ])('for %s are refused', (_what, targets, spec, message) => {
    expect(problems(() => plan(targets, spec))).toEqual([message]);
  });

  it('find the first circle of a graph', () => {
    const graph = (edges: Record<number, number[]>) =>
      firstCircle(new Map(Object.entries(edges).map(([from, to]) => [Number(from), new Set(to)])));
    expect(graph({ 1: [2, 3], 2: [4], 3: [4], 4: [] })).toBeNull();
    expect(graph({ 1: [2], 2: [3], 3: [4], 4: [2] })).toEqual([2, 3, 4, 2]);
  });

  it('find it in a chain that is longer than the stack is deep', () => {
    const chain = (size: number) => Array.from({ length: size }, (_, n) => [n, new Set([n + 1])] as const);
    expect(firstCircle(new Map(chain(10_000)))).toBeNull();
    expect(firstCircle(new Map([...chain(10_000), [10_000, new Set([9_998])]]))).toEqual([9_998, 9_999, 10_000, 9_998]);
  });
});

describe('approvals', () => {
  it('are pinned with names, quorum and time', () => {
    const approval = { approvers: ['ana', 'ben', 'ana'], quorum: 2, expiresAfter: '36h' };
    const of = plan([kite([1])], { approval, waves: [{ name: 'all', rest: true, approval: { approvers: ['ana'] } }] });
    expect(of.approval).toEqual({ quorum: 2, approvers: ['ana', 'ben'], expiresAfterMs: 36 * 3_600_000 });
    expect(of.waves[0]?.approval).toEqual({ quorum: 1, approvers: ['ana'], expiresAfterMs: 7 * 86_400_000 });
  });
  it('have roles that become the people who have them, as a part of what is approved', () => {
    const roles = { dba: ['alice', 'bob', 'alice'], ops: ['carol'] };
    const approval = { approvers: ['role:dba', 'carol'], quorum: 2 };
    const of = plan([kite([1])], { roles, approval });
    expect(of.approval).toEqual({
      quorum: 2,
      approvers: ['alice', 'bob', 'carol'],
      roles: { dba: ['alice', 'bob'] },
      expiresAfterMs: 7 * 86_400_000,
    });
    const digestOf = (given: Record<string, string[]>) => plan([kite([1])], { roles: given, approval }).digest;
    expect(digestOf({ ...roles, dba: ['alice', 'mallory'] })).not.toBe(of.digest);
    // A role that nobody is asked by decides nothing.
    expect(digestOf({ dba: ['alice', 'bob'] })).toBe(of.digest);
    // Nor does a person twice make two.
    expect(
      problems(() => plan([kite([1])], { roles, approval: { approvers: ['role:ops', 'carol'], quorum: 2 } })),
    ).toEqual(['spec.approval: has fewer approvers than its quorum (name more of them, or lower the quorum)']);
  });
  it.each([
    [
      { dba: ['alice'] },
      ['role:dbas'],
      'spec.approval.approvers[0]: "dbas" is no role of this plan (did you mean dba?)',
    ],
    [
      undefined,
      ['ana', 'role:dba'],
      'spec.approval.approvers[1]: "dba" is no role of this plan (list who has it under spec.roles)',
    ],
    [{ dba: [] }, ['role:dba'], 'spec.roles.dba: is empty (give at least one)'],
    [
      { dba: ['role:ops'], ops: ['carol'] },
      ['role:dba'],
      'spec.roles.dba[0]: "role:ops" does not have the right form (name people: a role holds no other role)',
    ],
    [
      { 'a b': ['carol'] },
      ['carol'],
      'spec.roles.a b: is not a usable name (use letters, digits, dots, underscores and hyphens, at most 40)',
    ],
  ])('roles %o of approvers %o are refused', (roles, approvers, message) => {
    const spec = {
      ...(roles === undefined ? {} : { roles }),
      waves: [{ name: 'all', rest: true, approval: { approvers } }],
    };
    const placed = message.startsWith('spec.roles') ? message : message.replace('spec.', 'spec.waves[0].');
    expect(problems(() => plan([kite([1])], spec))).toEqual([placed]);
  });
  it.each([
    [
      { approvers: ['ana', 'ana'], quorum: 2 },
      'spec.approval: has fewer approvers than its quorum (name more of them, or lower the quorum)',
    ],
    [
      { approvers: ['ana'], expiresAfter: 'soon' },
      'spec.approval.expiresAfter: "soon" does not have the right form (use a number and a unit, as in 30m, 24h or 7d)',
    ],
    [{ approvers: ['ana'], expiresAfter: '181d' }, 'spec.approval.expiresAfter: is longer than 180 d (shorten it)'],
  ])('are refused: %o', (approval, message) => {
    expect(problems(() => plan([kite([1])], { approval }))).toEqual([message]);
  });
});

describe('soaks', () => {
  const soaking = (soak: unknown, more: Record<string, unknown> = {}) =>
    plan([kite([1])], { waves: [{ name: 'all', rest: true, soak }], ...more });
  it('are resolved to milliseconds, with their defaults', () => {
    expect(soaking({ for: '30m', probe: { health: true } }).waves[0]?.soak).toEqual({
      forMs: 1_800_000,
      everyMs: 60_000,
      health: { sample: 20 },
    });
    const http = { url: 'https://app.example.com/healthz?deep=1', expect: { status: 204, body: 'ok' }, timeout: '2s' };
    expect(soaking({ for: '20s', probe: { health: { sample: 3 }, http } }).waves[0]?.soak).toEqual({
      forMs: 20_000,
      everyMs: 20_000,
      health: { sample: 3 },
      http: { url: 'https://app.example.com/healthz?deep=1', timeoutMs: 2_000, status: 204, body: 'ok' },
    });
    expect(plan([kite([1])]).waves[0]?.soak).toBeNull();
  });

  const ok = { health: true };
  const at = 'spec.waves[0].soak';
  const form = 'does not have the right form (use a whole number above 0 and a unit, as in 90s, 30m, 24h or 7d)';
  const to = (url: string) => ({ for: '30m', probe: { http: { url } } });
  it.each([
    [{ for: '30m' }, `${at}.probe: is missing (add it, as a map)`],
    [
      { for: '30m', probe: { every: '1m' } },
      `${at}.probe: has neither \`health\` nor \`http\` (add \`health: true\`, an \`http\` probe, or both: time alone proves nothing)`,
    ],
    [{ for: '0m', probe: ok }, `${at}.for: "0m" ${form}`],
    [{ for: '-5m', probe: ok }, `${at}.for: "-5m" ${form}`],
    [{ for: '30 m', probe: ok }, `${at}.for: "30 m" ${form}`],
    [{ for: '61d', probe: ok }, `${at}.for: is longer than 60 d (shorten it)`],
    [{ for: '30m', probe: { ...ok, every: '0s' } }, `${at}.probe.every: "0s" ${form}`],
    [
      { for: '30m', probe: { ...ok, every: '1h' } },
      `${at}.probe.every: 1h is longer than the soak itself, 30m (probe more often, or soak longer)`,
    ],
    [
      { for: '30m', probe: { health: false } },
      `${at}.probe.health: false is not accepted (write \`health: true\`, or how many resources one round reads: \`health: { sample: 50 }\`)`,
    ],
    [to('app/healthz'), `${at}.probe.http.url: is no URL (write it whole: https://app.example.com/healthz)`],
    [to('ftp://app.example.com'), `${at}.probe.http.url: has the scheme ftp: (use https or http)`],
    [
      to('https://ana:hunter2@app.example.com/'),
      `${at}.probe.http.url: holds a user name or a password (probe an address that needs none)`,
    ],
    [
      to('https://app.example.com/?access_token=hunter2'),
      `${at}.probe.http.url: holds what looks like a secret: ?access_token=… (probe an address that needs none)`,
    ],
    [
      to('http://169.254.169.254/latest/meta-data'),
      `${at}.probe.http.url: is an address at which clouds hand out credentials (probe what was upgraded)`,
    ],
    [
      { for: '30m', probe: { http: { url: 'https://app.example.com', timeout: '2m' } } },
      `${at}.probe.http.timeout: 2m is longer than 1m (shorten it)`,
    ],
  ])('%o is refused', (soak, message) => {
    const found = problems(() => soaking(soak));
    expect(found).toEqual([message]);
    expect(found.join()).not.toContain('hunter2');
  });
});

describe('minSuccess', () => {
  const of = (minSuccess: unknown) => plan([kite([1, 2, 3])], { minSuccess });
  it.each([
    [2, { count: 2, shown: '2' }],
    ['50%', { count: 2, shown: '50 % of 3 = 2' }],
    ['100%', { count: 3, shown: '100 % of 3 = 3' }],
    ['0.01%', { count: 1, shown: '0.01 % of 3 = 1' }],
  ])('%s is a number, rounded up', (given, resolved) => {
    expect(of(given).minSuccess).toEqual(resolved);
  });
  const remedy = 'use a whole number above 0 (8) or a percentage of all targets ("80%", two decimals at most)';
  it.each([
    [4, 'spec.minSuccess: asks for 4 of 3 targets (lower it: a share of them is "80%")'],
    ['0%', 'spec.minSuccess: asks for nothing (raise it, or remove it)'],
    [0, 'spec.minSuccess: must be more than 0 (use a larger number)'],
    [-1, 'spec.minSuccess: must be more than 0 (use a larger number)'],
    ['101%', `spec.minSuccess: "101%" does not have the right form (${remedy})`],
  ])('%s is refused', (given, message) => {
    expect(problems(() => of(given))).toEqual([message]);
  });
});

describe('the digest', () => {
  const targets = [kite([1, 2], { name: 'a' }), kite([3])];
  const plain = plan(targets).digest;
  it.each([
    ['a limit', targets, { limits: { account: 1 } }],
    ['a group', targets, { groups: [{ name: 'g', targets: ['a'] }] }],
    ['a wait', [kite([1, 2], { name: 'a' }), kite([3], { after: ['a'] })], {}],
    ['a budget of a wave', targets, { waves: [{ name: 'all', rest: true, failureBudget: { max: 0 } }] }],
    ['an approver', targets, { approval: { approvers: ['ana'] } }],
    ['a soak', targets, { waves: [{ name: 'all', rest: true, soak: { for: '1h', probe: { health: true } } }] }],
    ['how many have to succeed', targets, { minSuccess: 1 }],
    ['what is charged', targets, { failureBudget: { counts: ['upgrade'] } }],
  ])('changes with %s', (_what, changed, spec) => {
    expect(plan(changed, spec).digest).not.toBe(plain);
  });
});

describe('shards', () => {
  const of = (
    ...all: readonly { at: number; groups?: Record<string, number>; after?: string[]; provides?: string[] }[]
  ) => all;
  const at = (shards: readonly (readonly { at: number }[])[]) => shards.map((shard) => shard.map((one) => one.at));
  it('keep those that wait for each other, and groups, together', () => {
    const upgrades = of(
      { at: 0, groups: { pair: 1 } },
      { at: 1, provides: ['x'] },
      { at: 2 },
      { at: 3, groups: { pair: 1 } },
      { at: 4, after: ['x'] },
      { at: 5 },
    );
    expect(at(inShards(upgrades, 3))).toEqual([[0, 3], [1, 4, 2], [5]]);
    expect(at(chains(upgrades))).toEqual([[1, 4]]);
    expect(partedGroups(inShards(upgrades, 3))).toEqual({});
  });
  it('are shut together where all wait at one gate', () => {
    const gates = (...numbers: (number | undefined)[]) => numbers.map((gate) => (gate === undefined ? {} : { gate }));
    expect(haveOneGate(gates(2, 2, 2))).toBe(true);
    expect(haveOneGate(gates(0, 1))).toBe(false);
    expect(haveOneGate(gates(0, undefined))).toBe(false);
    expect(haveOneGate(gates(undefined))).toBe(false);
    expect(haveOneGate([])).toBe(false);
  });
  it('spread a group that is larger than one of them', () => {
    const upgrades = Array.from({ length: 5 }, (_, n) => ({ at: n, groups: { app: 2 } }));
    const shards = inShards(upgrades, 2);
    expect(at(shards)).toEqual([[0, 1], [2, 3], [4]]);
    expect(partedGroups(shards)).toEqual({ app: 2 });
  });
});

describe('before a cloud is read', () => {
  const check = (targets: readonly Target[], spec: Record<string, unknown>) =>
    problems(() => selectorsOf(source(targets, spec), { apis: FAKE_APIS, accounts: ACCOUNTS }));
  const chosen = (more: Target = {}): Target => ({
    service: 'kite-v1',
    account: 'north',
    version: '2.0',
    select: { name: '*' },
    ...more,
  });
  const byTag = [{ name: 'app', tag: 'app' }];
  const wrong = {
    groups: [...byTag, { name: 'pair', targets: ['kite-1', 'b', 'kit-9'] }],
    waves: [
      { name: 'one', targets: ['a'], approval: { approvers: ['role:sre'] } },
      { name: 'one', targets: ['a'], approval: { approvers: ['ana', 'ben'], quorum: 3 } },
      { name: 'rest', rest: true },
    ],
    limits: { account: { nobody: 1 } },
  };
  const told = [
    'spec.groups[1].targets[2]: "kit-9" is no target of this plan (',
    'spec.targets[0].after: goes round in a circle: a → b → a (',
    'spec.targets[1].after[1]: "nothing" is no target of this plan (',
    'spec.waves[0].approval.approvers[0]: "sre" is no role of this plan (',
    'spec.waves[1].approval: has fewer approvers than its quorum (',
    'spec.waves[1].name: "one" is the name of spec.waves[0] too (',
    'spec.waves[1].targets[0]: "a" is in wave "one" already (',
    'spec.limits.account.nobody: no target is of account "nobody" (',
  ];
  const related = (to: (more: Target) => Target) => [
    to({ name: 'a', after: ['b'] }),
    to({ name: 'b', after: ['a', 'nothing'] }),
    kite([1]),
  ];
  const heads = (lines: readonly string[]) => lines.map((line) => line.replace(/ \(.*$/, ' ('));

  it('what needs neither tags nor selectors is refused, also where a group goes by tags', () => {
    const targets = related((more) => kite(more['name'] === 'a' ? [2] : [3], more));
    expect(heads(check(targets, wrong)).toSorted()).toEqual(told.toSorted());
  });

  it('so it is where selectors choose, by the names of their targets', () => {
    expect(heads(check(related(chosen), wrong)).toSorted()).toEqual(told.toSorted());
  });

  it('what tags or selectors may change is left to the plan', () => {
    const waves = [
      { name: 'canary', select: { tags: { tier: 'canary' } } },
      { name: 'half', percent: 50 },
      { name: 'listed', targets: ['kite-1', 'kite-2'] },
    ];
    const weekly = { days: ['sun'], start: '02:00', duration: '4h', timezone: 'UTC' };
    const windows = [{ name: 'night', ...weekly, for: { tags: { tier: 'canary' } } }];
    const waits = kite([3], { after: ['kite-4'] });
    expect(check([kite([1, 2]), waits, chosen()], { waves, groups: byTag, minSuccess: 9, windows })).toEqual([]);
    expect(check([kite([1, 2, 3, 4])], { waves, groups: byTag, windows })).toEqual([]);
    expect(
      check([chosen({ name: 'all' })], { groups: [...byTag, { name: 'pair', targets: ['kite-7', 'all'] }] }),
    ).toEqual([]);
  });

  it('waves that go by neither are checked whole', () => {
    const waves = [{ name: 'half', percent: 50 }];
    expect(heads(check([kite([1, 2])], { waves, groups: byTag }))).toEqual([
      'spec.waves: no wave takes spec.targets[0].ids[1] (',
    ]);
    expect(check([kite([1]), chosen()], { waves })).toEqual([]);
  });

  it('windows hold for what selectors will choose', () => {
    const weekly = { days: ['sun'], start: '02:00', duration: '4h', timezone: 'UTC' };
    const windows = [{ name: 'night', ...weekly, for: { accounts: ['south'] } }];
    expect(heads(check([kite([1], { account: 'south' }), chosen()], { windows }))).toEqual([
      'spec.targets[1]: no window holds for kite-v1 chosen by `select` (',
    ]);
  });
});
