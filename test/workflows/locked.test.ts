/** What others upgrade counts in the limits of a rollout, on a real server. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepInventory } from '../../activities/inventory.js';
import { lockSteps } from '../../activities/locks.js';
import { skip } from '../../client/control.js';
import { rolloutWorkflowId, runKey, shardWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput, ShardStatus } from '../../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
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
    const shard = env.client.workflow.getHandle(
      shardWorkflowId(input.rollout, runKey({ rolloutRun: handle.firstExecutionRunId }), 1, 1),
    );
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

/** Of wave 1's one shard. */
async function waitsOf({ rollout: id }: RolloutInput, run: string): Promise<ShardStatus['waits']> {
  const shard = env.client.workflow.getHandle(shardWorkflowId(id, runKey({ rolloutRun: run }), 1, 1));
  return (await shard.query<ShardStatus>(MESSAGES.shardStatus)).waits;
}

const named = (input: RolloutInput, more: (id: string) => Partial<UpgradeSpec>): RolloutInput => ({
  ...input,
  waves: input.waves.map((wave) => ({
    ...wave,
    upgrades: (wave.upgrades ?? []).map((one) => ({ ...one, ...more(one.resource.id) })),
  })),
});

it('looks again before members of a group start that others upgraded by an earlier look', async () => {
  const [x, y, a, b] = ['again-x', 'again-y', 'again-a', 'again-b'];
  const others = await Promise.all([a, b].map(lock));
  const before = heldOperations();
  const steps = scriptedSteps({
    awaitOperation: ({ spec: { resource } }) => ([x, y].includes(resource.id) ? before.script.awaitOperation() : {}),
  });
  await withScriptedWorkers(env, steps, async () => {
    const wave = { ids: [x, y, a, b], concurrency: 2 };
    const input = named(rolloutInput('again', wave, { max: 0, mode: 'loose' }), (id) =>
      id === y ? {} : { groups: { [id === x ? 'alone' : 'again']: 1 } },
    );
    const handle = await begin({ ...input, timing: { scale: 0.1 } });
    await before.followed;
    for (const other of others) await other.terminate();
    before.release();

    expect(await endedRollout(handle)).toMatchObject({ counts: { Succeeded: 4 } });
    // One of the pair is over before the other one begins.
    const pair = steps.called.filter((call) => call.endsWith(a) || call.endsWith(b)).map((call) => call.slice(-1));
    expect(['aaaabbbb', 'bbbbaaaa']).toContain(pair.join(''));
  });
});

it.each([
  ['who upgrades members of groups', { groups: { untold: 2 } }],
  ['who has a lease', {}],
] as const)('leaves a wave out also while the server does not tell %s', async (_, more) => {
  const id = 'groups' in more ? 'untold-group' : 'untold-lease';
  const other = await lock(`${id}-a`);
  let ask = () => {};
  const asked = new Promise<void>((resolve) => (ask = resolve));
  const steps = scriptedSteps();
  Object.assign(steps.reads, {
    lockOwners: () => {
      ask();
      return Promise.reject(new Error('the server is too busy'));
    },
  });
  await withScriptedWorkers(env, steps, async () => {
    const ids = [`${id}-a`, `${id}-b`];
    const input = rolloutInput(id, { ids, concurrency: 1 }, { max: 0, mode: 'loose' }, more);
    const handle = await begin(input);
    await asked;
    const waits = () =>
      waitsOf(input, handle.firstExecutionRunId).then(
        (all) => all?.map(({ why }) => why),
        () => [],
      );
    const why = 'waits for the server to tell who upgrades some of it just now';
    await expect.poll(waits, { timeout: 60_000 }).toEqual([why, why]);
    await skip(env.client, input.rollout, { wave: input.waves[0]?.name ?? '' }, { actor: 'ana', reason: 'a test' });

    expect(await endedRollout(handle)).toMatchObject({ counts: { Skipped: 2 } });
    expect(steps.called).toEqual([]);
    // Its page does not wait any more.
    const shard = env.client.workflow.getHandle(
      shardWorkflowId(id, runKey({ rolloutRun: handle.firstExecutionRunId }), 1, 1),
    );
    const page = await shard.query<{ readonly currentDetails: string }>('__temporal_workflow_metadata');
    expect(page.currentDetails).toMatch(/^\*\*2 of 2 ended\*\*/);
    expect(page.currentDetails).not.toContain(why);
  });
  await other.terminate();
});

it('keeps one place in its group for a broken member that others upgrade, and no second one once it was skipped', async () => {
  const [a, b, c] = ['once-a', 'once-b', 'once-c'];
  const other = await lock(a);
  const steps = scriptedSteps();
  await withScriptedWorkers(env, steps, async () => {
    const more = (id: string): Partial<UpgradeSpec> => ({
      groups: { once: 2 },
      ...(id === a ? { unwellBefore: true, failedBefore: true } : {}),
    });
    const input = named(rolloutInput('once', { ids: [a, b, c], concurrency: 3 }, { max: 0, mode: 'loose' }), more);
    const handle = await begin(input);
    await expect.poll(() => steps.called, { timeout: 60_000 }).toContain(`verify ${c}`);
    expect(await endedRollout(handle)).toMatchObject({ counts: { Skipped: 1, Succeeded: 2 } });
  });
  await other.terminate();
});
