/** A shard that is cancelled by hand stops its rollout, whatever it was about, and loses no upgrade; on a real server. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepInventory } from '../../activities/inventory.js';
import { rolloutWorkflowId, runKey, shardWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { ATTRIBUTES } from '../../workflows/contracts/search-attributes.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import type { rollout } from '../../workflows/rollout.js';
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

async function begin(id: string, first: readonly UpgradeSpec[], later: UpgradeSpec) {
  const handle = await env.client.workflow.start<typeof rollout>('rollout', {
    workflowId: rolloutWorkflowId(id),
    taskQueue: QUEUES.main,
    args: [
      await keepInventory(env.client, {
        ...rolloutInput(id, { ids: [], concurrency: 2 }, { max: 9, mode: 'loose' }),
        waves: [
          { name: 'one', concurrency: 2, upgrades: first },
          { name: 'two', concurrency: 2, upgrades: [later] },
        ],
      }),
    ],
  });
  return {
    handle,
    shard: env.client.workflow.getHandle(shardWorkflowId(id, runKey({ rolloutRun: handle.firstExecutionRunId }), 1, 1)),
  };
}

it('while all that it has is in flight', async () => {
  const operations = heldOperations();
  const steps = scriptedSteps({
    ...operations.script,
    submit: ({ spec: { resource } }) =>
      resource.id === 'busy' ? { verdict: 'busy', reason: 'a backup runs', operation: null } : {},
  });
  await withScriptedWorkers(env, steps, async () => {
    const { handle, shard } = await begin('flying', [spec('busy'), spec('sent')], spec('later'));
    await operations.followed;
    await expect.poll(() => steps.called, { timeout: 60_000 }).toContain('submit busy');
    await shard.cancel();
    operations.release();
    expect(await handle.result()).toMatchObject({ outcome: 'Stopped', counts: { Succeeded: 1, NotStarted: 2 } });
    expect(steps.called).not.toContain('precheck later');
  });
});

it('while it looks who has a lease', async () => {
  const operations = heldOperations();
  let look = () => {};
  const looks = new Promise<void>((resolve) => (look = resolve));
  let answer = () => {};
  const answered = new Promise<void>((resolve) => (answer = resolve));
  const steps = scriptedSteps(operations.script);
  Object.assign(steps.reads, {
    lockOwners: async () => {
      look();
      await answered;
      return [null];
    },
  });
  const other = await env.client.workflow.start('upgrade', {
    workflowId: upgradeWorkflowId(spec('engine').resource),
    taskQueue: 'nobody',
    args: [],
    typedSearchAttributes: [{ key: ATTRIBUTES.rollout, value: 'another' }],
  });
  await withScriptedWorkers(env, steps, async () => {
    const client = { ...spec('client'), after: ['engines'] };
    const { handle, shard } = await begin(
      'looks',
      [{ ...spec('engine'), provides: ['engines'] }, spec('fine')],
      client,
    );
    await operations.followed;
    await looks;
    await shard.cancel();
    operations.release();
    expect(await handle.result()).toMatchObject({ outcome: 'Stopped', counts: { Succeeded: 1, NotStarted: 2 } });
    expect(steps.called).not.toContain('precheck client');
    answer();
  });
  await other.terminate();
});
