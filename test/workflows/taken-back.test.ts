/** What is cancelled while its submit waits for a worker: nothing of it is sent, also before its workflow hears of it. */
import { Worker } from '@temporalio/worker';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../activities/clock.js';
import { createActivities } from '../../activities/index.js';
import { SUBMIT } from '../../temporal/submits.js';
import {
  rolloutWorkflowId,
  runKey,
  shardWorkflowId,
  upgradeWorkflowId,
  waveWorkflowId,
} from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { rollout } from '../../workflows/rollout.js';
import { type Clouds, simulatedClouds } from '../support/clouds.js';
import { type RealEnvironment, realEnvironment, workflowBundle } from '../support/environment.js';

const SCALE = 0.05;
const RESOURCES = 3;
const PARTS = ['upgrade', 'shard', 'wave'] as const;

let env: RealEnvironment;
let clouds: Clouds;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});
beforeEach(async () => {
  clouds = await simulatedClouds({ clock: systemClock, scale: SCALE, graphs: PARTS.length * RESOURCES });
});
afterEach(async () => {
  await clouds.close();
});

it.each(PARTS)('a queued submit of a cancelled %s', async (what) => {
  const { client, nativeConnection: connection, namespace } = env;
  const { reads, submits } = createActivities(clouds.deps);
  const common = { connection, namespace };
  const bundle = await workflowBundle();
  const mainWorker = () =>
    Worker.create({ ...common, taskQueue: QUEUES.main, workflowBundle: bundle, activities: { ...reads } });

  // Resources of its own, so that the histories are of this case.
  const specs = clouds.specs('ges').slice(PARTS.indexOf(what) * RESOURCES, (PARTS.indexOf(what) + 1) * RESOURCES);
  const upgrades = specs.map(({ resource }) => client.workflow.getHandle(upgradeWorkflowId(resource)));
  const events = async () => {
    const histories = await Promise.all(upgrades.map((one) => one.fetchHistory().catch(() => null)));
    return histories.flatMap((history) => history?.events ?? []);
  };
  const scheduled = async () =>
    (await events()).filter(({ activityTaskScheduledEventAttributes: told }) => told?.activityType?.name === SUBMIT)
      .length;
  const completed = async () =>
    (await events()).filter(({ activityTaskCompletedEventAttributes: told }) => told != null).length;

  const main = await mainWorker();
  const handle = await main.runUntil(async () => {
    const started = await client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(what),
      taskQueue: QUEUES.main,
      args: [
        {
          rollout: what,
          planDigest: 'digest',
          startedBy: 'test',
          waves: [{ name: 'all', concurrency: RESOURCES, upgrades: specs }],
          budget: { max: RESOURCES, mode: 'loose' },
          accountLimits: {},
          timing: { scale: SCALE },
        },
      ],
    });
    await expect.poll(scheduled, { timeout: 60_000 }).toBe(RESOURCES);
    return started;
  });

  const run = handle.firstExecutionRunId;
  const parts = {
    upgrade: upgrades,
    shard: [client.workflow.getHandle(shardWorkflowId(what, runKey({ rolloutRun: run }), 1, 1))],
    wave: [client.workflow.getHandle(waveWorkflowId(what, runKey({ rolloutRun: run }), 1))],
  }[what];
  for (const part of parts) await part.cancel();
  const before = await completed();
  const submitting = await Worker.create({ ...common, taskQueue: QUEUES.submit, activities: { ...submits } });
  await submitting.runUntil(async () => {
    await expect.poll(completed, { timeout: 60_000 }).toBe(before + RESOURCES);
  });

  expect(clouds.simulator.truth().submits).toEqual([]);
  const again = await mainWorker();
  await again.runUntil(async () => {
    const results = await Promise.all(upgrades.map((one) => one.result()));
    expect(results).toEqual(
      upgrades.map(() =>
        expect.objectContaining({ outcome: 'NotStarted', reason: expect.stringContaining('cancelled') }),
      ),
    );
    await handle.result().catch(() => undefined);
  });
});
