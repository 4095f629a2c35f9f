/** What others upgrade counts in the limits of a rollout, on a real server. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepInventory } from '../../activities/inventory.js';
import { lockSteps } from '../../activities/locks.js';
import { rolloutWorkflowId, shardWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput, ShardStatus } from '../../workflows/contracts/rollout.js';
import { ATTRIBUTES } from '../../workflows/contracts/search-attributes.js';
import type { rollout } from '../../workflows/rollout.js';
import { endedRollout } from '../support/ended.js';
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

/** Another rollout upgrades it. */
const lock = (resource: string) =>
  env.client.workflow.start('upgrade', {
    workflowId: upgradeWorkflowId(spec(resource).resource),
    taskQueue: 'nobody',
    args: [],
    typedSearchAttributes: [{ key: ATTRIBUTES.rollout, value: 'another' }],
  });

const begin = (input: RolloutInput) =>
  env.client.workflow.start<typeof rollout>('rollout', {
    workflowId: rolloutWorkflowId(input.rollout),
    taskQueue: QUEUES.main,
    args: [input],
  });

it('what fails for it is charged before another shard may risk the same', async () => {
  const [first, second, look] = [heldOperations(), heldOperations(), heldOperations()];
  const steps = scriptedSteps({
    awaitOperation: ({ spec: { resource } }) => (resource.id === 'x' ? first : second).script.awaitOperation(),
    verify: ({ spec: { resource } }) => (resource.id === 'x' ? {} : { verdict: 'unhealthy', reason: 'down' }),
  });
  Object.assign(steps.reads, {
    lockOwners: async (ids: readonly string[]) => {
      await look.script.awaitOperation();
      return lockSteps.lockOwners(ids);
    },
  });
  const others = await Promise.all(['c-1', 'c-2'].map(lock));
  await withScriptedWorkers(env, steps, async () => {
    const ids = ['x', 'c-1', 'c-2', 'd-1', 'd-2', 'd-3'];
    const wave = { ids, concurrency: 6 };
    const input = rolloutInput('strict', wave, { max: 2, mode: 'strict' }, { onLocked: 'fail' });
    const handle = await begin(await keepInventory(env.client, input, 3));
    await look.followed;
    first.release();
    // What `x` had drawn goes to the other shard, while it is still looked who has the leases.
    await second.followed;
    look.release();
    second.release();

    expect(await endedRollout(handle)).toMatchObject({
      outcome: 'Failed',
      counts: { Succeeded: 1, Refused: 2, Failed: 1, NotStarted: 2 },
      failures: 3,
    });
  });
  for (const other of others) await other.terminate();
});

it.each([
  ['wait', { Succeeded: 2 }],
  ['skip', { Skipped: 1, Succeeded: 1 }],
] as const)('takes its place in its group before its turn, where the plan says %s', async (onLocked, counts) => {
  const [first, second] = [`${onLocked}-a`, `${onLocked}-b`];
  const other = await lock(second);
  const steps = scriptedSteps();
  await withScriptedWorkers(env, steps, async () => {
    const wave = { ids: [first, second], concurrency: 5 };
    const more = { groups: { [onLocked]: 1 }, onLocked };
    const input = rolloutInput(`group-${onLocked}`, wave, { max: 0, mode: 'loose' }, more);
    const handle = await begin({ ...input, timing: { scale: 0.1 } });
    const shard = env.client.workflow.getHandle(shardWorkflowId(input.rollout, handle.firstExecutionRunId, 1, 1));
    const waits = () =>
      shard.query<ShardStatus>(MESSAGES.shardStatus).then(
        (status) => status.waits?.find(({ workflowId }) => workflowId.endsWith(first))?.why,
        () => '',
      );
    const standing = async () => (steps.called.length > 0 ? 'it started' : waits());
    await expect
      .poll(standing, { timeout: 60_000 })
      .toMatch(/^it started|^waits for a member of its group: another upgrade/);
    expect(steps.called).toEqual([]);
    await other.terminate();
    expect(await endedRollout(handle)).toMatchObject({ counts });
    expect(steps.called).toContain(`submit ${first}`);
  });
});
