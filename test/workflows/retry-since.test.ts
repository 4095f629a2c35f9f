/** What has happened since to what a retry tries again, in other retries of the same rollout and elsewhere, on a real server. */
import { WorkflowFailedError } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepInventory } from '../../activities/inventory.js';
import { driftFrom } from '../../activities/drift.js';
import type { ResourceState } from '../../activities/clouds/port.js';
import { upgradesOf } from '../../client/inventory.js';
import { retry } from '../../client/retry.js';
import { rolloutRows } from '../../client/rows.js';
import { inputOf } from '../../temporal/reads.js';
import { rolloutWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput, WavePlan } from '../../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { heldOperations, rolloutInput, type Script, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

const ana = { actor: 'ana', reason: 'a test' };
const [NO_SPACE, DOWN] = [
  { verdict: 'refused', reason: 'no space' },
  { verdict: 'unhealthy', reason: 'down' },
] as const;

async function begin(id: string, waves: readonly (readonly UpgradeSpec[])[], max = 0) {
  const input: RolloutInput = {
    ...rolloutInput(id, { ids: [], concurrency: 1 }, { max, mode: 'strict' }),
    waves: waves.map((upgrades, at): WavePlan => ({ name: `wave-${at + 1}`, concurrency: 1, upgrades })),
  };
  return env.client.workflow.start<typeof rollout>('rollout', {
    workflowId: rolloutWorkflowId(id),
    taskQueue: QUEUES.main,
    args: [await keepInventory(env.client, input)],
  });
}

/** Also of one that failed. */
async function ended(run: { readonly workflowId: string }): Promise<void> {
  await env.client.workflow
    .getHandle(run.workflowId)
    .result()
    .catch((error: unknown) => {
      if (!(error instanceof WorkflowFailedError)) throw error;
    });
}

async function outcomesOf(of: string): Promise<Record<string, unknown>> {
  const rows = await rolloutRows(env.client, of);
  return Object.fromEntries(rows.map(({ resourceId, outcome }) => [resourceId, outcome]));
}

/** Of a group of which so many may be unavailable. */
function group(id: string, max: number, ...names: string[]): UpgradeSpec[] {
  return names.map((name) => ({ ...spec(`${id}-${name}`), groups: { [id]: max } }));
}

/** For one resource, as long as it holds. */
const only =
  <T>(id: string, answer: T, holds: () => boolean = () => true) =>
  ({ spec: { resource } }: { readonly spec: UpgradeSpec }) =>
    resource.id === id && holds() ? answer : {};

/** A group whose `a` is refused, so that nothing else of it has started. */
async function withRefused(
  id: string,
  script: Script,
  during: (called: readonly string[]) => Promise<void>,
): Promise<void> {
  let isRetry = false;
  const steps = scriptedSteps({ precheck: only(`${id}-a`, NO_SPACE, () => !isRetry), ...script });
  await withScriptedWorkers(env, steps, async () => {
    await ended(await begin(id, [group(id, 1, 'a', 'b')]));
    expect(await outcomesOf(id)).toEqual({ [`${id}-a`]: 'Refused', [`${id}-b`]: 'NotStarted' });
    isRetry = true;
    await during(steps.called);
  });
}

it('a member that another retry has left broken keeps its place', async () => {
  await withRefused('broken', { verify: only('broken-a', DOWN) }, async (called) => {
    const first = await retry(env.client, 'broken', ['failed'], ana);
    await ended(first);
    expect(await outcomesOf(first.rollout)).toEqual({ 'broken-a': 'Failed' });
    const kept =
      'broken-b is in group broken, of which no more than 1 may be unavailable, and broken-a ended Failed: retry that first';
    await expect(retry(env.client, 'broken', ['skipped'], ana)).rejects.toThrow(kept);
    expect(called).not.toContain('submit broken-b');
  });
});

it('others of a group are not tried again while another retry has any of it', async () => {
  const { script, followed, release } = heldOperations();
  await withRefused('pair', script, async (called) => {
    const first = await retry(env.client, 'pair', ['failed'], ana);
    await followed;
    await expect(retry(env.client, 'pair', ['skipped'], ana)).rejects.toThrow(
      'pair-b is of a group of which others are tried again by pair-retry-1, which ana started at ',
    );
    expect(called).not.toContain('submit pair-b');
    release();
    await ended(first);
    const second = await retry(env.client, 'pair', ['skipped'], ana);
    await ended(second);
    expect(await outcomesOf(second.rollout)).toEqual({ 'pair-b': 'Succeeded' });
  });
});

it('a member that anybody upgrades just now has its place', async () => {
  const [a, b] = group('taken', 1, 'a', 'b');
  if (a === undefined || b === undefined) throw new Error('no pair');
  let isRetry = false;
  const steps = scriptedSteps({ precheck: only('taken-b', NO_SPACE, () => !isRetry) });
  await withScriptedWorkers(env, steps, async () => {
    await ended(await begin('taken', [[a, b]]));
    isRetry = true;
    const others = await env.client.workflow.start('upgrade', {
      workflowId: upgradeWorkflowId(a.resource),
      taskQueue: 'nobody',
      args: [{ rollout: 'autumn', spec: a }],
    });
    await expect(retry(env.client, 'taken', ['failed'], ana)).rejects.toThrow(
      'and taken-a is upgraded just now by autumn: retry once that has ended',
    );
    await others.terminate();
  });
});

it('a retry of a retry has the places of the plan', async () => {
  let broken = 'three-a';
  const steps = scriptedSteps({ verify: (input) => only(broken, DOWN)(input) });
  await withScriptedWorkers(env, steps, async () => {
    await ended(await begin('three', [group('three', 2, 'a', 'b', 'c')]));
    broken = 'three-b';
    const first = await retry(env.client, 'three', ['skipped'], ana);
    await ended(first);
    expect(await outcomesOf(first.rollout)).toEqual({ 'three-b': 'Failed', 'three-c': 'NotStarted' });
    // Both places are taken until one of them is well.
    await expect(retry(env.client, first.rollout, ['skipped'], ana)).rejects.toThrow(
      'three-c is in group three, of which no more than 2 may be unavailable, and three-a ended Failed: retry that first',
    );
    broken = '';
    await ended(await retry(env.client, 'three', ['failed'], ana));
    const last = await retry(env.client, first.rollout, ['skipped'], ana);
    await ended(last);
    expect(await outcomesOf(last.rollout)).toEqual({ 'three-c': 'Succeeded' });
  });
});

it('a broken member whose turn comes later is to be upgraded by itself first', async () => {
  const [a, b] = group('later', 1, 'a', 'b');
  if (a === undefined || b === undefined) throw new Error('no pair');
  const steps = scriptedSteps({ precheck: only('later-a', NO_SPACE), verify: only('later-b', DOWN) });
  await withScriptedWorkers(env, steps, async () => {
    await ended(await begin('later', [[a], [b]], 9));
    expect(await outcomesOf('later')).toEqual({ 'later-a': 'Refused', 'later-b': 'Failed' });
    await expect(retry(env.client, 'later', ['failed'], ana)).rejects.toThrow(
      'later-b ended Failed, and comes in a later wave: upgrade it by a plan of its own first',
    );
  });
});

it('what another retry has left unhealthy, or at another version, is known', async () => {
  const seen: Record<string, string> = {};
  let leaves = '1';
  const one = { ...spec('led'), planned: { version: '1', status: '200', size: null, tags: {} } };
  const steps = scriptedSteps({
    precheck: ({ spec: asked }) => {
      const version = seen[asked.resource.id] ?? '1';
      const state: ResourceState = { id: 'led', name: 'led', status: '200', condition: 'ready', version, tags: {} };
      const drift = driftFrom(asked, state);
      return drift === null ? { version } : { verdict: 'refused', version, reason: `not as planned: ${drift.shown}` };
    },
    verify: ({ spec: { resource } }) => {
      seen[resource.id] = leaves;
      return { verdict: 'not-at-target', version: leaves, reason: `version ${leaves}` };
    },
  });
  await withScriptedWorkers(env, steps, async () => {
    await ended(await begin('led', [[one]]));
    leaves = '1.5';
    const first = await retry(env.client, 'led', ['failed'], ana);
    await ended(first);
    leaves = '1.7';
    const second = await retry(env.client, 'led', ['failed'], ana);
    expect([first.leftOver, second.leftOver]).toEqual([[], [{ resourceId: 'led', version: '1.5', planned: '1' }]]);
    await ended(second);
    expect(await outcomesOf(second.rollout)).toEqual({ led: 'Failed' });
    const input = await inputOf<RolloutInput>(env.client, second.workflowId, second.runId);
    const [taken] = await upgradesOf(env.client, input.waves[0] ?? { name: '', concurrency: 1 });
    expect(taken).toMatchObject({ failedBefore: true, plannedFrom: '1.5' });
  });
});
