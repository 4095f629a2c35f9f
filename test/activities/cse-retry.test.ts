/** The way on after a failed CSE upgrade: only on a person's word, and only once. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { awaitOperation } from '../../activities/await.js';
import { precheck } from '../../activities/precheck.js';
import { submit } from '../../activities/submit.js';
import { verify } from '../../activities/verify.js';
import { cse } from '../../activities/clouds/huawei/cse.js';
import type { Fate } from '../../simulator/model.js';
import type {
  AwaitInput,
  AwaitResult,
  PrecheckResult,
  SubmitInput,
  SubmitResult,
  VerifyResult,
} from '../../workflows/contracts/steps.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { type Clouds, simulatedClouds } from '../support/clouds.js';
import { VirtualClock } from '../support/virtual-clock.js';

const DURATION_MS = 10 * 60_000;
const timing = { scale: 1 };

let clouds: Clouds;
let clock: VirtualClock;
let plain: UpgradeSpec;
let retrying: UpgradeSpec;

beforeEach(async () => {
  clock = new VirtualClock();
  clouds = await simulatedClouds({ clock, engines: 1, durationMs: { min: DURATION_MS, max: DURATION_MS } });
  const [spec] = clouds.specs('cse');
  if (spec === undefined) throw new Error('no engine');
  plain = spec;
  retrying = { ...spec, target: { version: '9.9.9', retryFailed: true }, targetLabel: '9.9.9 (retry)' };
});
afterEach(() => clouds.close());

const inventory = () => clouds.simulator.inventory;
const id = (): string => plain.resource.id;
const step = (spec: UpgradeSpec) => ({ rollout: 'r', rolloutRun: 'run', spec, timing });
const check = (spec: UpgradeSpec): Promise<PrecheckResult> =>
  new MockActivityEnvironment().run(() => precheck(clouds.deps, step(spec)));
const send = (input: SubmitInput, attempt = 1): Promise<SubmitResult> =>
  new MockActivityEnvironment({ attempt, scheduledTimestampMs: Date.now() }).run(() => submit(clouds.deps, input));
const inputFor = (spec: UpgradeSpec, checked: PrecheckResult): SubmitInput => ({
  ...step(spec),
  expectedVersion: checked.version,
  knownOperations: checked.knownOperations,
  submission: 1,
  unresolvedSince: null,
  startedAt: new Date(clock.now()).toISOString(),
});
/** Somebody's upgrade fails. */
const failElsewhere = async (): Promise<void> => {
  inventory().change(id(), { fate: 'rolls-back' });
  inventory().upgradeElsewhere(id(), { engine: '9.9.9' });
  await clock.sleep(DURATION_MS + 1_000);
};
const accepted = (): number => clouds.simulator.truth().submits.length;

describe('an engine whose upgrade failed', () => {
  beforeEach(failElsewhere);

  it('is refused without a word, and told the word', async () => {
    const checked = await check(plain);
    expect(checked.verdict).toBe('refused');
    expect(checked.reason).toContain('retryFailed: true');
    expect(accepted()).toBe(0);
  });

  it('is told that a retry takes no version, and refused a version that its failed job does not name', async () => {
    const open = await check(retrying);
    expect(open.verdict).toBe('clear');
    expect(open.findings.at(-1)).toMatchObject({ check: 'retry', problems: [{ code: 'RetryTakesNoVersion' }] });

    inventory().change(id(), { facts: { ...inventory().get(id()).facts, jobTellsVersion: true } });
    expect((await check(retrying)).findings.at(-1)).toMatchObject({ check: 'retry', status: 'success', problems: [] });
    const elsewhere = { ...retrying, target: { version: '9.9.8', retryFailed: true } };
    expect(await check(elsewhere)).toMatchObject({
      verdict: 'refused',
      reason: expect.stringContaining('was to go to 9.9.9, and a retry goes there, not to 9.9.8') as string,
    });
    expect(accepted()).toBe(0);
  });

  it('is retried with the word, followed and verified', async () => {
    inventory().change(id(), { fate: 'succeeds' });
    const checked = await check(retrying);
    expect(checked.verdict).toBe('clear');
    const sent = await send(inputFor(retrying, checked));
    expect(sent.verdict).toBe('submitted');
    expect(sent.calls).toMatchObject([{ method: 'PUT', path: expect.stringMatching(/\/actions$/) as string }]);
    if (sent.operation === null) throw new Error('no operation');
    const following = { ...step(retrying), operation: sent.operation, overdue: false };
    const end: AwaitResult = await new MockActivityEnvironment().run(() => awaitOperation(clouds.deps, following));
    expect(end.providerSays).toBe('succeeded');
    const verified: VerifyResult = await new MockActivityEnvironment().run(() => verify(clouds.deps, following));
    expect(verified).toMatchObject({ verdict: 'at-target', version: '9.9.9', status: 'Available' });
    expect(accepted()).toBe(1);
    expect(clouds.simulator.truth().violations).toEqual([]);
  });

  it.each([
    ['a job of its own', false],
    ['the same job', true],
  ])('is retried once, though the answer is lost, the worker dies and the retry, %s, fails', async (_, keepsJob) => {
    inventory().change(id(), { facts: { ...inventory().get(id()).facts, retryKeepsJob: keepsJob } });
    const input = inputFor(retrying, await check(retrying));
    await send(input);
    expect(accepted()).toBe(1);
    // Dead, and nobody looked while the retry ran.
    await clock.sleep(DURATION_MS + 1_000);
    expect(inventory().now()).toMatchObject([{ status: 'UpgradeFailed' }]);
    const again = await send(input, 2);
    expect(again).toMatchObject({ verdict: 'submitted', calls: [] });
    if (again.operation === null) throw new Error('no operation');
    const following = { ...step(retrying), operation: again.operation, overdue: false };
    const end: AwaitResult = await new MockActivityEnvironment().run(() => awaitOperation(clouds.deps, following));
    expect(end).toMatchObject({ providerSays: 'failed', reason: expect.stringContaining('instance 2') as string });
    const verified: VerifyResult = await new MockActivityEnvironment().run(() => verify(clouds.deps, following));
    expect(verified).toMatchObject({ verdict: 'not-at-target', status: 'UpgradeFailed' });
    expect(accepted()).toBe(1);
  });

  describe.each([
    ['a job of its own', false],
    ['the same job', true],
  ])('whose retry, %s, shows late', (_, keepsJob) => {
    const LAG_MS = cse.pace.visibilityLagMs - 2_000;
    const retry = async (fate: Fate = 'succeeds'): Promise<AwaitInput> => {
      inventory().change(id(), {
        fate,
        facts: { ...inventory().get(id()).facts, retryKeepsJob: keepsJob },
      });
      clouds.simulator.faults.add({ fault: { kind: 'visibility-lag', lagMs: LAG_MS }, calls: ['submit'] });
      const { operation } = await send(inputFor(retrying, await check(retrying)));
      if (operation === null) throw new Error('no operation');
      return { ...step(retrying), operation, overdue: false };
    };

    it('is followed to its own end, not to that of the run before', async () => {
      const following = await retry();
      const end: AwaitResult = await new MockActivityEnvironment().run(() => awaitOperation(clouds.deps, following));
      expect(end).toMatchObject({ ended: true, providerSays: 'succeeded' });
      const verified: VerifyResult = await new MockActivityEnvironment().run(() => verify(clouds.deps, following));
      expect(verified).toMatchObject({ verdict: 'at-target', version: '9.9.9', status: 'Available' });
    });

    it('is not judged by the status that it had before', async () => {
      const following = await retry();
      const verified: VerifyResult = await new MockActivityEnvironment().run(() => verify(clouds.deps, following));
      expect(verified).toMatchObject({ verdict: 'at-target', version: '9.9.9', status: 'Available' });
    });

    it('is told to have failed when it has', async () => {
      const following = await retry('rolls-back');
      const end: AwaitResult = await new MockActivityEnvironment().run(() => awaitOperation(clouds.deps, following));
      expect(end).toMatchObject({ ended: true, providerSays: 'failed' });
      expect(clock.now()).toBeGreaterThanOrEqual(Date.parse(following.operation.since) + DURATION_MS);
      const verified: VerifyResult = await new MockActivityEnvironment().run(() => verify(clouds.deps, following));
      expect(verified).toMatchObject({ verdict: 'not-at-target', status: 'UpgradeFailed' });
    });
  });

  it('is not retried when it was mended meanwhile', async () => {
    const input = inputFor(retrying, await check(retrying));
    inventory().change(id(), { status: 'Available' });
    expect(await send(input)).toMatchObject({
      verdict: 'drifted',
      reason: expect.stringContaining('leave retryFailed out') as string,
      calls: [],
    });
    expect(accepted()).toBe(0);
  });
});

it('an engine without a failed upgrade is not retried', async () => {
  const checked = await check(retrying);
  expect(checked.verdict).toBe('refused');
  expect(checked.reason).toContain('leave retryFailed out');
});

it('an engine whose upgrade fails after the precheck gets no other', async () => {
  const checked = await check(plain);
  expect(checked.verdict).toBe('clear');
  inventory().change(id(), { status: 'UpgradeFailed' });
  expect(await send(inputFor(plain, checked))).toMatchObject({
    verdict: 'drifted',
    reason: expect.stringContaining('retryFailed: true') as string,
    calls: [],
  });
  expect(accepted()).toBe(0);
});

it('an upgrade of ours that failed unseen, its records gone, is not sent again', async () => {
  inventory().change(id(), { fate: 'rolls-back' });
  const input = inputFor(plain, await check(plain));
  clouds.simulator.faults.add({ fault: { kind: 'vanishing-records' }, calls: ['submit'] });
  await send(input);
  await clock.sleep(DURATION_MS + 1_000);
  const again = await send(input, 2);
  expect(again).toMatchObject({ verdict: 'drifted', calls: [] });
  expect(accepted()).toBe(1);
});
