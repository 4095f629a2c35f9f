/** One row, one mistake: the whole line that a user sees, with file, line, path and remedy. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { accountsOf } from '../../plan/accounts.js';
import { InputError } from '../../plan/errors.js';
import { planOf } from '../../plan/plan.js';
import { parseSource, readSource } from '../../plan/source.js';
import { ACCOUNTS, FAKE_APIS } from './fake-api.js';

/** A plan with these lines as its `spec`, which begins at line 4. */
function plan(spec: string): string {
  return `apiVersion: uplift/v1\nkind: Rollout\nmetadata: { name: spring }\nspec:\n${spec.replace(/^/gm, '  ')}\n`;
}

/** A plan with this one target, at line 6. */
function withTarget(target: string): string {
  return plan(`targets:\n  - ${target}`);
}

const KITE = '{ service: kite-v1, account: north, id: kite-1, version: "2.0" }';
const TWO = `targets:
  - { service: kite-v1, account: north, id: kite-1, name: left, version: "2.0" }
  - { service: kite-v1, account: north, ids: [kite-2, kite-3], name: pair, version: "2.0" }`;

/** Eight levels of nine aliases each: 43 million values. */
const ALIAS_BOMB = 'abcdefgh'
  .split('')
  .map(
    (name, level, names) =>
      `${name}: &${name} [${Array.from({ length: 9 }, () => (level === 0 ? 'x' : `*${names[level - 1]}`)).join()}]`,
  )
  .join('\n');

function linesOf(act: () => unknown): string[] {
  try {
    act();
  } catch (error) {
    if (error instanceof InputError) return error.message.split('\n');
    throw error;
  }
  throw new Error('was accepted');
}

type Row = readonly [what: string, yaml: string, ...lines: string[]];

const PLANS: readonly Row[] = [
  ['empty file', '', 'plan.yaml: is empty (write the file first; examples/ has one to start from)'],
  ['only a comment', '# later\n', 'plan.yaml: is empty (write the file first; examples/ has one to start from)'],
  ['no map', 'just words', 'plan.yaml:1: must be a map (it is text now)'],
  ['a list', '- a\n- b\n', 'plan.yaml:1: must be a map (it is a list now)'],
  [
    'open bracket',
    'apiVersion: [uplift/v1\nkind: Rollout\n',
    'plan.yaml:2: is not YAML: the indentation does not fit (align it with the lines around it)',
  ],
  [
    'open quote',
    'apiVersion: "uplift/v1\n',
    'plan.yaml:2: is not YAML: a closing quote, bracket, comma or colon is missing (close what this line opens)',
  ],
  [
    'a tab',
    'apiVersion: uplift/v1\nmetadata:\n\tname: x\n',
    'plan.yaml:3: a tab is used for indentation (indent with spaces)',
  ],
  [
    'two keys on a line',
    'apiVersion: uplift/v1\nkind: Rollout: x\n',
    'plan.yaml:2: is not YAML: a second `key:` on one line (put it on a line of its own, or the value in quotes)',
  ],
  [
    'several documents',
    'apiVersion: uplift/v1\n---\nkind: Rollout\n',
    'plan.yaml:2: a second YAML document begins here (keep one document to a file)',
  ],
  [
    'a duplicate key',
    'apiVersion: uplift/v1\nkind: Rollout\nkind: Rollout\n',
    'plan.yaml:3: this key stands twice in the same map (keep one of the two)',
  ],
  ['an unknown tag', 'apiVersion: !env VERSION\n', 'plan.yaml:1: a YAML tag (`!…`) that is not known (remove the tag)'],
  [
    'an alias without anchor',
    'apiVersion: *version\n',
    'plan.yaml:1: an alias has no anchor before it (write `&name` at the first use, or write it out)',
  ],
  [
    'an alias in itself',
    'apiVersion: &a [*a]\n',
    'plan.yaml:1: an alias stands inside its own anchor (write the value out)',
  ],
  [
    'an alias bomb',
    ALIAS_BOMB,
    'plan.yaml: expands its aliases too often (write the values out instead of nesting aliases)',
  ],
  ['a key that is a list', '? [a, b]\n: 1\n', 'plan.yaml:1: a key is not plain text (use a plain word as key)'],
  ['nested too deeply', `a: ${'['.repeat(20_000)}`, 'plan.yaml:1: is nested too deeply (flatten it)'],
  [
    'wrong apiVersion',
    plan(`targets:\n  - ${KITE}`).replace('uplift/v1', 'uplift/v2'),
    'plan.yaml:1: apiVersion: "uplift/v2" is not accepted (write uplift/v1)',
  ],
  [
    'wrong kind',
    plan(`targets:\n  - ${KITE}`).replace('Rollout', 'rollout'),
    'plan.yaml:2: kind: "rollout" is not accepted (write Rollout)',
  ],
  [
    'no name',
    plan(`targets:\n  - ${KITE}`).replace('{ name: spring }', '{}'),
    'plan.yaml:3: metadata.name: is missing (add it, as text)',
  ],
  [
    'a name for no host',
    plan(`targets:\n  - ${KITE}`).replace('spring', 'Spring_2026'),
    'plan.yaml:3: metadata.name: "Spring_2026" does not have the right form (use lower-case letters, digits and hyphens inside, at most 40)',
  ],
  [
    'a name too long',
    plan(`targets:\n  - ${KITE}`).replace('spring', 'a'.repeat(41)),
    'plan.yaml:3: metadata.name: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" does not have the right form (use lower-case letters, digits and hyphens inside, at most 40)',
  ],
  [
    'no spec',
    'apiVersion: uplift/v1\nkind: Rollout\nmetadata: { name: spring }\n',
    'plan.yaml:1: spec: is missing (add it, as a map)',
  ],
  [
    'no targets',
    plan('waves: []'),
    'plan.yaml:4: spec.targets: is missing (add it, as a list)',
    'plan.yaml:5: spec.waves: is empty (give at least one)',
  ],
  ['empty targets', plan('targets: []'), 'plan.yaml:5: spec.targets: is empty (give at least one)'],
  ['targets as a map', plan('targets: { a: 1 }'), 'plan.yaml:5: spec.targets: must be a list (it is a map now)'],
  [
    'unknown key',
    plan(`target: []\ntargets:\n  - ${KITE}`),
    'plan.yaml:5: spec.target: is not a known key (did you mean targets? Known: targets, waves, groups, limits, roles, approval, failureBudget, minSuccess, quarantineAfter, windows, blackouts, startBy, …)',
  ],
  [
    'unknown option',
    withTarget('{ service: kite-v1, account: north, id: kite-1, version: "2.0", froce: true }'),
    'plan.yaml:6: spec.targets[0].froce: is not a known key (did you mean force? Known: service, name, account, id, ids, select, after, version, force, acknowledged)',
  ],
  [
    'an option of another world',
    withTarget('{ service: kite-v1, account: north, id: kite-1, version: "2.0", deleteFirst: true }'),
    'plan.yaml:6: spec.targets[0].deleteFirst: is not a known key (use one of: service, name, account, id, ids, select, after, version, force, acknowledged)',
  ],
  [
    'unknown service',
    withTarget('{ service: kite-v3, account: north, id: kite-1, version: "2.0" }'),
    'plan.yaml:6: spec.targets[0].service: "kite-v3" is not a known service (did you mean kite-v1? Known: kite-v1, kite-v2, balloon)',
  ],
  [
    'a service like none',
    withTarget('{ service: submarine, account: north, id: kite-1, version: "2.0" }'),
    'plan.yaml:6: spec.targets[0].service: "submarine" is not a known service (use one of: kite-v1, kite-v2, balloon)',
  ],
  [
    'no service',
    withTarget('{ account: north, id: kite-1, version: "2.0" }'),
    'plan.yaml:6: spec.targets[0].service: is missing (add it: kite-v1, kite-v2, balloon)',
  ],
  [
    'a version as number',
    withTarget('{ service: kite-v1, account: north, id: kite-1, version: 1.10 }'),
    'plan.yaml:6: spec.targets[0].version: must be text, and without quotes it is a number (put it in quotes: "1.10")',
  ],
  [
    'a version of no form',
    withTarget('{ service: kite-v1, account: north, id: kite-1, version: latest }'),
    'plan.yaml:6: spec.targets[0].version: "latest" does not have the right form (use digits and dots, as in 2.4.1)',
  ],
  [
    'no version',
    withTarget('{ service: kite-v1, account: north, id: kite-1 }'),
    'plan.yaml:6: spec.targets[0].version: is missing (add it, as text)',
  ],
  [
    'no id',
    withTarget('{ service: kite-v1, account: north, version: "2.0" }'),
    'plan.yaml:6: spec.targets[0]: must have exactly one of `id`, `ids` and `select` (give the id of one resource, a list of ids that share these settings, or a selector)',
  ],
  [
    'id and ids',
    withTarget('{ service: kite-v1, account: north, id: kite-1, ids: [kite-2], version: "2.0" }'),
    'plan.yaml:6: spec.targets[0]: must have exactly one of `id`, `ids` and `select` (give the id of one resource, a list of ids that share these settings, or a selector)',
  ],
  [
    'a wrong id',
    withTarget('{ service: kite-v1, account: north, id: ../kite-1, version: "2.0" }'),
    'plan.yaml:6: spec.targets[0].id: "../kite-1" is not an id of kite-v1 (use an id such as kite-7)',
  ],
  [
    'a wrong id in a list',
    plan(
      'targets:\n  - service: kite-v1\n    account: north\n    version: "2.0"\n    ids:\n      - kite-1\n      - kites-2',
    ),
    'plan.yaml:11: spec.targets[0].ids[1]: "kites-2" is not an id of kite-v1 (use an id such as kite-7)',
  ],
  [
    'unknown account',
    withTarget('{ service: kite-v1, account: nort, id: kite-1, version: "2.0" }'),
    'plan.yaml:6: spec.targets[0].account: "nort" is no account of the accounts file (did you mean north? Known: north, north-too, south, ali, rehearsal)',
  ],
  [
    'an account of another cloud',
    withTarget('{ service: balloon, account: north, id: kite-1, version: "2.0" }'),
    'plan.yaml:6: spec.targets[0].account: "north" is an account of huawei, and balloon is alibaba (use ali)',
  ],
  [
    'an objection',
    withTarget('{ service: kite-v1, account: north, id: kite-1, version: "2.0", force: true }'),
    'plan.yaml:6: spec.targets[0]: force cuts the string, and nobody acknowledged that (correct this target, or remove it)',
  ],
  [
    'a duplicate',
    plan(`targets:\n  - ${KITE}\n  - ${KITE}`),
    'plan.yaml:7: spec.targets[1].id: kite kite-1 in cn-north-4 is spec.targets[0] (line 6) already (keep one of the two)',
  ],
  [
    'one by both API versions',
    plan(`targets:\n  - ${KITE}\n  - ${KITE.replace('v1', 'v2')}`),
    'plan.yaml:7: spec.targets[1].id: kite kite-1 in cn-north-4 is spec.targets[0] (line 6) already (keep one of the two)',
  ],
  [
    'one by two accounts',
    plan(`targets:\n  - ${KITE}\n  - ${KITE.replace('north', 'north-too')}`),
    'plan.yaml:7: spec.targets[1].id: kite kite-1 in cn-north-4 is spec.targets[0] (line 6) already (keep one of the two)',
  ],
  [
    'twice in ids',
    withTarget('{ service: kite-v1, account: north, ids: [kite-1, kite-1], version: "2.0" }'),
    'plan.yaml:6: spec.targets[0].ids[1]: kite kite-1 in cn-north-4 is spec.targets[0].ids[0] (line 6) already (keep one of the two)',
  ],
  [
    'two targets of one name',
    plan(
      `targets:\n  - ${KITE.replace('id:', 'name: a, id:')}\n  - ${KITE.replace('kite-1', 'kite-2').replace('id:', 'name: a, id:')}`,
    ),
    'plan.yaml:7: spec.targets[1].name: "a" is the name of spec.targets[0] too (give it another name)',
  ],
  [
    'several mistakes at once',
    plan(
      `targets:\n  - ${KITE.replace('north', 'nrth')}\n  - ${KITE.replace('kite-1', 'k1')}\nfailureBudget: { mode: hard }`,
    ),
    'plan.yaml:6: spec.targets[0].account: "nrth" is no account of the accounts file (did you mean north? Known: north, north-too, south, ali, rehearsal)',
    'plan.yaml:7: spec.targets[1].id: "k1" is not an id of kite-v1 (use an id such as kite-7)',
    'plan.yaml:8: spec.failureBudget.mode: "hard" is not accepted (use one of: strict, loose)',
  ],
  [
    'two waves of one name',
    plan(`${TWO}\nwaves:\n  - { name: a, targets: [left] }\n  - { name: a, rest: true }`),
    'plan.yaml:10: spec.waves[1].name: "a" is the name of spec.waves[0] too (give it another name)',
  ],
  [
    'a wave of nothing',
    plan(`${TWO}\nwaves:\n  - { name: a }`),
    'plan.yaml:9: spec.waves[0]: must have exactly one of `targets`, `select`, `percent` and `rest` (say which targets it takes, in one way)',
  ],
  [
    'a wave of two kinds',
    plan(`${TWO}\nwaves:\n  - { name: a, percent: 10, rest: true }`),
    'plan.yaml:9: spec.waves[0]: must have exactly one of `targets`, `select`, `percent` and `rest` (say which targets it takes, in one way)',
  ],
  [
    'rest before the end',
    plan(`${TWO}\nwaves:\n  - { name: a, rest: true }\n  - { name: b, targets: [left] }`),
    'plan.yaml:9: spec.waves[0].rest: only the last wave can take the rest (move this wave to the end)',
  ],
  [
    'rest of nothing',
    plan(`${TWO}\nwaves:\n  - { name: a, targets: [left, pair] }\n  - { name: b, rest: true }`),
    'plan.yaml:10: spec.waves[1].rest: nothing is left for this wave (remove it)',
  ],
  [
    'an unknown target in a wave',
    plan(`${TWO}\nwaves:\n  - { name: a, targets: [lft] }\n  - { name: b, rest: true }`),
    'plan.yaml:9: spec.waves[0].targets[0]: "lft" is no target of this plan (did you mean left? Known: left, kite-1, pair, kite-2, kite-3)',
  ],
  [
    'a target in two waves',
    plan(`${TWO}\nwaves:\n  - { name: a, targets: [left] }\n  - { name: b, targets: [kite-1, pair] }`),
    'plan.yaml:10: spec.waves[1].targets[0]: "kite-1" is in wave "a" already (list each target once)',
  ],
  [
    'a target in no wave',
    plan(`${TWO}\nwaves:\n  - { name: a, targets: [left, kite-3] }`),
    'plan.yaml:8: spec.waves: no wave takes spec.targets[1].ids[0] (kite-2) (add a last wave with `rest: true`)',
  ],
  [
    'a share of nothing',
    plan(`${TWO}\nwaves:\n  - { name: a, percent: 5 }\n  - { name: b, rest: true }`),
    'plan.yaml:9: spec.waves[0].percent: takes nothing: 5 % of 3 = 0 (raise it, or list targets)',
  ],
  [
    'more waves than a history has room for',
    plan(`${TWO}\nwaves:\n${Array.from({ length: 51 }, (_, at) => `  - { name: w${at}, percent: 1 }`).join('\n')}`),
    'plan.yaml:8: spec.waves: has more than 50 entries (put some of them together)',
  ],
  [
    'more than is left',
    plan(`${TWO}\nwaves:\n  - { name: a, targets: [pair] }\n  - { name: b, percent: 70 }`),
    'plan.yaml:10: spec.waves[1].percent: 70 % of 3 = 2, and 1 left for it (lower it, or use `rest: true`)',
  ],
  [
    'more than everything',
    plan(`${TWO}\nwaves:\n  - { name: a, percent: 101 }`),
    'plan.yaml:9: spec.waves[0].percent: must be at most 100 (use a smaller number)',
  ],
  [
    'no concurrency',
    plan(`${TWO}\nwaves:\n  - { name: a, concurrency: 0, rest: true }`),
    'plan.yaml:9: spec.waves[0].concurrency: must be more than 0 (use a larger number)',
  ],
  [
    'half a concurrency',
    plan(`${TWO}\nwaves:\n  - { name: a, concurrency: 1.5, rest: true }`),
    'plan.yaml:9: spec.waves[0].concurrency: must be a whole number (round it)',
  ],
  [
    'rest: false',
    plan(`${TWO}\nwaves:\n  - { name: a, rest: false }`),
    'plan.yaml:9: spec.waves[0].rest: false is not accepted (write true)',
  ],
  [
    'an ambiguous word',
    plan(
      `targets:\n  - ${KITE}\n  - ${KITE.replace('north', 'south')}\nwaves:\n  - { name: a, targets: [kite-1] }\n  - { name: b, rest: true }`,
    ),
    'plan.yaml:9: spec.waves[0].targets[0]: "kite-1" means spec.targets[0] and spec.targets[1] (give these targets a `name` each and list that)',
  ],
  [
    'a negative budget',
    plan(`${TWO}\nfailureBudget: { max: -1 }`),
    'plan.yaml:8: spec.failureBudget.max: must be at least 0 (use a larger number)',
  ],
  [
    'a budget in words',
    plan(`${TWO}\nfailureBudget: { max: few }`),
    'plan.yaml:8: spec.failureBudget.max: "few" does not have the right form (use a whole number (2) or a percentage of all targets ("5%", two decimals at most))',
  ],
  [
    'a budget of 101 %',
    plan(`${TWO}\nfailureBudget: { max: 101% }`),
    'plan.yaml:8: spec.failureBudget.max: "101%" does not have the right form (use a whole number (2) or a percentage of all targets ("5%", two decimals at most))',
  ],
  [
    'an account over two lines',
    withTarget('{ service: kite-v1, account: "no\\nrth", id: kite-1, version: "2.0" }'),
    'plan.yaml:6: spec.targets[0].account: "no\\nrth" is no account of the accounts file (did you mean north? Known: north, north-too, south, ali, rehearsal)',
  ],
  [
    'a key over two lines',
    withTarget('{ service: kite-v1, account: north, id: kite-1, version: "2.0", "a\\nb": 1 }'),
    'plan.yaml:6: spec.targets[0]."a\\nb": is not a known key (use one of: service, name, account, id, ids, select, after, version, force, acknowledged)',
  ],
  [
    'an unknown mode',
    plan(`${TWO}\nfailureBudget: { max: 1, mode: lose }`),
    'plan.yaml:8: spec.failureBudget.mode: "lose" is not accepted (did you mean loose? Known: strict, loose)',
  ],
  [
    'time turned off',
    plan(`${TWO}\ntimeScale: 0`),
    'plan.yaml:8: spec.timeScale: must be more than 0 (use a larger number)',
  ],
  [
    'time made slower',
    plan(`${TWO}\ntimeScale: 2`),
    'plan.yaml:8: spec.timeScale: must be at most 1 (use a smaller number)',
  ],
  [
    'a rehearsal at a real cloud',
    plan(`${TWO}\ntimeScale: 0.1`),
    'plan.yaml:8: spec.timeScale: is for rehearsals against the simulator, and account "north" reaches kite at a real cloud (remove it)',
  ],
];

const ACCOUNT_FILES: readonly Row[] = [
  ['empty', '', 'accounts.yaml: is empty (write the file first; examples/ has one to start from)'],
  ['accounts is empty', 'accounts: {}\n', 'accounts.yaml:1: accounts: is empty (name at least one account)'],
  [
    'no accounts',
    'account:\n  a: { cloud: huawei }\n',
    'accounts.yaml:1: accounts: is missing (add it, as a map)',
    'accounts.yaml:1: account: is not a known key (did you mean accounts? Known: accounts, webhooks)',
  ],
  [
    'an odd name',
    'accounts:\n  "a b": { cloud: alibaba, region: cn-hangzhou }\n',
    'accounts.yaml:2: accounts.a b: is not a usable name (use letters, digits, dots and hyphens, at most 63)',
  ],
  [
    'unknown cloud',
    'accounts:\n  a: { cloud: huawai, region: cn-north-4, projectId: p }\n',
    'accounts.yaml:2: accounts.a.cloud: its value is not a known cloud (did you mean huawei? Known: huawei, alibaba)',
  ],
  [
    'no region',
    'accounts:\n  a: { cloud: alibaba }\n',
    'accounts.yaml:2: accounts.a.region: is missing (add it, as text)',
  ],
  [
    'a project without an id',
    'accounts:\n  a: { cloud: huawei, region: cn-north-4, projectId: "" }\n',
    "accounts.yaml:2: accounts.a.projectId: its value does not have the right form (use the project's id (console: My Credentials))",
  ],
  [
    'IAM where there is none',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, endpoints: { iam: "https://iam.example.com" } }\n',
    'accounts.yaml:2: accounts.a.endpoints.iam: is not a known key (use one of: balloon)',
  ],
  [
    'a project where there is none',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, projectId: p }\n',
    'accounts.yaml:2: accounts.a.projectId: this cloud has no projects (remove it)',
  ],
  [
    'a secret key',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, accessKeySecret: hunter2 }\n',
    'accounts.yaml:2: accounts.a.accessKeySecret: a secret has no place in this file (remove it; credentials come from the environment or a file: `credentials: { env: PREFIX }` or `{ file: path }`)',
  ],
  [
    'sk',
    'accounts:\n  a: { cloud: huawei, region: cn-north-4, projectId: p, ak: hunter2, sk: hunter2 }\n',
    'accounts.yaml:2: accounts.a.ak: a secret has no place in this file (remove it; credentials come from the environment or a file: `credentials: { env: PREFIX }` or `{ file: path }`)',
    'accounts.yaml:2: accounts.a.sk: a secret has no place in this file (remove it; credentials come from the environment or a file: `credentials: { env: PREFIX }` or `{ file: path }`)',
  ],
  [
    'a password in credentials',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, credentials: { password: hunter2 } }\n',
    'accounts.yaml:2: accounts.a.credentials.password: a secret has no place in this file (remove it; credentials come from the environment or a file: `credentials: { env: PREFIX }` or `{ file: path }`)',
    'accounts.yaml:2: accounts.a.credentials: must have either `env` or `file` (give exactly one of the two)',
  ],
  [
    'credentials as text',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, credentials: hunter2 }\n',
    'accounts.yaml:2: accounts.a.credentials: must be a map (it is text now)',
  ],
  [
    'a secret as prefix',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, credentials: { env: hunter2 } }\n',
    'accounts.yaml:2: accounts.a.credentials.env: its value does not have the right form (give the prefix of the environment variables, as in CLOUD_SDK)',
  ],
  [
    'both sources',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, credentials: { env: A_B, file: x } }\n',
    'accounts.yaml:2: accounts.a.credentials: must have either `env` or `file` (give exactly one of the two)',
  ],
  [
    'no source',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, credentials: {} }\n',
    'accounts.yaml:2: accounts.a.credentials: must have either `env` or `file` (give exactly one of the two)',
  ],
  [
    'an endpoint of an unknown service',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, endpoints: { baloon: "https://x" } }\n',
    'accounts.yaml:2: accounts.a.endpoints.baloon: is not a known key (did you mean balloon?)',
  ],
  [
    'an endpoint that is no URL',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, endpoints: { balloon: 127.0.0.1 } }\n',
    'accounts.yaml:2: accounts.a.endpoints.balloon: is not an absolute URL (use scheme, host and port only, as in https://ges.cn-north-4.myhuaweicloud.com)',
  ],
  [
    'an endpoint of another scheme',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, endpoints: { balloon: "ftp://x" } }\n',
    'accounts.yaml:2: accounts.a.endpoints.balloon: is neither http nor https (use scheme, host and port only, as in https://ges.cn-north-4.myhuaweicloud.com)',
  ],
  [
    'an endpoint with credentials',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, endpoints: { balloon: "https://me:hunter2@x" } }\n',
    'accounts.yaml:2: accounts.a.endpoints.balloon: holds credentials (remove it; credentials come from the environment or a file: `credentials: { env: PREFIX }` or `{ file: path }`)',
  ],
  [
    'an endpoint with a path',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, endpoints: { balloon: "https://x/hunter2" } }\n',
    'accounts.yaml:2: accounts.a.endpoints.balloon: has a path or query (use scheme, host and port only, as in https://ges.cn-north-4.myhuaweicloud.com)',
  ],
  [
    'plain http',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, endpoints: { balloon: "http://10.0.0.1:80" } }\n',
    'accounts.yaml:2: accounts.a.endpoints.balloon: is plain http beyond loopback (use https, or set `allowPlainHttp: true`)',
  ],
  [
    'plain http that looks like loopback',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, endpoints: { balloon: "http://127.0.0.1.evil.test" } }\n',
    'accounts.yaml:2: accounts.a.endpoints.balloon: is plain http beyond loopback (use https, or set `allowPlainHttp: true`)',
  ],
  [
    'no rate',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, rates: { reads: 0 } }\n',
    'accounts.yaml:2: accounts.a.rates.reads: must be more than 0 (use a larger number)',
  ],
  [
    'a rate as text',
    'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou, rates: { writes: "hunter2" } }\n',
    'accounts.yaml:2: accounts.a.rates.writes: must be a number (it is text now)',
  ],
  [
    'a yaml mistake after a secret',
    'accounts:\n  a: { secretKey: hunter2\n',
    'accounts.yaml:3: is not YAML: the indentation does not fit (align it with the lines around it)',
  ],
];

/** Plans that name webhooks, where there are `ops` and `pager`. */
const NOTIFIED: readonly Row[] = [
  [
    'a webhook that is not there',
    plan(`targets:\n  - ${KITE}\nnotify:\n  - { webhook: opps }`),
    'plan.yaml:8: spec.notify[0].webhook: "opps" is no webhook of the accounts file (did you mean ops? Known: ops, pager)',
  ],
  [
    'a webhook that is told twice',
    plan(`targets:\n  - ${KITE}\nnotify:\n  - { webhook: ops }\n  - { webhook: ops, events: [done] }`),
    'plan.yaml:9: spec.notify[1].webhook: "ops" is told twice (join the two)',
  ],
  [
    'an event that there is not',
    plan(`targets:\n  - ${KITE}\nnotify:\n  - { webhook: ops, events: [finished] }`),
    'plan.yaml:8: spec.notify[0].events[0]: "finished" is not accepted (use one of: in-24h, in-1h, opened, overrun-risk, closed, approval-wanted, failed, stuck, done)',
  ],
  [
    'an address in the plan',
    plan(`targets:\n  - ${KITE}\nnotify:\n  - { webhook: ops, url: "https://hooks.example/hunter2" }`),
    'plan.yaml:8: spec.notify[0].url: is not a known key (use one of: webhook, events)',
  ],
  ['nobody', plan(`targets:\n  - ${KITE}\nnotify: []`), 'plan.yaml:7: spec.notify: is empty (give at least one)'],
  [
    'an overrun that nobody is told of',
    plan(`targets:\n  - ${KITE}\noverrun: notify\nnotify:\n  - { webhook: ops, events: [done] }`),
    'plan.yaml:7: spec.overrun: has nobody to tell (add `notify`, with overrun-risk among its events where it names some)',
  ],
  [
    'an overrun that is told and is not',
    plan(`targets:\n  - ${KITE}\noverrun: finish\nnotify:\n  - { webhook: ops, events: [done, overrun-risk] }`),
    'plan.yaml:9: spec.notify[0].events: wants overrun-risk, and `overrun: finish` tells nobody (drop one of the two)',
  ],
];

const ACCOUNT = 'accounts:\n  a: { cloud: alibaba, region: cn-hangzhou }\n';

/** Files whose webhooks cannot be used. */
const WEBHOOKS: readonly Row[] = [
  [
    'an address as text',
    `${ACCOUNT}webhooks:\n  ops: { url: "https://hooks.example/hunter2" }\n`,
    'accounts.yaml:4: webhooks.ops.url: must be a map (it is text now)',
  ],
  [
    'an address from two places',
    `${ACCOUNT}webhooks:\n  ops: { url: { env: OPS, file: ./hunter2 } }\n`,
    'accounts.yaml:4: webhooks.ops.url: must have either `env` or `file` (give exactly one of the two; the text itself has no place in this file)',
  ],
  [
    'an address as the name of a variable',
    `${ACCOUNT}webhooks:\n  ops: { url: { env: "https://hooks.example/hunter2" } }\n`,
    'accounts.yaml:4: webhooks.ops.url.env: its value does not have the right form (give the name of an environment variable)',
  ],
  [
    'a header that the request sets',
    `${ACCOUNT}webhooks:\n  ops: { url: { env: OPS }, header: { name: Host, value: { env: HOST } } }\n`,
    'accounts.yaml:4: webhooks.ops.header.name: is set by the request itself (use another header)',
  ],
  [
    'an unknown format',
    `${ACCOUNT}webhooks:\n  ops: { url: { env: OPS }, format: teams }\n`,
    'accounts.yaml:4: webhooks.ops.format: its value is not accepted (use one of: json, slack)',
  ],
];

describe('a plan is refused', () => {
  it.each(PLANS)('%s', (_, yaml, ...lines) => {
    expect(linesOf(() => planOf(parseSource(yaml, 'plan.yaml'), { apis: FAKE_APIS, accounts: ACCOUNTS }))).toEqual(
      lines,
    );
  });
});

describe('a plan that tells people is refused', () => {
  it.each(NOTIFIED)('%s', (_, yaml, ...lines) => {
    const context = { apis: FAKE_APIS, accounts: ACCOUNTS, webhooks: ['ops', 'pager'] };
    expect(linesOf(() => planOf(parseSource(yaml, 'plan.yaml'), context))).toEqual(lines);
  });
});

describe('an accounts file is refused', () => {
  it.each([...ACCOUNT_FILES, ...WEBHOOKS])('%s', (_, yaml, ...lines) => {
    const refused = linesOf(() => accountsOf(parseSource(yaml, 'accounts.yaml'), FAKE_APIS));
    expect(refused).toEqual(lines);
    expect(refused.join()).not.toContain('hunter2');
  });
});

describe('a file is refused', () => {
  const folder = mkdtempSync(join(tmpdir(), 'uplift-input-'));
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  it('that is not there', () => {
    expect(linesOf(() => readSource(join(folder, 'none.yaml')))).toEqual([
      `${folder}/none.yaml: there is no such file (check the path)`,
    ]);
  });
  it('that is a directory', () => {
    expect(linesOf(() => readSource(folder))).toEqual([`${folder}: is a directory (name the file in it)`]);
  });
  it('that is not text', () => {
    writeFileSync(join(folder, 'binary'), Buffer.from([0xff, 0xfe, 0x00]));
    expect(linesOf(() => readSource(join(folder, 'binary')))).toEqual([
      `${folder}/binary: is not UTF-8 text (save it as UTF-8)`,
    ]);
  });
  it('that is far too large', () => {
    writeFileSync(join(folder, 'large'), Buffer.alloc(17 * 1024 * 1024, '#'));
    expect(linesOf(() => readSource(join(folder, 'large')))).toEqual([
      `${folder}/large: is larger than 16 MiB (split it into several files)`,
    ]);
  });
});
