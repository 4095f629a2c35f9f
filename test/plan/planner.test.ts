import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { z } from 'zod';
import type { Clock } from '../../activities/clock.js';
import { AccountError, CloudError } from '../../activities/clouds/errors.js';
import type { CloudReader, ErrorClass, ReadRequest } from '../../activities/clouds/port.js';
import type { Sessions } from '../../activities/clouds/sessions.js';
import type { PreparedPlan, PreparedTarget } from '../../activities/planner.js';
import { planProblems, preparePlan, refusals, toRolloutInput } from '../../activities/planner.js';
import { InputError } from '../../plan/errors.js';
import type { RolloutPlan } from '../../plan/plan.js';
import { planOf } from '../../plan/plan.js';
import { parseSource } from '../../plan/source.js';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { ACCOUNTS, FAKE_APIS } from './fake-api.js';

const READY = { name: 'Red one', status: 'flying', condition: 'ready', version: '1.0' };
const GOOD_CHECK = { check: 'wind', status: 'success', problems: [] };

/** What the cloud answers for one kite: values, or errors to throw, each for one read; the last one stays. */
type Answers = readonly unknown[];

/** A cloud that answers reads from a script and counts them; it has no way to take a submit. */
class ScriptedCloud implements Sessions, Clock {
  readonly requests: ReadRequest[] = [];
  readonly sleeps: number[] = [];
  inFlight = 0;
  mostInFlight = 0;
  private readonly state: Readonly<Record<string, Answers>>;
  private readonly dryRun: Readonly<Record<string, Answers>>;
  private readonly seen = new Map<string, number>();

  constructor(state: Record<string, Answers>, dryRun: Record<string, Answers> = {}) {
    this.state = state;
    this.dryRun = dryRun;
  }

  async reader(_: unknown, account: string): Promise<CloudReader> {
    if (account === 'south') throw new AccountError('environment variable CLOUD_SDK_AK is not set (export it)');
    return {
      region: 'r',
      projectId: 'p1',
      now: () => 0,
      read: (request, schema) => this.read(request, schema),
      readWithHeaders: () => Promise.reject(new Error('not used')),
    };
  }

  sender(): never {
    throw new Error('a plan must not open a sender');
  }

  admit(): never {
    throw new Error('a plan must not open a sender');
  }

  now(): number {
    return 0;
  }

  sleep(ms: number): Promise<void> {
    this.sleeps.push(ms);
    return Promise.resolve();
  }

  private async read<T>(request: ReadRequest, schema: z.ZodType<T>): Promise<T> {
    this.requests.push(request);
    this.inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    await new Promise((resolve) => setImmediate(resolve));
    this.inFlight -= 1;
    const id = request.path[1] ?? '';
    const isDryRun = request.query?.['dryRun'] === 'true';
    const answers = (isDryRun ? this.dryRun[id] : this.state[id]) ?? [isDryRun ? { findings: [] } : READY];
    const key = `${id} ${String(isDryRun)}`;
    const turn = this.seen.get(key) ?? 0;
    this.seen.set(key, turn + 1);
    const answer = answers[Math.min(turn, answers.length - 1)];
    if (answer instanceof Error) throw answer;
    return schema.parse(answer);
  }
}

function cloudError(errorClass: ErrorClass, message = `GET /kites: ${errorClass}`): CloudError {
  return new CloudError(message, {
    errorClass,
    call: 'GET /kites',
    status: null,
    code: null,
    requestId: null,
    sent: true,
  });
}

function planFor(count: number, target: object = {}, more: object = {}): RolloutPlan {
  const ids = Array.from({ length: count }, (_, index) => `kite-${index + 1}`);
  const targets = [{ service: 'kite-v1', account: 'north', ids, version: '2.0', ...target }];
  const document = {
    apiVersion: 'uplift/v1',
    kind: 'Rollout',
    metadata: { name: 'spring' },
    spec: { targets, ...more },
  };
  return planOf(parseSource(stringify(document), 'plan.yaml'), { apis: FAKE_APIS, accounts: ACCOUNTS });
}

function prepare(plan: RolloutPlan, cloud: ScriptedCloud, concurrency?: number): Promise<PreparedPlan> {
  return preparePlan({ plan, accounts: ACCOUNTS, sessions: cloud, apis: FAKE_APIS, clock: cloud, concurrency });
}

/** The one target of a plan for `kite-1`. */
async function prepareOne(cloud: ScriptedCloud, target: object = {}): Promise<PreparedTarget> {
  const prepared = await prepare(planFor(1, target), cloud);
  const [only] = prepared.waves[0]?.targets ?? [];
  if (only === undefined) throw new Error('the plan lost its target');
  expect(prepared.counts[only.verdict]).toBe(1);
  return only;
}

describe('a target', () => {
  it('that can be upgraded shows the call that would follow, without its token', async () => {
    const cloud = new ScriptedCloud({}, { 'kite-1': [{ findings: [GOOD_CHECK] }] });
    expect(await prepareOne(cloud)).toEqual({
      place: { file: 'plan.yaml', line: 10, path: 'spec.targets[0].ids[0]' },
      resource: {
        account: 'north',
        cloud: 'huawei',
        service: 'kite-v1',
        family: 'kite',
        region: 'cn-north-4',
        id: 'kite-1',
      },
      name: 'Red one',
      tags: {},
      status: 'flying',
      from: '1.0',
      snapshot: { version: '1.0', status: 'flying', size: null, tags: {} },
      standing: 'below',
      target: { version: '2.0' },
      to: '2.0',
      findings: [GOOD_CHECK],
      verdict: 'upgrade',
      reason: 'version 1.0, status flying',
      remedy: null,
      call: {
        method: 'POST',
        path: '/v1/p1/kites/kite-1/upgrade?clientToken=(made at submit)',
        body: { version: '2.0' },
      },
    });
  });

  it('is checked by a dry run whose token is its own each time, ASCII and at most 64 characters', async () => {
    const tokens: string[] = [];
    for (let run = 0; run < 2; run += 1) {
      const cloud = new ScriptedCloud({});
      await prepareOne(cloud);
      const posts = cloud.requests.filter(({ method }) => method === 'POST');
      expect(posts.map(({ query }) => query?.['dryRun'])).toEqual(['true']);
      tokens.push(posts[0]?.query?.['clientToken'] ?? '');
    }
    expect(new Set(tokens).size).toBe(2);
    for (const token of tokens) expect(token).toMatch(/^[\x21-\x7e]{1,64}$/);
  });

  it.each([
    ['at its target', { version: '2.0' }, 'no-change', 'is at its target: version 2.0, status flying'],
    ['being upgraded', { condition: 'upgrading' }, 'running', 'an upgrade is running: version 1.0, status flying'],
    ['busy', { condition: 'busy' }, 'busy', 'busy: version 1.0, status flying'],
    ['rolling back', { condition: 'rolling-back' }, 'busy', 'busy: version 1.0, status flying'],
    ['stopped', { condition: 'stopped' }, 'blocked', 'takes no upgrade: version 1.0, status flying'],
    ['broken', { condition: 'broken' }, 'blocked', 'takes no upgrade: version 1.0, status flying'],
    ['above its target', { version: '2.1' }, 'error', 'target 2.0 is not above the current version 2.1'],
    ['of an odd version', { version: 'dev' }, 'error', 'version dev cannot be compared with the target 2.0'],
  ])('%s', async (_, state, verdict, reason) => {
    const cloud = new ScriptedCloud({ 'kite-1': [{ ...READY, ...state }] });
    expect(await prepareOne(cloud)).toMatchObject({ verdict, reason, name: 'Red one' });
    expect(cloud.requests.filter(({ method }) => method === 'POST')).toEqual([]);
  });

  it('is blocked by a check that is no success, and shows all checks', async () => {
    const failed = {
      check: 'string',
      status: 'failed',
      problems: [{ type: 'knot', code: 'Loose', message: 'tie it' }],
    };
    const cloud = new ScriptedCloud({}, { 'kite-1': [{ findings: [GOOD_CHECK, failed] }] });
    expect(await prepareOne(cloud)).toMatchObject({
      verdict: 'blocked',
      reason: 'precheck failed: string failed: knot Loose tie it',
      findings: [GOOD_CHECK, failed],
      remedy: 'mend what the checks name, then plan again',
    });
  });

  it('is mended in the plan where a check says so', async () => {
    const failed = { check: 'offer', status: 'failed', problems: [], remedy: 'set its version to 1.5' };
    const cloud = new ScriptedCloud({}, { 'kite-1': [{ findings: [GOOD_CHECK, failed] }] });
    expect(await prepareOne(cloud)).toMatchObject({ verdict: 'blocked', remedy: 'set its version to 1.5' });
  });

  it.each([
    ['not-found', 'error', 'check the id, and that account "north" is the right one for cn-north-4'],
    ['denied', 'error', 'check the credentials of account "north" and their right to read kite'],
    ['token', 'error', 'renew the credentials of account "north"'],
    ['clock-skew', 'error', "set this machine's clock"],
    ['permanent', 'error', 'correct the target, or remove it'],
    ['busy', 'busy', null],
  ] as const)('whose read is answered %s', async (errorClass, verdict, remedy) => {
    const cloud = new ScriptedCloud({ 'kite-1': [cloudError(errorClass)] });
    const expected = { verdict, remedy, reason: `GET /kites: ${errorClass}`, name: null, from: null, call: null };
    expect(await prepareOne(cloud)).toMatchObject(expected);
    expect(cloud.sleeps).toEqual([]);
  });

  it('of an account without credentials names what is missing', async () => {
    expect(await prepareOne(new ScriptedCloud({}), { account: 'south' })).toMatchObject({
      verdict: 'error',
      reason: 'environment variable CLOUD_SDK_AK is not set',
      remedy: 'export it',
    });
  });

  it('is read again after an error that may pass', async () => {
    const cloud = new ScriptedCloud({ 'kite-1': [cloudError('transient'), cloudError('throttled'), READY] });
    expect(await prepareOne(cloud)).toMatchObject({ verdict: 'upgrade' });
    expect(cloud.sleeps).toEqual([500, 1_000]);
  });

  it('that stays unreachable is an error after four tries', async () => {
    const cloud = new ScriptedCloud({ 'kite-1': [cloudError('transient', 'connect ECONNREFUSED 127.0.0.1:1')] });
    expect(await prepareOne(cloud)).toMatchObject({
      verdict: 'error',
      reason: 'connect ECONNREFUSED 127.0.0.1:1',
      remedy: 'check `endpoints.kite` of account "north" and the network, then try again',
    });
    expect(cloud.requests).toHaveLength(4);
    expect(cloud.sleeps).toEqual([500, 1_000, 2_000]);
  });

  it('keeps what was read when only its dry run fails', async () => {
    const cloud = new ScriptedCloud({}, { 'kite-1': [cloudError('denied')] });
    expect(await prepareOne(cloud)).toMatchObject({
      verdict: 'error',
      from: '1.0',
      name: 'Red one',
      tags: {},
      standing: 'below',
    });
  });
});

describe('a plan', () => {
  const mixed = (): ScriptedCloud =>
    new ScriptedCloud({
      'kite-1': [cloudError('not-found')],
      'kite-2': [{ ...READY, version: '2.0' }],
      'kite-4': [{ ...READY, version: '9.0' }],
    });

  it('collects every problem, each with its place', async () => {
    const prepared = await prepare(planFor(4), mixed());
    expect(prepared.counts).toEqual({ upgrade: 1, 'no-change': 1, running: 0, busy: 0, blocked: 0, error: 2 });
    expect(() => toRolloutInput(prepared, { startedBy: 'me' })).toThrow(InputError);
    expect(planProblems(prepared).map(({ line, path, message }) => ({ line, path, message }))).toEqual([
      { line: 10, path: 'spec.targets[0].ids[0]', message: 'kite-v1 kite-1: GET /kites: not-found' },
      {
        line: 13,
        path: 'spec.targets[0].ids[3]',
        message: 'kite-v1 kite-4: target 2.0 is not above the current version 9.0',
      },
    ]);
  });

  it('keeps a problem on one line, whatever a cloud says', async () => {
    const failed = { check: 'string', status: 'failed', problems: [{ type: '', code: '', message: 'tie\n  it' }] };
    const prepared = await prepare(planFor(1), new ScriptedCloud({}, { 'kite-1': [{ findings: [failed] }] }));
    expect(planProblems(prepared, ['blocked'])[0]?.message).toBe(
      'kite-v1 kite-1: precheck failed: string failed: tie it',
    );
  });

  it('is refused for what is blocked, unless that is in quarantine and there is something else to do', async () => {
    const broken = { ...READY, condition: 'broken' };
    const leftOut = (...all: PreparedTarget[]) =>
      all.map(({ resource }) => ({ workflowId: upgradeWorkflowId(resource) }));
    const told = (prepared: PreparedPlan, ...out: PreparedTarget[]) =>
      refusals(prepared, leftOut(...out)).map(({ path }) => path);
    const prepared = await prepare(planFor(3), new ScriptedCloud({ 'kite-1': [broken], 'kite-2': [broken] }));
    const [first, second, third] = prepared.waves.flatMap(({ targets }) => targets);
    if (first === undefined || second === undefined || third === undefined) throw new Error('three targets');
    expect(told(prepared)).toEqual(['spec.targets[0].ids[0]', 'spec.targets[0].ids[1]']);
    expect(told(prepared, first)).toEqual(['spec.targets[0].ids[1]']);
    expect(told(prepared, first, second)).toEqual([]);
    expect(told(prepared, first, second, third)).toEqual(['spec.targets[0].ids[0]', 'spec.targets[0].ids[1]']);
    const gone = await prepare(planFor(2), new ScriptedCloud({ 'kite-1': [cloudError('not-found')] }));
    expect(told(gone, first)).toEqual(['spec.targets[0].ids[0]']);
  });

  it('reads a bounded number of resources at once, in any number', async () => {
    const cloud = new ScriptedCloud({});
    const prepared = await prepare(planFor(30), cloud, 4);
    expect(prepared.counts.upgrade).toBe(30);
    expect(prepared.waves[0]?.targets.map(({ resource }) => resource.id)).toEqual(
      Array.from({ length: 30 }, (_, index) => `kite-${index + 1}`),
    );
    expect(cloud.mostInFlight).toBe(4);
  });

  it('ends with the reason of its signal', async () => {
    const reason = new Error('interrupted');
    const request = { accounts: ACCOUNTS, apis: FAKE_APIS, signal: AbortSignal.abort(reason) };
    const cloud = new ScriptedCloud({});
    await expect(preparePlan({ ...request, plan: planFor(3), sessions: cloud, clock: cloud })).rejects.toBe(reason);
    expect(cloud.requests).toEqual([]);
  });

  it('passes a bug on instead of calling it a verdict', async () => {
    const bug = new TypeError('undefined is not a function');
    await expect(prepare(planFor(1), new ScriptedCloud({ 'kite-1': [bug] }))).rejects.toBe(bug);
  });

  it('becomes the input of its rollout, with the versions that were read', async () => {
    const plan = planFor(2);
    const prepared = await prepare(plan, new ScriptedCloud({ 'kite-2': [{ ...READY, version: '2.0' }] }));
    const [first, second] = plan.waves[0]?.targets ?? [];
    expect(toRolloutInput(prepared, { startedBy: 'me@here' })).toEqual({
      rollout: plan.rollout,
      planDigest: plan.digest,
      startedBy: 'me@here',
      waves: [
        {
          name: 'all',
          concurrency: 1,
          upgrades: [
            {
              resource: first?.resource,
              target: { version: '2.0' },
              targetLabel: '2.0',
              plannedFrom: '1.0',
              planned: { version: '1.0', status: 'flying', size: null, tags: {} },
            },
            {
              resource: second?.resource,
              target: { version: '2.0' },
              targetLabel: '2.0',
              plannedFrom: '2.0',
              planned: { version: '2.0', status: 'flying', size: null, tags: {} },
            },
          ],
        },
      ],
      budget: { max: 0, mode: 'strict' },
      quarantineAfter: 3,
      accountLimits: { north: 20 },
      usual: { 'kite-v1': { p50: 1, p90: 1.5 } },
      timing: { scale: 1 },
    });
  });

  it('tells its rollout which budgets are shares, beside the numbers', async () => {
    const waves = [{ name: 'all', rest: true, failureBudget: { max: '34%' } }];
    const plan = planFor(3, {}, { waves, failureBudget: { max: '67 %' } });
    const prepared = await prepare(plan, new ScriptedCloud({}));
    expect(toRolloutInput(prepared, { startedBy: 'me@here' })).toMatchObject({
      budget: { max: 2, share: '67 %', mode: 'strict' },
      waves: [{ maxFailures: 1, maxFailuresShare: '34%' }],
    });
  });
});
