/** What a retry of an ended rollout refuses before it starts anything, on a real server. */
import { WorkflowFailedError, WorkflowUpdateFailedError } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepInventory } from '../../activities/inventory.js';
import { retry, skip } from '../../client/control.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput, RolloutResult, RolloutStatus, WavePlan } from '../../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { rolloutInput, scriptedSteps, spec } from './scripted-steps.js';
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
    const wave = (name: string, ...upgrades: UpgradeSpec[]): WavePlan => ({ name, concurrency: 2, upgrades });
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
