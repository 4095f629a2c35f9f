/**
 * Cancel and terminate, as Temporal's UI offers them for every workflow of a rollout, on a real server. Cancelling means
 * stop; what is terminated is followed by its upgrades, and taken up by the next run. The clouds' own record is the judge.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../activities/clock.js';
import { retry } from '../../client/retry.js';
import { keepInventory } from '../../activities/inventory.js';
import { waitForRollout } from '../../client/rollouts.js';
import { rolloutRows } from '../../client/rows.js';
import { isGood, type ResourceRow } from '../../client/views.js';
import { createWorkers } from '../../worker/workers.js';
import {
  rolloutWorkflowId,
  runKey,
  shardWorkflowId,
  upgradeWorkflowId,
  waveWorkflowId,
} from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput } from '../../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import type { rollout } from '../../workflows/rollout.js';
import { Calls } from '../support/calls.js';
import { type Clouds, simulatedClouds } from '../support/clouds.js';
import { type RealEnvironment, realEnvironment, workflowBundle } from '../support/environment.js';

const SCALE = 0.05;
/** Six in three shards of two, and two in a wave of their own. */
const RESOURCES = 8;
const SHARD = 2;
/** As many as are in flight when the hand comes: both of the first shard, and one of the second. */
const IN_FLIGHT = 3;
const ENDLESS_MS = 3_600_000;

let env: RealEnvironment;
let clouds: Clouds;
let workers: Awaited<ReturnType<typeof createWorkers>>;
let serving: Promise<void>;
const calls = new Calls();
let untouched: UpgradeSpec[];

beforeAll(async () => {
  env = await realEnvironment();
  clouds = await simulatedClouds({
    clock: systemClock,
    scale: SCALE,
    seed: 'operators',
    graphs: 9 * RESOURCES,
    durationMs: { min: 500, max: 1_000 },
    onCall: calls.watch,
  });
  untouched = clouds.specs('ges').map((spec) => ({ ...spec, onLocked: 'wait' }));
  workers = await createWorkers({
    connection: env.nativeConnection,
    namespace: env.namespace,
    deps: clouds.deps,
    workflowBundle: await workflowBundle(),
  });
  serving = workers.run();
});
afterAll(async () => {
  workers.shutdown();
  await serving;
  await clouds.close();
  await env.teardown();
});

interface Place {
  readonly id: string;
  readonly runId: string;
  readonly specs: readonly UpgradeSpec[];
}

/** A rollout with three operations that run until they are told to end, and five resources that wait for them. */
async function begin(id: string): Promise<Place> {
  const specs = untouched.splice(0, RESOURCES);
  const slow = specs.slice(0, IN_FLIGHT);
  for (const { resource } of slow) clouds.simulator.inventory.change(resource.id, { durationMs: ENDLESS_MS });
  const input: RolloutInput = {
    rollout: id,
    planDigest: 'digest',
    startedBy: 'ana',
    waves: [
      { name: 'first', concurrency: IN_FLIGHT, upgrades: specs.slice(0, 6) },
      { name: 'second', concurrency: IN_FLIGHT, upgrades: specs.slice(6) },
    ],
    budget: { max: RESOURCES, mode: 'loose' },
    accountLimits: {},
    timing: { scale: SCALE },
  };
  const handle = await env.client.workflow.start<typeof rollout>('rollout', {
    workflowId: rolloutWorkflowId(id),
    taskQueue: QUEUES.main,
    args: [await keepInventory(env.client, input, SHARD)],
  });
  const place = { id, runId: handle.firstExecutionRunId, specs };
  await until(async () => (await rowsOf(place)).slice(0, IN_FLIGHT).every(({ phase }) => phase === 'Await'));
  return place;
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await delay(500);
}

const rowsOf = ({ id }: Pick<Place, 'id'>): Promise<readonly ResourceRow[]> => rolloutRows(env.client, id);
const accepted = ({ resource }: UpgradeSpec) =>
  clouds.simulator.truth().submits.filter((one) => one.resource === resource.id).length;
const outcomesOf = async (place: Place) => (await rowsOf(place)).map(({ outcome }) => outcome);

/** What runs ends now. */
function finish({ specs }: Place): void {
  for (const { resource } of specs) {
    for (const { operation } of clouds.simulator.inventory.operations(resource.id)) {
      if (operation.durationMs === ENDLESS_MS)
        Object.assign(operation, { durationMs: Date.now() - operation.acceptedAt });
    }
  }
}

const WORKFLOWS = {
  rollout: ({ id }: Place) => rolloutWorkflowId(id),
  wave: ({ id, runId }: Place) => waveWorkflowId(id, runKey({ rolloutRun: runId }), 1),
  shard: ({ id, runId }: Place) => shardWorkflowId(id, runKey({ rolloutRun: runId }), 1, 2),
  upgrade: ({ specs: [first] }: Place) => upgradeWorkflowId((first as UpgradeSpec).resource),
} as const;
const of = (what: keyof typeof WORKFLOWS, place: Place) => env.client.workflow.getHandle(WORKFLOWS[what](place));

const stateOf = async ({ id }: Pick<Place, 'id'>) => (await waitForRollout(env.client, id))?.state;

/** The upgrades of what was in flight have ended, whoever their parents were. */
async function followed({ specs }: Place): Promise<void> {
  for (const { resource } of specs.slice(0, IN_FLIGHT)) {
    const upgrade = env.client.workflow.getHandle(upgradeWorkflowId(resource));
    await until(async () => (await upgrade.describe()).status.name !== 'RUNNING');
  }
}

/** Whatever was left is done by the next run, and nothing is submitted twice. */
async function finishedByRetry(place: Place): Promise<readonly ResourceRow[]> {
  const next = await retry(env.client, place.id, ['failed', 'skipped'], { actor: 'ana', reason: 'the rest' });
  if ((await rowsOf(place)).some(({ outcome }) => outcome === 'Held')) {
    // What was terminated is adopted while it runs.
    await until(async () => (await rowsOf({ id: next.rollout })).some(({ phase }) => phase === 'Await'));
    finish(place);
  }
  expect(await stateOf({ id: next.rollout })).toBe('Succeeded');
  expect(place.specs.map(accepted)).toEqual(Array(RESOURCES).fill(1));
  return rowsOf({ id: next.rollout });
}

const [S, N, H] = ['Succeeded', 'NotStarted', 'Held'] as const;

describe('cancelling is stopping', { timeout: 300_000 }, () => {
  it.concurrent.each(['rollout', 'wave'] as const)('a %s', async (what) => {
    const place = await begin(`cancel-${what}`);
    await of(what, place).cancel();
    finish(place);
    expect(await stateOf(place)).toBe('Stopped');
    expect(await outcomesOf(place)).toEqual([S, S, S, N, N, N, N, N]);
    expect(place.specs.map(accepted)).toEqual([1, 1, 1, 0, 0, 0, 0, 0]);
    await finishedByRetry(place);
  });

  it.concurrent('a shard: its own, and no wave follows', async () => {
    const place = await begin('cancel-shard');
    await of('shard', place).cancel();
    finish(place);
    expect(await stateOf(place)).toBe('Stopped');
    const outcomes = await outcomesOf(place);
    expect([...outcomes.slice(0, 4), ...outcomes.slice(6)]).toEqual([S, S, S, N, N, N]);
    expect(place.specs.map(accepted)).toEqual(outcomes.map((outcome) => (isGood(outcome) ? 1 : 0)));
    await finishedByRetry(place);
  });

  it.concurrent('an upgrade that was submitted is followed, and the others go on', async () => {
    const place = await begin('cancel-upgrade');
    await of('upgrade', place).cancel();
    finish(place);
    expect(await stateOf(place)).toBe('Succeeded');
    expect(place.specs.map(accepted)).toEqual(Array(RESOURCES).fill(1));
  });

  it.concurrent('one that was not ends, and the others go on', async () => {
    const id = untouched[IN_FLIGHT]?.resource.id;
    const held = calls.hold(({ resource, point }) => resource === id && point === 'arrived');
    const place = await begin('cancel-unsent');
    expect(place.specs[IN_FLIGHT]?.resource.id).toBe(id);
    finish(place);
    await held.reached;
    await env.client.workflow.getHandle(upgradeWorkflowId((place.specs[IN_FLIGHT] as UpgradeSpec).resource)).cancel();
    await until(async () => (await outcomesOf(place))[IN_FLIGHT] === N);
    held.release();
    expect(await stateOf(place)).toBe('SucceededWithFailures');
    expect(await outcomesOf(place)).toEqual([S, S, S, N, S, S, S, S]);
    expect(place.specs.map(accepted)).toEqual([1, 1, 1, 0, 1, 1, 1, 1]);
    await finishedByRetry(place);
  });
});

describe('what is terminated is followed, and taken up by the next run', { timeout: 300_000 }, () => {
  it.concurrent('a rollout', async () => {
    const place = await begin('terminate-rollout');
    await of('rollout', place).terminate('by hand');
    expect(await stateOf(place)).toBe('Terminated');
    finish(place);
    await followed(place);
    await until(async () => (await outcomesOf(place)).every((outcome) => outcome !== null));
    expect(await outcomesOf(place)).toEqual([S, S, S, N, N, N, N, N]);
    await finishedByRetry(place);
  });

  it.concurrent.each(['wave', 'shard'] as const)('a %s', async (what) => {
    const place = await begin(`terminate-${what}`);
    await of(what, place).terminate('by hand');
    finish(place);
    expect(await stateOf(place)).toBe('Stopped');
    await followed(place);
    const outcomes = await outcomesOf(place);
    expect(outcomes.slice(0, IN_FLIGHT)).toEqual([S, S, S]);
    expect([outcomes[3], ...outcomes.slice(6)]).toEqual([N, N, N]);
    await finishedByRetry(place);
  });

  it.concurrent('an upgrade: its operation is adopted, and the others go on meanwhile', async () => {
    const place = await begin('terminate-upgrade');
    await of('upgrade', place).terminate('by hand');
    await until(async () => (await outcomesOf(place))[0] === H);
    for (const { resource } of place.specs.slice(1, IN_FLIGHT))
      finish({ ...place, specs: [{ ...place.specs[0], resource } as UpgradeSpec] });
    expect(await stateOf(place)).toBe('SucceededWithFailures');
    expect(await outcomesOf(place)).toEqual([H, S, S, S, S, S, S, S]);
    expect(await finishedByRetry(place)).toMatchObject([{ outcome: 'Adopted' }]);
  });
});
