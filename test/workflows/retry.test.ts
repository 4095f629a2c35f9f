/** What a retry of an ended rollout refuses before it starts anything, on a real server. */
import { WorkflowFailedError, WorkflowUpdateFailedError } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { driftFrom } from '../../activities/drift.js';
import { keepInventory } from '../../activities/inventory.js';
import { control, skip } from '../../client/control.js';
import { upgradesOf } from '../../client/inventory.js';
import { retry } from '../../client/retry.js';
import { rolloutStatus } from '../../client/rollouts.js';
import { rolloutRows } from '../../client/rows.js';
import { findRuns, quoted } from '../../client/server-reads.js';
import { NotTakenError, resolveUpgrade } from '../../client/upgrades.js';
import { writeLedger } from '../../temporal/ledger.js';
import { inputOf } from '../../temporal/reads.js';
import {
  rolloutWorkflowId,
  runKey,
  shardWorkflowId,
  upgradeWorkflowId,
  waveWorkflowId,
} from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import {
  SHARD_SIZE,
  type RolloutInput,
  type RolloutResult,
  type RolloutStatus,
  type WavePlan,
} from '../../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import type { rollout } from '../../workflows/rollout.js';
import { deleted } from '../support/deleted.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { heldOperations, rolloutInput, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

/** A rollout of one wave. */
async function begin(id: string, wave: Partial<WavePlan>) {
  const input: RolloutInput = rolloutInput(id, { ids: [], concurrency: 2 }, { max: 9, mode: 'loose' });
  return env.client.workflow.start<typeof rollout>('rollout', {
    workflowId: rolloutWorkflowId(id),
    taskQueue: QUEUES.main,
    args: [await keepInventory(env.client, { ...input, waves: input.waves.map((one) => ({ ...one, ...wave })) })],
  });
}

/** Also of one that failed. */
async function ended(handle: { result(): Promise<unknown> }): Promise<void> {
  await handle.result().catch((error: unknown) => {
    if (!(error instanceof WorkflowFailedError)) throw error;
  });
}

const ana = { actor: 'ana', reason: 'a test' };
const ben = { actor: 'ben', reason: 'a test' };

it('what waits for another is not tried again without it', async () => {
  let isMended = false;
  const steps = scriptedSteps({
    precheck: ({ spec: { resource } }) =>
      resource.id === 'engine' && !isMended ? { verdict: 'refused', reason: 'no space' } : {},
  });
  await withScriptedWorkers(env, steps, async () => {
    const upgrades = [
      { ...spec('engine'), provides: ['engines'] },
      { ...spec('client'), after: ['engines'] },
      spec('fine'),
    ];
    await ended(await begin('dag', { upgrades }));
    await expect(retry(env.client, 'dag', ['skipped'], ana)).rejects.toThrow(
      'client waits for engine, which did not reach its target: retry it as well',
    );
    expect(steps.called).not.toContain('submit client');

    isMended = true;
    const both = await retry(env.client, 'dag', ['failed', 'skipped'], ana);
    await ended(env.client.workflow.getHandle(both.workflowId));
    const submits = steps.called.filter((call) => call.startsWith('submit'));
    expect(submits).toEqual(['submit fine', 'submit engine', 'submit client']);
  });
});

it('a wave of a retry provides only what it tries again: skipping it misses nothing that was reached', async () => {
  let isRetry = false;
  let goOn: () => void = () => undefined;
  const skipped = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const steps = scriptedSteps({
    precheck: async ({ spec: { resource } }) => {
      if (resource.id === 'engine') return {};
      if (!isRetry) return { verdict: 'refused', reason: 'no space' };
      if (resource.id === 'first') await skipped;
      return {};
    },
  });
  await withScriptedWorkers(env, steps, async () => {
    const input = {
      ...rolloutInput('reached', { ids: [], concurrency: 2 }, { max: 9, mode: 'loose' }),
      waves: [
        wave('one', spec('first')),
        wave('two', { ...spec('engine'), provides: ['engines'] }, spec('second')),
        wave('three', { ...spec('client'), after: ['engines'] }),
      ],
    };
    const parent = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId('reached'),
      taskQueue: QUEUES.main,
      args: [await keepInventory(env.client, input)],
    });
    await ended(parent);

    isRetry = true;
    const again = await retry(env.client, 'reached', ['failed'], ana);
    expect(await skip(env.client, again.rollout, { wave: 'two' }, ana)).toBe('wave two: is left out');
    goOn();
    const { counts } = (await env.client.workflow.getHandle(again.workflowId).result()) as RolloutResult;
    expect(counts).toEqual({ Succeeded: 2, Skipped: 1 });
  });
});

it('nobody retries what then nobody may approve', async () => {
  const steps = scriptedSteps({ precheck: () => ({ verdict: 'refused', reason: 'no space' }) });
  await withScriptedWorkers(env, steps, async () => {
    const approval = { quorum: 1, approvers: ['ben'], expiresAfterMs: 86_400_000 };
    const handle = await begin('approved', { upgrades: [spec('alone')], approval });
    await expect
      .poll(async () => (await handle.query<RolloutStatus>(MESSAGES.rolloutStatus)).state, { timeout: 60_000 })
      .toBe('Waiting');
    await handle.executeUpdate(MESSAGES.decide, { args: [{ ...ben, decision: 'approve', planDigest: 'digest' }] });
    await ended(handle);
    await expect(retry(env.client, 'approved', ['failed'], ben)).rejects.toThrow(
      'ben starts it and may not approve it, so 0 of a quorum of 1 are left: let somebody else retry it',
    );
    const again = await retry(env.client, 'approved', ['failed'], ana);
    await env.client.workflow.getHandle(again.workflowId).terminate();
  });
});

it('who started what is tried again may not approve the retry, nor a retry of that', async () => {
  const steps = scriptedSteps({ precheck: () => ({ verdict: 'refused', reason: 'no space' }) });
  await withScriptedWorkers(env, steps, async () => {
    const approval = { quorum: 1, approvers: ['test', 'ana', 'ben'], expiresAfterMs: 86_400_000 };
    const waiting = async (workflowId: string): Promise<void> => {
      await expect
        .poll(() => env.client.workflow.getHandle(workflowId).query<RolloutStatus>(MESSAGES.rolloutStatus), {
          timeout: 60_000,
        })
        .toMatchObject({ state: 'Waiting' });
    };
    const decide = (workflowId: string, actor: string) =>
      env.client.workflow
        .getHandle(workflowId)
        .executeUpdate(MESSAGES.decide, { args: [{ ...ben, actor, decision: 'approve', planDigest: 'digest' }] })
        .catch((error: unknown) => (error instanceof WorkflowUpdateFailedError ? error.cause?.message : error));

    const first = await begin('chain', { upgrades: [spec('chained')], approval });
    await waiting(first.workflowId);
    expect(await decide(first.workflowId, 'ben')).toBe('wave one is approved');
    await ended(first);

    const { workflowId: second, rollout: again } = await retry(env.client, 'chain', ['failed'], ana);
    await waiting(second);
    expect(await decide(second, 'test')).toBe('test started what this rollout tries again and may not approve it');
    expect(await decide(second, 'ben')).toBe('wave one is approved');
    await ended(env.client.workflow.getHandle(second));

    // The starter of the first of the three is known to the third one as well.
    await expect(retry(env.client, again, ['failed'], ben)).rejects.toThrow(
      'ben starts it and may not approve it any more than ana, test, who started what it tries again, so 0 of a quorum of 1 are left',
    );
    const { workflowId: third } = await retry(env.client, again, ['failed'], { ...ana, actor: 'dan' });
    await waiting(third);
    for (const actor of ['test', 'ana']) {
      expect(await decide(third, actor)).toBe(`${actor} started what this rollout tries again and may not approve it`);
    }
    expect(await decide(third, 'ben')).toBe('wave one is approved');
    await ended(env.client.workflow.getHandle(third));
  });
});

/** A rollout of several waves that tolerates nothing, once it has ended. */
async function beginWaves(
  id: string,
  waves: readonly WavePlan[],
  more: Partial<RolloutInput> = {},
  shardSize = SHARD_SIZE,
) {
  const input = { ...rolloutInput(id, { ids: [], concurrency: 2 }, { max: 0, mode: 'strict' }), ...more, waves };
  return env.client.workflow.start<typeof rollout>('rollout', {
    workflowId: rolloutWorkflowId(id),
    taskQueue: QUEUES.main,
    args: [await keepInventory(env.client, input, shardSize)],
  });
}

const wave = (name: string, ...upgrades: UpgradeSpec[]): WavePlan => ({ name, concurrency: 2, upgrades });
const SOAK = { forMs: 60_000, everyMs: 1_000, http: { url: 'http://127.0.0.1:1/', timeoutMs: 1_000 } };

it('a wave that has not soaked does so before a later one is tried again', async () => {
  let soaks: () => void = () => undefined;
  const soaked = new Promise<void>((resolve) => {
    soaks = resolve;
  });
  let isRetry = false;
  let submittedBefore: readonly string[] = [];
  const steps = scriptedSteps({
    precheck: ({ spec: { reachedBefore } }) =>
      reachedBefore === true ? { verdict: 'already-at-target', version: '2' } : {},
    soak: () => {
      if (isRetry) submittedBefore = steps.called.filter((call) => call.startsWith('submit'));
      return isRetry ? Promise.resolve({}) : soaked.then(() => ({ soaked: false }));
    },
  });
  await withScriptedWorkers(env, steps, async () => {
    const handle = await beginWaves('unsoaked', [
      { ...wave('one', spec('canary')), soak: SOAK },
      wave('two', spec('rest')),
    ]);
    await expect
      .poll(async () => (await handle.query<RolloutStatus>(MESSAGES.rolloutStatus)).waves[0]?.soak?.state, {
        timeout: 60_000,
      })
      .toBe('Running');
    await control(env.client, 'unsoaked', { ...ana, act: 'stop' });
    soaks();
    await ended(handle);

    isRetry = true;
    const again = await retry(env.client, 'unsoaked', ['skipped'], ana);
    expect(again.upgrades).toBe(2);
    const { counts } = (await env.client.workflow.getHandle(again.workflowId).result()) as RolloutResult;
    expect(counts).toEqual({ AlreadyAtTarget: 1, Succeeded: 1 });
    expect(submittedBefore).toEqual(['submit canary']);
    expect(steps.called.filter((call) => call.startsWith('submit'))).toEqual(['submit canary', 'submit rest']);
  });
});

it('a soak that a terminated rollout has not passed is still to come, and one that it has is not', async () => {
  let soaks: () => void = () => undefined;
  const soaked = new Promise<void>((resolve) => {
    soaks = resolve;
  });
  const { script, followed, release } = heldOperations();
  const steps = scriptedSteps({
    soak: ({ rollout: of }) => (of === 'ended-soaking' ? soaked.then(() => ({})) : {}),
    awaitOperation: ({ spec: { resource } }) => (resource.id === 'passed-rest' ? script.awaitOperation() : {}),
  });
  const waves = (name: string) => [
    { ...wave('one', spec(`${name}-canary`)), soak: SOAK },
    wave('two', spec(`${name}-rest`), spec(`${name}-last`)),
  ];
  const triedAgain = async (rollout: string) => {
    const { workflowId, runId } = await retry(env.client, rollout, ['skipped'], ana);
    const input = await inputOf<RolloutInput>(env.client, workflowId, runId);
    return { workflowId, tried: input.waves.map(({ name, parts }) => [name, parts?.[0]?.total]) };
  };
  const both = [
    ['one', 1],
    ['two', 2],
  ];
  await withScriptedWorkers(env, steps, async () => {
    const soaking = await beginWaves('ended-soaking', waves('soaking'));
    await expect.poll(() => steps.called, { timeout: 60_000 }).toContain('soak 1');
    await soaking.terminate();
    soaks();
    const { waves: told } = await rolloutStatus(env.client, 'ended-soaking');
    expect(told[0]?.soak?.state).toBe('Stopped');
    steps.called.splice(0);
    const again = await triedAgain('ended-soaking');
    expect(again.tried).toEqual(both);
    await ended(env.client.workflow.getHandle(again.workflowId));
    const order = steps.called.filter((call) => call.startsWith('soak') || call === 'submit soaking-rest');
    expect(order).toEqual(['soak 1', 'submit soaking-rest']);

    const passed = await beginWaves('ended-soaked', waves('passed'));
    await followed;
    await passed.terminate();
    release();
    await env.client.workflow.getHandle(upgradeWorkflowId(spec('passed-rest').resource)).result();
    const without = await triedAgain('ended-soaked');
    expect(without.tried).toEqual([['two', 1]]);
    await ended(env.client.workflow.getHandle(without.workflowId));
  });

  // Without a worker nobody knows how far it was.
  const unknown = await triedAgain('ended-soaking');
  expect(unknown.tried).toEqual(both);
  await env.client.workflow.getHandle(unknown.workflowId).terminate();
});

it('nothing is tried again after a soak that nothing would pass', async () => {
  const steps = scriptedSteps({
    verify: ({ spec: { resource } }) => (resource.id === 'hollow' ? { verdict: 'unhealthy', reason: 'down' } : {}),
  });
  await withScriptedWorkers(env, steps, async () => {
    const waves = [{ ...wave('canary', spec('hollow')), soak: SOAK }, wave('rest', spec('behind'))];
    await ended(await beginWaves('hollow', waves));
    await expect(retry(env.client, 'hollow', ['skipped'], ana)).rejects.toThrow(
      'wave canary has not soaked, and nothing of it is tried again: retry its failed ones as well',
    );
    const again = await retry(env.client, 'hollow', ['failed', 'skipped'], ana);
    expect(again.upgrades).toBe(2);
    await ended(env.client.workflow.getHandle(again.workflowId));
  });
});

it('a plan is applied anew where nobody knows any more what would soak', async () => {
  let soaks: () => void = () => undefined;
  const soaked = new Promise<void>((resolve) => {
    soaks = resolve;
  });
  let isAnew = false;
  const steps = scriptedSteps({
    precheck: ({ spec: { resource } }) =>
      isAnew && resource.id === 'forgotten' ? { verdict: 'already-at-target', version: '2' } : {},
    verify: ({ spec: { resource } }) =>
      resource.id === 'undone' ? { verdict: 'not-at-target', version: '1', reason: 'old' } : {},
    soak: () => (isAnew ? {} : soaked.then(() => ({ soaked: false }))),
  });
  await withScriptedWorkers(env, steps, async () => {
    const waves = [{ ...wave('canary', spec('forgotten'), spec('undone')), soak: SOAK }, wave('rest', spec('waiting'))];
    const budget = { max: 9, mode: 'loose' } as const;
    const handle = await beginWaves('forgets', waves, { budget });
    await expect.poll(() => steps.called, { timeout: 60_000 }).toContain('soak 1');
    await control(env.client, 'forgets', { ...ana, act: 'stop' });
    soaks();
    await ended(handle);
    await deleted(
      env.client,
      ...['forgotten', 'undone'].map((id) => upgradeWorkflowId(spec(id).resource)),
      shardWorkflowId('forgets', runKey({ rolloutRun: handle.firstExecutionRunId }), 1, 1),
    );
    for (const which of [['skipped'], ['failed', 'skipped']] as const) {
      await expect(retry(env.client, 'forgets', which, ana)).rejects.toThrow(
        'wave canary has not soaked, and what became of it is no longer on the server: apply the plan anew, which soaks what is at its target',
      );
    }

    isAnew = true;
    steps.called.splice(0);
    await ended(await beginWaves('forgets', waves, { budget }));
    const order = steps.called.filter((call) => call.startsWith('soak') || call.startsWith('submit'));
    expect(order).toEqual(['submit undone', 'soak 1', 'submit waiting']);
  });
});

it('a wave that was left out has no soak, also where its rollout was terminated', async () => {
  const { script, followed, release } = heldOperations();
  let goOn: () => void = () => undefined;
  const skipped = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const steps = scriptedSteps({
    precheck: ({ spec: { resource } }) => (resource.id === 'early' ? skipped.then(() => ({})) : {}),
    awaitOperation: ({ spec: { resource } }) => (resource.id === 'flies' ? script.awaitOperation() : {}),
    verify: ({ spec: { resource } }) => (resource.id === 'flies' ? { verdict: 'unhealthy', reason: 'down' } : {}),
  });
  await withScriptedWorkers(env, steps, async () => {
    const waves = [
      wave('early', spec('early')),
      { ...wave('canary', spec('untouched')), soak: SOAK },
      wave('rest', spec('flies')),
    ];
    const parent = await beginWaves('left-out', waves);
    await skip(env.client, 'left-out', { wave: 'canary' }, ana);
    goOn();
    await followed;
    await parent.terminate();
    release();
    await ended(env.client.workflow.getHandle(upgradeWorkflowId(spec('flies').resource)));
  });

  // Without a worker nobody knows that it had none.
  const again = await retry(env.client, 'left-out', ['failed'], ana);
  expect(again.upgrades).toBe(1);
  await env.client.workflow.getHandle(again.workflowId).terminate();
});

it.each(['rollout', 'wave'] as const)(
  'nothing is tried again while what a terminated %s sent is in flight',
  async (what) => {
    const { script, followed, release } = heldOperations();
    const [first, second] = [spec(`${what}-1`), spec(`${what}-2`)];
    const steps = scriptedSteps({
      awaitOperation: ({ spec: { resource } }) => (resource.id === first.resource.id ? script.awaitOperation() : {}),
      verify: ({ spec: { resource } }) =>
        resource.id === first.resource.id ? { verdict: 'unreadable', version: null, reason: 'HTTP 503' } : {},
    });
    await withScriptedWorkers(env, steps, async () => {
      const id = `flying-${what}`;
      const upgrades = [first, second].map((one) => ({ ...one, groups: { pair: 1 } }));
      const parent = await beginWaves(id, [wave('one', ...upgrades)]);
      await followed;
      const { workflowId } =
        what === 'rollout'
          ? parent
          : { workflowId: waveWorkflowId(id, runKey({ rolloutRun: parent.firstExecutionRunId }), 1) };
      await env.client.workflow.getHandle(workflowId).terminate('by hand');
      await ended(parent);
      const phases = async () => (await rolloutRows(env.client, id)).map(({ phase }) => phase);
      await expect.poll(phases, { timeout: 60_000 }).toEqual(['Await', 'Ended']);
      const tryAgain = () =>
        retry(env.client, id, ['failed', 'skipped'], ana).catch((error: unknown) =>
          error instanceof NotTakenError ? error.message : error,
        );
      const refusal = `rollout ${id} has 1 upgrade in flight still (${what}-1): try again when all have ended`;
      const answer = await tryAgain();
      // Also where it should have been refused, so that the workers come to an end.
      release();
      expect(answer).toContain(refusal);
      await expect.poll(phases, { timeout: 60_000 }).toEqual(['Held', 'Ended']);
      expect(await tryAgain()).toContain(refusal);

      const upgrade = upgradeWorkflowId(first.resource);
      await resolveUpgrade(env.client, upgrade, { ...ana, as: 'done' });
      await ended(env.client.workflow.getHandle(upgrade));
      const again = await retry(env.client, id, ['failed', 'skipped'], ana);
      expect(again.upgrades).toBe(1);
      await ended(env.client.workflow.getHandle(again.workflowId));
      expect(steps.called).toContain(`submit ${what}-2`);
    });
  },
);

it('a member of a group that serves nobody keeps its place, and is tried again first', async () => {
  let isMended = false;
  const steps = scriptedSteps({
    precheck: ({ spec: { resource } }) =>
      resource.id === 'left' && !isMended ? { verdict: 'refused', reason: 'no space' } : {},
    verify: ({ spec: { resource } }) =>
      resource.id === 'right' && !isMended ? { verdict: 'unhealthy', reason: 'down' } : {},
  });
  await withScriptedWorkers(env, steps, async () => {
    const groups = { pair: 1 };
    const pair = (...ids: string[]) => ids.map((id) => ({ ...spec(id), groups }));
    const budget = { max: 9, mode: 'loose' } as const;
    await ended(await beginWaves('pair', [wave('one', ...pair('left', 'right', 'third'))], { budget }));
    await expect(retry(env.client, 'pair', ['skipped'], ana)).rejects.toThrow(
      'third is in group pair, of which no more than 1 may be unavailable, and right ended Failed: retry that first',
    );

    isMended = true;
    steps.called.splice(0);
    const again = await retry(env.client, 'pair', ['failed', 'skipped'], ana);
    await ended(env.client.workflow.getHandle(again.workflowId));
    expect(steps.called.filter((call) => call.startsWith('submit'))).toEqual([
      'submit right',
      'submit left',
      'submit third',
    ]);

    // In an earlier wave than the one that serves nobody, it would be its turn first.
    isMended = false;
    const apart = [wave('one', ...pair('left')), wave('two', ...pair('right'))];
    await ended(await beginWaves('apart', apart, { budget }));
    await expect(retry(env.client, 'apart', ['failed'], ana)).rejects.toThrow('left is in group pair');
  });
});

it('a group that was spread over shards has no more places in a retry than its members have left', async () => {
  const steps = scriptedSteps({
    submit: ({ spec: { resource } }) =>
      resource.id === 'kept-b' ? { verdict: 'busy', reason: 'backup', operation: null } : {},
    verify: ({ spec: { resource } }) => (resource.id === 'kept-a' ? { verdict: 'unhealthy', reason: 'down' } : {}),
  });
  await withScriptedWorkers(env, steps, async () => {
    const upgrades = ['a', 'b', 'c', 'd'].map((id) => ({ ...spec(`kept-${id}`), groups: { parted: 2 } }));
    const limited = { ...wave('one', ...upgrades), limits: { 'account:prod': 3 } };
    const parent = await beginWaves('parted', [limited], { budget: { max: 0, mode: 'loose' } }, 1);
    const { waves } = await inputOf<RolloutInput>(env.client, parent.workflowId, parent.firstExecutionRunId);
    expect(waves[0]?.limits).toEqual({ 'account:prod': 3, 'group:parted': 2 });
    await ended(parent);

    const again = await retry(env.client, 'parted', ['skipped'], ana);
    const retried = await inputOf<RolloutInput>(env.client, again.workflowId, again.runId);
    const [rest] = retried.waves;
    expect(rest?.limits).toEqual({ 'account:prod': 3 });
    const groups = (await upgradesOf(env.client, rest as WavePlan)).map((one) => one.groups);
    expect(groups).toEqual(groups.map(() => ({ parted: 1 })));
    await env.client.workflow.getHandle(again.workflowId).terminate();
  });
});

it('a member of a group that was found unhealthy keeps its place', async () => {
  const steps = scriptedSteps({
    precheck: ({ spec: { resource } }) =>
      resource.id === 'sick' ? { verdict: 'refused', unwell: true, reason: 'at its target, and unhealthy' } : {},
  });
  await withScriptedWorkers(env, steps, async () => {
    const both = ['sick', 'partner'].map((id) => ({ ...spec(id), groups: { couple: 1 } }));
    await ended(await beginWaves('sick', [wave('one', ...both)], { budget: { max: 9, mode: 'loose' } }));
    await expect(retry(env.client, 'sick', ['skipped'], ana)).rejects.toThrow(
      'partner is in group couple, of which no more than 1 may be unavailable, and sick ended Refused: retry that first',
    );
  });
});

it('a member that was found unhealthy keeps its place also where a terminated shard does not tell it', async () => {
  const { script, followed, release } = heldOperations();
  const steps = scriptedSteps({
    ...script,
    precheck: ({ spec: { resource } }) => {
      if (resource.id === 'flying') return {};
      return { verdict: 'refused', reason: 'no', ...(resource.id === 'ill' ? { unwell: true } : {}) };
    },
  });
  await withScriptedWorkers(env, steps, async () => {
    const groups = { couple: 1 };
    // More of them than status looks at one by one.
    const others = Array.from({ length: 100 }, (_, at) => spec(`plain-${at}`));
    const upgrades = [spec('flying'), ...others, { ...spec('ill'), groups }, { ...spec('well'), groups }];
    const budget = { max: 200, mode: 'loose' } as const;
    const handle = await beginWaves('untold', [{ ...wave('one', ...upgrades), concurrency: 25 }], { budget });
    await followed;
    const refused = async () =>
      (await rolloutRows(env.client, 'untold')).filter(({ outcome }) => outcome === 'Refused').length;
    await expect.poll(refused, { timeout: 120_000 }).toBe(101);
    await env.client.workflow
      .getHandle(shardWorkflowId('untold', runKey({ rolloutRun: handle.firstExecutionRunId }), 1, 1))
      .terminate();
    release();
    await ended(handle);
    await ended(env.client.workflow.getHandle(upgradeWorkflowId(spec('flying').resource)));
    await expect.poll(refused, { timeout: 120_000 }).toBe(101);
    await expect(retry(env.client, 'untold', ['skipped'], ana)).rejects.toThrow(
      'well is in group couple, of which no more than 1 may be unavailable, and ill ended Refused: retry that first',
    );
  });
});

it('a retry asks for no more successes than it has upgrades', async () => {
  const steps = scriptedSteps({ precheck: () => ({ verdict: 'refused', reason: 'no space' }) });
  await withScriptedWorkers(env, steps, async () => {
    const waves = [wave('one', spec('a1')), wave('two', spec('a2'), spec('a3'))];
    await ended(await beginWaves('least', waves, { minSuccess: 3 }));
    const again = await retry(env.client, 'least', ['failed'], ana);
    const { minSuccess } = await inputOf<RolloutInput>(env.client, again.workflowId, again.runId);
    expect([again.upgrades, minSuccess]).toEqual([1, 1]);
    await ended(env.client.workflow.getHandle(again.workflowId));
  });
});

it('what our own submit led a part of the way is tried again from there, and nothing else that has moved', async () => {
  const state = { id: '', name: '', status: '200', tags: {}, condition: 'ready' as const };
  const at: Record<string, string> = {};
  let isRetry = false;
  const steps = scriptedSteps({
    precheck: ({ spec: one }) => {
      const version = at[one.resource.id] ?? '1';
      const drift = driftFrom(one, { ...state, version });
      return drift === null ? { version } : { verdict: 'refused', reason: drift.shown, version };
    },
    submit: ({ spec: { resource } }) => (resource.id === 'of-others' && !isRetry ? { verdict: 'adopted' } : {}),
    verify: ({ spec: { resource } }) => {
      if (isRetry) return {};
      const version = resource.id === 'undone' ? '1' : '1.5';
      at[resource.id] = version;
      return { verdict: 'not-at-target', version, reason: `not at its target: version ${version}` };
    },
  });
  await withScriptedWorkers(env, steps, async () => {
    const planned = { version: '1', status: '200', size: null, tags: {} };
    const ids = ['partly', 'undone', 'of-others', 'moved-since'];
    const upgrades = ids.map((id) => ({ ...spec(id), planned }));
    await ended(await begin('halfway', { upgrades }));

    isRetry = true;
    at['moved-since'] = '1.6';
    const again = await retry(env.client, 'halfway', ['failed'], ana);
    expect(again.leftOver).toEqual([
      { resourceId: 'partly', version: '1.5', planned: '1' },
      { resourceId: 'moved-since', version: '1.5', planned: '1' },
    ]);
    await ended(env.client.workflow.getHandle(again.workflowId));
    const rows = await rolloutRows(env.client, again.rollout);
    expect(rows.map(({ resourceId, outcome, from, reason }) => [resourceId, outcome, from, reason])).toEqual([
      ['partly', 'Succeeded', '1.5', expect.any(String)],
      ['undone', 'Succeeded', '1', expect.any(String)],
      ['of-others', 'Refused', '1.5', 'version 1 then, 1.5 now'],
      ['moved-since', 'Refused', '1.6', 'version 1.5 then, 1.6 now'],
    ]);
  });
});

it('what failed is known to have, so that it is done at its target only when it is healthy', async () => {
  let isMended = false;
  const failedBefore: Record<string, boolean> = {};
  const steps = scriptedSteps({
    precheck: ({ spec: one }) => {
      failedBefore[one.resource.id] = one.failedBefore === true;
      return {};
    },
    verify: ({ spec: { resource } }) =>
      resource.id === 'red' || (resource.id === 'yellow' && !isMended) ? { verdict: 'unhealthy', reason: 'down' } : {},
  });
  await withScriptedWorkers(env, steps, async () => {
    const soak = { forMs: 1_000, everyMs: 100, health: { sample: 5 } };
    const waves = [
      { ...wave('one', spec('green'), spec('yellow'), spec('red')), concurrency: 1, soak },
      wave('two', spec('late')),
    ];
    const budget = { max: 0, mode: 'loose' } as const;
    await ended(await beginWaves('unwell', waves, { budget }));
    expect(failedBefore).toEqual({ green: false, yellow: false });

    isMended = true;
    const again = await retry(env.client, 'unwell', ['failed', 'skipped'], ana);
    await ended(env.client.workflow.getHandle(again.workflowId));
    expect(failedBefore).toEqual({ green: false, yellow: true, red: false });

    // What only soaks with it reached its target the second time.
    const third = await retry(env.client, again.rollout, ['failed', 'skipped'], ana);
    await ended(env.client.workflow.getHandle(third.workflowId));
    expect(failedBefore).toEqual({ green: false, yellow: false, red: true });
  });
});

it('what is known of one that was not tried is known to the next retry as well', async () => {
  const failed = { ...spec('failed-once'), failedBefore: true as const };
  const reached = { ...spec('reached-once'), reachedBefore: true as const };
  const handle = await beginWaves('untried', [wave('one', failed, reached)]);
  await handle.terminate();
  const { workflowId, runId } = await retry(env.client, 'untried', ['skipped'], ana);
  await env.client.workflow.getHandle(workflowId).terminate();
  const { waves } = await inputOf<RolloutInput>(env.client, workflowId, runId);
  expect(await Promise.all(waves.map((one) => upgradesOf(env.client, one)))).toEqual([[failed, reached]]);
});

it('what was unhealthy when it was stopped is known to have been', async () => {
  const steps = scriptedSteps({ precheck: () => ({ verdict: 'busy', reason: 'down', unwell: true }) });
  await withScriptedWorkers(env, steps, async () => {
    const handle = await beginWaves('stopped-unwell', [wave('one', spec('down'))]);
    const phases = async () => (await rolloutRows(env.client, 'stopped-unwell')).map(({ phase }) => phase);
    await expect.poll(phases, { timeout: 60_000 }).toEqual(['Waiting']);
    await control(env.client, 'stopped-unwell', { ...ana, act: 'stop' });
    await ended(handle);
    expect(await rolloutRows(env.client, 'stopped-unwell')).toMatchObject([{ outcome: 'NotStarted', unwell: true }]);
    const { workflowId, runId } = await retry(env.client, 'stopped-unwell', ['skipped'], ana);
    await env.client.workflow.getHandle(workflowId).terminate();
    const { waves } = await inputOf<RolloutInput>(env.client, workflowId, runId);
    const specs = await Promise.all(waves.map((one) => upgradesOf(env.client, one)));
    expect(specs.flat()).toMatchObject([{ failedBefore: true }]);
  });
});

it('what no window opens for any more is not tried again', async () => {
  const passed = '2026-01-03T22:00:00.000Z';
  const always = { windows: [], blackouts: [] };
  const recurrence = { start: '2026-01-03T20:00:00', timezone: 'UTC', duration: 'PT2H' };
  const once = { windows: [{ name: 'once', recurrence }], blackouts: [] };
  const bounds = { gates: [{ calendar: 0, needsMs: 0 }], since: passed, missedWindow: 'next' } as const;
  const refusal = async (name: string, windows: RolloutInput['windows']) => {
    const handle = await beginWaves(name, [wave('one', { ...spec(name), gate: 0 })], { windows });
    await handle.terminate();
    return retry(env.client, name, ['skipped'], ana).then(
      ({ workflowId }) => env.client.workflow.getHandle(workflowId).terminate(),
      (error: unknown) => (error instanceof Error ? error.message : error),
    );
  };
  const so = 'so nothing of it would start: give the plan later times, and apply it anew';
  expect(await refusal('expired', { ...bounds, calendars: [always], expireAt: passed })).toBe(
    `expireAt ${passed} has passed, ${so}`,
  );
  expect(await refusal('late', { ...bounds, calendars: [always], startBy: passed })).toBe(
    `startBy ${passed} has passed, ${so}`,
  );
  expect(await refusal('last', { ...bounds, calendars: [once] })).toMatch(/no opening follows, so nothing of it would/);
  expect(await refusal('open', { ...bounds, calendars: [always] })).not.toBeTypeOf('string');
});

it('what is in quarantine is named, and refused where nothing else is tried', async () => {
  const steps = scriptedSteps({ verify: () => ({ verdict: 'unhealthy', reason: 'down' }) });
  await withScriptedWorkers(env, steps, async () => {
    const more = { budget: { max: 9, mode: 'loose' }, quarantineAfter: 1 } as const;
    await ended(await beginWaves('stubborn', [wave('one', spec('stubborn'), spec('other'))], more));
    await ended(await beginWaves('all-stubborn', [wave('one', spec('stubborn'))], more));
    const failed = [{ workflowId: upgradeWorkflowId(spec('stubborn').resource), reason: 'down' }];
    await writeLedger(env.client, 'quarantine', { kind: 'ended', rollout: 'stubborn', failed, recovered: [] });

    const again = await retry(env.client, 'stubborn', ['failed'], ana);
    expect(again.quarantined).toEqual(['stubborn']);
    await env.client.workflow.getHandle(again.workflowId).terminate();
    await expect(retry(env.client, 'all-stubborn', ['failed'], ana)).rejects.toThrow(
      'all that is left to be tried again is in quarantine (stubborn): `uplift quarantine release stubborn --reason …` lets it be tried',
    );
  });
});

it('what another retry has is not taken a second time while that one runs, and what it has not is', async () => {
  let goOn: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let isMended = false;
  const steps = scriptedSteps({
    precheck: async () => {
      if (!isMended) return { verdict: 'refused', reason: 'no space' };
      await released;
      return {};
    },
  });
  await withScriptedWorkers(env, steps, async () => {
    await ended(await beginWaves('twice', [wave('one', spec('broken')), wave('two', spec('late'))]));
    isMended = true;
    const first = await retry(env.client, 'twice', ['failed'], ana);
    const { startTime } = await env.client.workflow.getHandle(first.workflowId).describe();
    const by = `by twice-retry-1, which ana started at ${startTime.toISOString()}: follow it by \`uplift watch twice-retry-1\``;
    for (const which of [['failed'], ['failed', 'skipped']] as const) {
      await expect(retry(env.client, 'twice', which, ben)).rejects.toThrow(
        `1 upgrade of it (broken) is tried again already ${by}, and retry that once it has ended`,
      );
    }

    const second = await retry(env.client, 'twice', ['skipped'], ben);
    expect([second.rollout, second.upgrades]).toEqual(['twice-retry-2', 1]);
    await expect(retry(env.client, 'twice', ['skipped'], ana)).rejects.toThrow(
      '1 upgrade of it (late) is tried again already by twice-retry-2, which ben started at ',
    );
    goOn();
    for (const { workflowId } of [first, second]) await ended(env.client.workflow.getHandle(workflowId));

    // Nothing has it any more.
    const third = await retry(env.client, 'twice', ['failed'], ana);
    await ended(env.client.workflow.getHandle(third.workflowId));
  });
});

it('what another retry has is not taken a second time where the history of an earlier one is gone', async () => {
  const parent = await beginWaves('gap', [wave('one', spec('gap-a'))]);
  await parent.terminate();
  const first = await retry(env.client, 'gap', ['skipped'], ana);
  await env.client.workflow.getHandle(first.workflowId).terminate();
  const second = await retry(env.client, 'gap', ['skipped'], ana);
  const retries = `WorkflowId STARTS_WITH ${quoted(`${parent.workflowId}-retry-`)}`;
  await expect.poll(() => findRuns(env.client, retries), { timeout: 60_000 }).toHaveLength(2);
  await deleted(env.client, first.workflowId);

  await expect(retry(env.client, 'gap', ['skipped'], ben)).rejects.toThrow(
    '1 upgrade of it (gap-a) is tried again already by gap-retry-2, which ana started at ',
  );
  await env.client.workflow.getHandle(second.workflowId).terminate();
  const third = await retry(env.client, 'gap', ['skipped'], ben);
  await env.client.workflow.getHandle(third.workflowId).terminate();
  expect([second, third].map((one) => one.rollout)).toEqual(['gap-retry-2', 'gap-retry-3']);
});

it('a budget that is a share is that share of what is tried again, and a number stays one', async () => {
  const steps = scriptedSteps({
    precheck: ({ spec: { resource } }) =>
      /-[ab]$/.test(resource.id) ? { verdict: 'refused', reason: 'no space' } : {},
  });
  await withScriptedWorkers(env, steps, async () => {
    const triedAgain = async (id: string, budget: RolloutInput['budget'], own: Partial<WavePlan>) => {
      const one = wave('one', spec(`${id}-a`), spec(`${id}-b`), spec(`${id}-c`));
      await ended(await beginWaves(id, [{ ...one, ...own }, wave('two', spec(`${id}-d`))], { budget }));
      const again = await retry(env.client, id, ['failed'], ana);
      await ended(env.client.workflow.getHandle(again.workflowId));
      const input = await inputOf<RolloutInput>(env.client, again.workflowId, again.runId);
      expect([again.upgrades, again.budget]).toEqual([2, input.budget]);
      return { shown: again.budgetShown, budget: input.budget, own: input.waves[0]?.maxFailures };
    };
    const ofWave = { maxFailures: 2, maxFailuresShare: '67%' };
    const share = { max: 3, share: '75%', mode: 'loose' } as const;
    expect(await triedAgain('share', share, ofWave)).toEqual({
      shown: '75 % of 2 = 1, loose; of wave one 67 % of 2 = 1',
      budget: { ...share, max: 1 },
      own: 1,
    });
    const number = { max: 3, mode: 'strict' } as const;
    expect(await triedAgain('number', number, { maxFailures: 2 })).toEqual({
      shown: '3, strict; of wave one 2',
      budget: number,
      own: 2,
    });
    expect(await triedAgain('bare', number, {})).toEqual({ shown: '3, strict', budget: number, own: undefined });
  });
});

it('a budget that is a share counts neither what only soaks nor what is in quarantine', async () => {
  let soaks: () => void = () => undefined;
  const soaked = new Promise<void>((resolve) => {
    soaks = resolve;
  });
  const steps = scriptedSteps({
    precheck: ({ spec: { resource } }) =>
      resource.id.startsWith('bad') ? { verdict: 'refused', reason: 'no space' } : {},
    soak: () => soaked.then(() => ({ soaked: false })),
  });
  await withScriptedWorkers(env, steps, async () => {
    const canaries = ['good-1', 'good-2', 'bad-1', 'bad-2'].map((id) => spec(id));
    const waves = [
      { ...wave('canary', ...canaries), soak: SOAK, maxFailures: 2, maxFailuresShare: '50%' },
      { ...wave('rest', spec('rest-1')), maxFailures: 0, maxFailuresShare: '50%' },
    ];
    const budget = { max: 2, share: '50%', mode: 'loose' } as const;
    const handle = await beginWaves('counted', waves, { budget, quarantineAfter: 1 });
    await expect.poll(() => steps.called, { timeout: 60_000 }).toContain('soak 1');
    await control(env.client, 'counted', { ...ana, act: 'stop' });
    soaks();
    await ended(handle);
    const failed = [{ workflowId: upgradeWorkflowId(spec('bad-1').resource), reason: 'no space' }];
    await writeLedger(env.client, 'quarantine', { kind: 'ended', rollout: 'counted', failed, recovered: [] });

    const again = await retry(env.client, 'counted', ['failed', 'skipped'], ana);
    await env.client.workflow.getHandle(again.workflowId).terminate();
    expect([again.upgrades, again.quarantined]).toEqual([5, ['bad-1']]);
    expect(again.budgetShown).toBe('50 % of 2 = 1, loose; of wave canary 50 % of 1 = 0; of wave rest 50 % of 1 = 0');
    const input = await inputOf<RolloutInput>(env.client, again.workflowId, again.runId);
    expect([input.budget.max, input.waves.map(({ maxFailures }) => maxFailures)]).toEqual([1, [0, 0]]);
  });
});

it('what had only to soak counts for no share, also where an earlier retry has not begun it', async () => {
  const waves = [
    { ...wave('canary', ...['1', '2', '3', '4'].map((id) => spec(`idle-${id}`))), soak: SOAK },
    wave('rest', spec('idle-x'), spec('idle-y')),
  ];
  let soaks: () => void = () => undefined;
  const soaked = new Promise<void>((resolve) => {
    soaks = resolve;
  });
  const steps = scriptedSteps({ soak: () => soaked.then(() => ({ soaked: false })) });
  await withScriptedWorkers(env, steps, async () => {
    const handle = await beginWaves('idle', waves, { budget: { max: 3, share: '50%', mode: 'strict' } });
    await expect.poll(() => steps.called, { timeout: 60_000 }).toContain('soak 1');
    await control(env.client, 'idle', { ...ana, act: 'stop' });
    soaks();
    await ended(handle);
  });
  const first = await retry(env.client, 'idle', ['failed', 'skipped'], ana);
  await env.client.workflow.getHandle(first.workflowId).terminate();
  const second = await retry(env.client, first.rollout, ['failed', 'skipped'], ana);
  await env.client.workflow.getHandle(second.workflowId).terminate();
  for (const { upgrades, budgetShown } of [first, second]) {
    expect([upgrades, budgetShown]).toEqual([6, '50 % of 2 = 1, strict']);
  }
});

it('nothing is tried again after a soak that only what is in quarantine would pass', async () => {
  const steps = scriptedSteps({ verify: () => ({ verdict: 'unhealthy', reason: 'down' }) });
  await withScriptedWorkers(env, steps, async () => {
    const waves = [{ ...wave('canary', spec('hollow')), soak: SOAK }, wave('rest', spec('behind'))];
    await ended(await beginWaves('hollowed', waves, { quarantineAfter: 1 }));
    const failed = [{ workflowId: upgradeWorkflowId(spec('hollow').resource), reason: 'down' }];
    await writeLedger(env.client, 'quarantine', { kind: 'ended', rollout: 'hollowed', failed, recovered: [] });
    await expect(retry(env.client, 'hollowed', ['failed', 'skipped'], ana)).rejects.toThrow(
      'wave canary has not soaked, and what of it is tried again is in quarantine (hollow): ' +
        '`uplift quarantine release hollow --reason …` lets it be tried',
    );
  });
});

it('what had reached its target is known to have, also after it failed to soak', async () => {
  let soaks: () => void = () => undefined;
  const soaked = new Promise<void>((resolve) => {
    soaks = resolve;
  });
  const steps = scriptedSteps({
    soak: () => soaked.then(() => ({ soaked: false })),
    precheck: ({ spec: { reachedBefore } }) =>
      reachedBefore === true ? { verdict: 'refused', unwell: true, reason: 'takes no upgrade: stopped' } : {},
  });
  await withScriptedWorkers(env, steps, async () => {
    const handle = await beginWaves('regressed', [
      { ...wave('canary', spec('went')), soak: SOAK },
      wave('rest', spec('waits')),
    ]);
    await expect.poll(() => steps.called, { timeout: 60_000 }).toContain('soak 1');
    await control(env.client, 'regressed', { ...ana, act: 'stop' });
    soaks();
    await ended(handle);
    const first = await retry(env.client, 'regressed', ['skipped'], ana);
    await ended(env.client.workflow.getHandle(first.workflowId));
    const second = await retry(env.client, first.rollout, ['failed', 'skipped'], ana);
    await env.client.workflow.getHandle(second.workflowId).terminate();
    const { waves } = await inputOf<RolloutInput>(env.client, second.workflowId, second.runId);
    const [went] = await upgradesOf(env.client, waves[0] ?? wave('none'));
    expect(went).toMatchObject({ reachedBefore: true, failedBefore: true });
  });
});

it('the page of a retry says who has started it, and of what', async () => {
  const schedule = { name: 'patching', opens: '2026-01-01T00:00:00.000Z', closes: null, triggeredBy: 'carl' };
  const parent = await beginWaves('paged', [wave('one', spec('paged-a'))], { startedBy: 'olga', schedule });
  await parent.terminate();
  const again = await retry(env.client, 'paged', ['skipped'], ben);
  const handle = env.client.workflow.getHandle(again.workflowId);
  expect(await (await handle.describe()).staticDetails()).toMatch(/^Started by \*\*ben\*\*, a retry of paged, plan /);
  await handle.terminate();
});

it('a strict budget that slows a retry down is told with it', async () => {
  const specs = ['1', '2', '3'].map((id) => spec(`slow-${id}`));
  const parent = await beginWaves('slow', [wave('one', ...specs), wave('two', spec('slow-4'))], {
    budget: { max: 0, share: '10%', mode: 'strict' },
  });
  await parent.terminate();
  const again = await retry(env.client, 'slow', ['skipped'], ana);
  await env.client.workflow.getHandle(again.workflowId).terminate();
  const narrowed = [{ wave: 'one', concurrency: 2, allowed: 1 }];
  expect(again).toMatchObject({ budgetShown: '10 % of 4 = 0, strict', narrowed });
});
