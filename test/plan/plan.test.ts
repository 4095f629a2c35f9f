import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { CLOUD_APIS } from '../../activities/clouds/index.js';
import { accountsOf, loadAccounts } from '../../plan/accounts.js';
import { canonicalJson, digest, rolloutId } from '../../plan/digest.js';
import { jsonSchemas } from '../../plan/json-schema.js';
import type { RolloutPlan } from '../../plan/plan.js';
import { accountsNamed, planOf, roughly } from '../../plan/plan.js';
import { share } from '../../plan/schema.js';
import { parseSource, readSource } from '../../plan/source.js';
import { type EffectiveConcurrency, effectiveConcurrency } from '../../plan/waves.js';
import { NOTICE_KINDS } from '../../workflows/contracts/notices.js';
import { commonQueue } from '../../workflows/contracts/queues.js';
import type { Limits } from '../../workflows/contracts/rollout.js';
import { ACCOUNTS, FAKE_APIS } from './fake-api.js';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

function read(yaml: string): RolloutPlan {
  return planOf(parseSource(yaml, 'plan.yaml'), { apis: FAKE_APIS, accounts: ACCOUNTS });
}

interface Spec {
  readonly waves?: unknown;
  readonly failureBudget?: unknown;
  readonly timeScale?: number;
}

/** A plan of `count` kites with these settings. */
function kites(count: number, spec: Spec = {}, account = 'north'): RolloutPlan {
  const ids = Array.from({ length: count }, (_, index) => `kite-${index + 1}`);
  const targets = [{ service: 'kite-v1', account, ids, version: '2.0' }];
  return read(
    stringify({ apiVersion: 'uplift/v1', kind: 'Rollout', metadata: { name: 'spring' }, spec: { targets, ...spec } }),
  );
}

function idsOf(plan: RolloutPlan): string[][] {
  return plan.waves.map((wave) => wave.targets.map((target) => target.resource.id));
}

const PLAN = `apiVersion: uplift/v1
kind: Rollout
metadata: { name: spring }
spec:
  targets:
    - { service: kite-v2, account: north, id: kite-1, name: left, version: "2.0" }
    - { service: balloon, account: ali, ids: [kite-1, kite-2], version: "3.1" }
  waves:
    - { name: first, targets: [left] }
    - { name: second, concurrency: 2, rest: true }
  failureBudget: { max: 1 }
`;

describe('a plan', () => {
  it('is resolved to upgrades in waves', () => {
    const plan = read(PLAN);
    expect(plan.rollout).toBe(`spring-${plan.digest.slice(0, 8)}`);
    expect(plan.waves.map(({ name, concurrency }) => ({ name, concurrency }))).toEqual([
      { name: 'first', concurrency: 1 },
      { name: 'second', concurrency: 2 },
    ]);
    expect(plan.waves[1]?.targets[1]).toEqual({
      place: { file: 'plan.yaml', line: 7, path: 'spec.targets[1].ids[1]' },
      name: null,
      resource: {
        account: 'ali',
        cloud: 'alibaba',
        service: 'balloon',
        family: 'balloon',
        region: 'cn-hangzhou',
        id: 'kite-2',
      },
      target: { version: '3.1' },
      targetLabel: '3.1',
      chosenByTags: [],
      entry: 1,
      after: [],
      expectedMs: 1,
      relations: { groups: {}, after: [], provides: [] },
    });
    expect(plan.budget).toEqual({ max: 1, mode: 'strict' });
    expect(plan.accountLimits).toEqual({ north: 20, ali: 20 });
    expect(plan.timeScale).toBe(1);
    expect(plan.notes).toEqual([]);
  });

  it('without waves is one wave, one at a time, and stops at the first failure', () => {
    const plan = kites(3);
    expect(plan.waves).toHaveLength(1);
    expect(plan.waves[0]).toMatchObject({ name: 'all', concurrency: 1, shown: null });
    expect(idsOf(plan)).toEqual([['kite-1', 'kite-2', 'kite-3']]);
    expect(plan.budget).toEqual({ max: 0, mode: 'strict' });
  });

  it('gives shares after lists, in the order of the plan', () => {
    const plan = kites(10, {
      waves: [
        { name: 'tenth', percent: 10 },
        { name: 'listed', targets: ['kite-1', 'kite-9'] },
        { name: 'half', percent: 50 },
        { name: 'rest', rest: true },
      ],
    });
    expect(idsOf(plan)).toEqual([
      ['kite-2'],
      ['kite-1', 'kite-9'],
      ['kite-3', 'kite-4', 'kite-5', 'kite-6', 'kite-7'],
      ['kite-8', 'kite-10'],
    ]);
    expect(plan.waves.map((wave) => wave.shown)).toEqual(['10 % of 10 = 1', null, '50 % of 10 = 5', null]);
  });

  it('resolves a budget in percent against all targets', () => {
    const plan = kites(25, { failureBudget: { max: '5%', mode: 'loose' } });
    expect(plan.budget).toEqual({ max: 1, share: '5%', mode: 'loose' });
    expect(plan.budgetShown).toBe('5 % of 25 = 1');
  });

  it('notes a concurrency that budget or account does not allow', () => {
    expect(kites(5, { waves: [{ name: 'a', concurrency: 4, rest: true }] }).notes).toEqual([
      'wave "a": effective concurrency 1, because strict with max 0',
    ]);
    const loose = { waves: [{ name: 'a', concurrency: 4, rest: true }], failureBudget: { mode: 'loose' } };
    expect(kites(5, loose).notes).toEqual([]);
    expect(kites(30, { ...loose, waves: [{ name: 'a', concurrency: 30, rest: true }] }).notes).toEqual([
      'wave "a": effective concurrency 20, because of the concurrency of account north',
    ]);
  });

  it('may rehearse faster against an endpoint that is no real cloud', () => {
    const waves = [{ name: 'a', concurrency: 2, rest: true }];
    const plan = kites(4, { waves, timeScale: 0.01 }, 'rehearsal');
    expect(plan.timeScale).toBe(0.01);
    // What a strict budget costs is told in the rehearsal's own time.
    const real = kites(4, { waves }).waves[0]?.effective;
    expect(real).toMatchObject({ concurrency: 1, takesMs: 2 * (real?.askedMs ?? 0) });
    expect(plan.waves[0]?.effective).toEqual({
      ...real,
      takesMs: (real?.takesMs ?? 0) / 100,
      askedMs: (real?.askedMs ?? 0) / 100,
    });
  });

  it('shares settings by anchor', () => {
    const plan = read(`apiVersion: uplift/v1
kind: Rollout
metadata: { name: spring }
spec:
  targets:
    - { service: kite-v1, account: north, id: kite-1, version: &version "2.0" }
    - { service: kite-v1, account: north, id: kite-2, version: *version }
`);
    expect(plan.waves[0]?.targets.map((target) => target.targetLabel)).toEqual(['2.0', '2.0']);
  });
});

describe('effective concurrency', () => {
  const upgrades = (size: number, groups?: Record<string, number>) =>
    Array.from({ length: size }, (_, at) => ({
      resource: { account: 'north', cloud: 'huawei', service: 'kite-v1', family: 'kite', region: 'r', id: `${at}` },
      expectedMs: 3_600_000,
      groups: groups ?? {},
      after: [],
    }));
  it.each([
    [{ concurrency: 10, size: 3, max: 0, mode: 'loose', limits: {} }, 3, null, 1, 1],
    [{ concurrency: 10, size: 10, max: 4, mode: 'strict', limits: {} }, 5, 'because strict with max 4', 2, 1],
    [{ concurrency: 2, size: 10, max: 4, mode: 'strict', limits: {} }, 2, null, 5, 5],
    [{ concurrency: 10, size: 10, max: 0, mode: 'strict', limits: {} }, 1, 'because strict with max 0', 10, 1],
    [
      { concurrency: 10, size: 10, max: 4, mode: 'strict', limits: { 'account:north': 2 } },
      2,
      'because of the concurrency of account north',
      5,
      1,
    ],
    [
      { concurrency: 4, size: 8, max: 9, mode: 'strict', limits: { 'region:r': 2, 'service:kite-v1': 3 } },
      2,
      'because of the limit of region r',
      4,
      2,
    ],
    [
      { concurrency: 4, size: 8, max: 9, mode: 'loose', limits: {}, groups: { pair: 1 } },
      1,
      'because so few members of a group may be in flight',
      8,
      2,
    ],
    // Of limits that allow just as few, none would let more in if it alone were not there.
    [
      { concurrency: 10, size: 10, max: 0, mode: 'loose', limits: { 'account:north': 2, 'region:r': 2 } },
      2,
      'because of the concurrency of account north and because of the limit of region r',
      5,
      1,
    ],
    [
      { concurrency: 10, size: 10, max: 50, mode: 'strict', limits: { 'service:kite-v1': 2, 'region:r': 2 } },
      2,
      'because of the limit of service kite-v1 and because of the limit of region r',
      5,
      1,
    ],
    [
      { concurrency: 10, size: 10, max: 1, mode: 'strict', limits: { 'region:r': 2 } },
      2,
      'because strict with max 1 and because of the limit of region r',
      5,
      1,
    ],
  ] as const)('%o: %i', (row, concurrency, cause, hours, askedHours) => {
    const { size, max, mode, ...wave } = row;
    const groups = 'groups' in row ? row.groups : undefined;
    const effective = effectiveConcurrency(wave, upgrades(size, groups), { max, mode });
    expect(effective).toEqual({
      concurrency,
      cause,
      takesMs: hours * 3_600_000,
      askedMs: askedHours * 3_600_000,
    });
  });

  const loose = { max: 0, mode: 'loose' } as const;
  const hours = (of: EffectiveConcurrency) => [of.takesMs / 3_600_000, of.askedMs / 3_600_000];

  it('names and counts only the account that keeps others back', () => {
    const wave = { concurrency: 6, limits: { 'account:a': 1, 'account:b': 100 } };
    const members = upgrades(6).map((one, at) => ({
      ...one,
      resource: { ...one.resource, account: at < 3 ? 'a' : 'b' },
    }));
    const effective = effectiveConcurrency(wave, members, loose);
    expect(effective).toMatchObject({ concurrency: 4, cause: 'because of the concurrency of account a' });
    expect(hours(effective)).toEqual([3, 1]);
  });

  const waiting = 'because targets wait for each other';
  const chain = [[], ['0'], ['1'], ['2'], ['3']];
  it.each([
    ['a chain', chain, {}, 1, waiting, 5, 1],
    ['a chain at a limit', chain, { 'region:r': 1 }, 1, `because of the limit of region r and ${waiting}`, 5, 1],
    ['a chain below a limit', chain, { 'region:r': 2 }, 1, waiting, 5, 1],
    ['a chain beside others', [[], ['0'], ['1'], [], []], {}, 3, waiting, 3, 1],
    [
      'a limit that is lower than what waits',
      [[], [], [], ['0'], ['1']],
      { 'region:r': 1 },
      1,
      'because of the limit of region r',
      5,
      1,
    ],
    // At its start one is in flight, and most of the time four.
    ['all after one', [[], ['0'], ['0'], ['0'], ['0']], {}, 4, waiting, 2, 1],
    ['what nobody waits for, beside the later ones', [['1'], [], ['1'], ['1'], []], {}, 4, waiting, 2, 1],
    ['those of an earlier wave', [['9'], ['9'], ['9'], ['9'], ['9']], {}, 5, null, 1, 1],
  ])('takes %s as it is', (_what, afters, limits: Limits, concurrency, cause, takes, asked) => {
    const members = upgrades(5).map((one, at) => ({ ...one, after: afters[at] ?? [], provides: [`${at}`] }));
    const effective = effectiveConcurrency({ concurrency: 5, limits }, members, loose);
    expect(effective).toMatchObject({ concurrency, cause });
    expect(hours(effective)).toEqual([takes, asked]);
  });

  it('tells what it costs in words that a person plans by', () => {
    expect([1, 36_000, 59_600, 45 * 60_000, 6.5 * 3_600_000, 7 * 3_600_000, 76 * 3_600_000].map(roughly)).toEqual([
      '1 s',
      '36 s',
      '1 min',
      '45 min',
      '6 h 30 min',
      '7 h',
      '3 d 4 h',
    ]);
  });
});

describe('a share', () => {
  it.each([
    ['5%', 25, 1, '5 % of 25 = 1'],
    ['5 %', 19, 0, '5 % of 19 = 0'],
    ['100%', 7, 7, '100 % of 7 = 7'],
    ['1.15%', 2000, 23, '1.15 % of 2000 = 23'],
    ['0.57%', 10_000, 57, '0.57 % of 10000 = 57'],
    [33.33, 3, 0, '33.33 % of 3 = 0'],
    [29, 100, 29, '29 % of 100 = 29'],
  ])('%s of %i is %i', (value, total, count, shown) => {
    expect(share(value, total)).toEqual({ count, shown });
  });
});

describe('the digest', () => {
  const expected = read(PLAN).digest;

  it('is a SHA-256 that names the rollout', () => {
    expect(expected).toMatch(/^[0-9a-f]{64}$/);
    expect(rolloutId({ name: 'spring', digest: expected })).toBe(read(PLAN).rollout);
  });

  it.each([
    ['comments and blank lines', PLAN.replaceAll('\n', '\n\n# so\n')],
    [
      'the order of keys',
      PLAN.replace('service: kite-v2, account: north, id: kite-1', 'id: kite-1, account: north, service: kite-v2'),
    ],
    ['block style', PLAN.replace('  failureBudget: { max: 1 }', '  failureBudget:\n    max: 1\n    mode: strict')],
    ['a default written out', PLAN.replace('targets: [left]', 'concurrency: 1, targets: [left]')],
    ['JSON instead of YAML', JSON.stringify(parseSource(PLAN, 'plan.yaml').data)],
    ['a share instead of its number', PLAN.replace('max: 1', 'max: 34%')],
    ['an id instead of a name', PLAN.replaceAll('left', 'upper')],
  ])('does not depend on %s', (_, yaml) => {
    expect(yaml).not.toBe(PLAN);
    expect(read(yaml).digest).toBe(expected);
  });

  it.each([
    ['a name', 'spring', 'autumn'],
    ['a version', '"2.0"', '"2.1"'],
    ['an account', 'north', 'south'],
    ['an API', 'kite-v2', 'kite-v1'],
    ['an id', 'kite-2]', 'kite-3]'],
    ['the order of targets', '[kite-1, kite-2]', '[kite-2, kite-1]'],
    ['a concurrency', 'concurrency: 2', 'concurrency: 3'],
    ['the budget', 'max: 1', 'max: 2'],
    ['its mode', 'max: 1', 'max: 1, mode: loose'],
  ])('changes with %s', (_, from, to) => {
    expect(read(PLAN.replace(from, to)).digest).not.toBe(expected);
  });

  it('is that of sorted JSON without white space', () => {
    const value = { b: [1, { d: null, c: 'ü' }], a: undefined, A: true };
    expect(canonicalJson(value)).toBe('{"A":true,"b":[1,{"c":"ü","d":null}]}');
    expect(digest(value)).toBe(digest({ A: true, b: [1, { c: 'ü', d: null }] }));
    // sha256sum of `{}`
    expect(digest({})).toBe('44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a');
  });
});

describe('who is told', () => {
  const told = (spec: object) => kites(1, spec).notify;

  it('is told everything, or what is named, and it changes no digest', () => {
    const notify = [{ webhook: 'ops' }, { webhook: 'pager', events: ['failed', 'stuck', 'failed'] }];
    expect(told({ notify })).toEqual([{ webhook: 'ops' }, { webhook: 'pager', events: ['failed', 'stuck'] }]);
    expect(kites(1, { notify } as object).digest).toBe(kites(1).digest);
  });

  it('hears of an overrun unless the plan says `overrun: finish`', () => {
    const notify = [{ webhook: 'ops' }];
    expect(told({ notify, overrun: 'notify' })).toEqual(told({ notify }));
    const [rule] = told({ notify, overrun: 'finish' });
    expect(rule?.events).toHaveLength(NOTICE_KINDS.length - 1);
    expect(rule?.events).not.toContain('overrun-risk');
  });
});

describe('accounts', () => {
  it('have defaults', () => {
    expect(ACCOUNTS.get('north')).toEqual({
      name: 'north',
      cloud: 'huawei',
      region: 'cn-north-4',
      projectId: 'p1',
      credentials: { kind: 'env', prefix: 'CLOUD_SDK' },
      endpoints: {},
      allowPlainHttp: false,
      rates: { reads: 5, writes: 1 },
      concurrency: 20,
    });
    expect(ACCOUNTS.get('ali')).toMatchObject({ projectId: '', credentials: { kind: 'env', prefix: 'ALIBABA_CLOUD' } });
  });

  it('may leave the project to be looked up, and name where IAM is', () => {
    const yaml = `accounts:
  a: { cloud: huawei, region: cn-north-4, endpoints: { iam: "https://iam.example.com" } }`;
    const account = accountsOf(parseSource(yaml, 'accounts.yaml'), FAKE_APIS).get('a');
    expect(account).toMatchObject({ projectId: '', endpoints: { iam: 'https://iam.example.com' } });
  });

  it('find credential files from where the accounts file is', () => {
    const file = (path: string): unknown => {
      const yaml = `accounts: { a: { cloud: alibaba, region: cn-hangzhou, credentials: { file: "${path}" } } }`;
      return accountsOf(parseSource(yaml, 'etc/accounts.yaml'), FAKE_APIS).get('a')?.credentials;
    };
    expect(file('keys.yaml')).toEqual({ kind: 'file', path: resolve('etc/keys.yaml') });
    expect(file('/run/keys.yaml')).toEqual({ kind: 'file', path: '/run/keys.yaml' });
    expect(file('~/keys.yaml')).toEqual({ kind: 'file', path: join(homedir(), 'keys.yaml') });
  });

  it.each(['http://127.0.0.1:8080', 'http://localhost:1/', 'http://[::1]:9', 'https://10.0.0.1:8443'])(
    'take the endpoint %s',
    (url) => {
      const yaml = `accounts: { a: { cloud: huawei, region: cn-north-4, projectId: p, endpoints: { kite: "${url}" } } }`;
      const account = accountsOf(parseSource(yaml, 'accounts.yaml'), FAKE_APIS).get('a');
      expect(account?.endpoints).toEqual({ kite: url.replace(/\/$/, '') });
    },
  );

  it('may share what is anchored once, however many they are', () => {
    const one = (at: number) => `  a${at}: { cloud: alibaba, region: cn-hangzhou, rates: *slow }`;
    const others = Array.from({ length: 500 }, (_, at) => one(at)).join('\n');
    const yaml = `accounts:\n  first: { cloud: alibaba, region: cn-hangzhou, rates: &slow { reads: 2 } }\n${others}`;
    const accounts = accountsOf(parseSource(yaml, 'accounts.yaml'), FAKE_APIS);
    expect(accounts.size).toBe(501);
    expect(accounts.get('a499')?.rates).toEqual({ reads: 2, writes: 1 });
  });

  it('may reach plain http elsewhere when they say so', () => {
    const yaml = `accounts:
  a: { cloud: huawei, region: r, projectId: p, allowPlainHttp: true, endpoints: { kite: "http://simulator:8080" } }`;
    const account = accountsOf(parseSource(yaml, 'accounts.yaml'), FAKE_APIS).get('a');
    expect(account?.endpoints).toEqual({ kite: 'http://simulator:8080' });
  });
});

describe('what is committed', () => {
  it.each(Object.entries(jsonSchemas(CLOUD_APIS)))('plan/schema/%s is what the schemas say now', (name, text) => {
    expect(readFileSync(join(ROOT, 'plan/schema', name), 'utf8')).toBe(text);
  });

  it('the examples are a valid plan for valid accounts', () => {
    const accounts = loadAccounts(join(ROOT, 'examples/accounts.yaml'), CLOUD_APIS);
    const plan = planOf(readSource(join(ROOT, 'examples/rollout.yaml')), { apis: CLOUD_APIS, accounts });
    expect(idsOf(plan).map((ids) => ids.length)).toEqual([1, 1, 5]);
    const services = plan.waves.flatMap((wave) => wave.targets.map((target) => target.resource.service));
    expect(new Set(services)).toEqual(new Set(CLOUD_APIS.map((api) => api.service)));
  });

  it('the example of waves resolves as its comments say', () => {
    const accounts = loadAccounts(join(ROOT, 'examples/accounts.yaml'), CLOUD_APIS);
    const plan = planOf(readSource(join(ROOT, 'examples/waves.yaml')), { apis: CLOUD_APIS, accounts });
    expect(idsOf(plan).map((ids) => ids.length)).toEqual([2, 1, 1, 3]);
    expect(plan.budget).toMatchObject({ max: 1, counts: ['submit', 'upgrade', 'verify', 'timeout'] });
    expect(plan.waves[3]?.effective).toMatchObject({ concurrency: 2 });
    expect(plan.waves[3]?.approval).toMatchObject({ approvers: ['ana', 'ben', 'cem'], roles: { dba: ['ana', 'ben'] } });
  });

  it.each(['rollout', 'accounts'])('examples/%s.yaml tells editors its schema', (name) => {
    const [hint] = readFileSync(join(ROOT, 'examples', `${name}.yaml`), 'utf8').split('\n');
    expect(hint).toBe(`# yaml-language-server: $schema=../plan/schema/${name}.schema.json`);
  });
});

describe('whoever reads the accounts of a plan together', () => {
  it('serves the queue that all of them have in common', () => {
    expect(commonQueue(['eu', 'eu'])).toBe('eu');
    expect(commonQueue(['eu', undefined])).toBeUndefined();
    expect(commonQueue(['eu', 'us'])).toBeUndefined();
    expect(commonQueue([])).toBeUndefined();
  });

  it('has to know those of its targets, windows and blackouts', () => {
    const scoped = (account: string) => ({ for: { accounts: [account] } });
    const spec = {
      targets: [{ account: 'north' }, { account: 'south' }, { account: 'north' }, null],
      windows: [scoped('east'), {}],
      blackouts: [scoped('west')],
    };
    expect(accountsNamed(parseSource(stringify({ spec }), 'plan.yaml'))).toEqual(['north', 'south', 'east', 'west']);
    expect(accountsNamed(parseSource('spec: 1', 'plan.yaml'))).toEqual([]);
  });
});
