/**
 * A freeze stops a running rollout's submits within seconds, whoever dies meanwhile, and holds when it is made while no
 * worker is up; lifted by a second person, the rollout goes on and ends right.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../activities/clock.js';
import { createFreeze, liftFreeze } from '../../client/freezes.js';
import { rolloutStatus, startRollout } from '../../client/rollouts.js';
import { rolloutRows } from '../../client/rows.js';
import { withRows } from '../../client/views.js';
import { shardWorkflowId } from '../../workflows/contracts/ids.js';
import { runKeyOf } from '../support/run-key.js';
import type { RolloutResult } from '../../workflows/contracts/rollout.js';
import { type Clouds, simulatedClouds } from '../support/clouds.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { startWorkerProcess, type WorkerProcess, writeAccounts } from '../support/worker-process.js';

const SCALE = 0.05;
const RESOURCES = 24;
/** From the moment that the freeze is recorded: a cached answer, and a send that was past its last question. */
const WITHIN_MS = 3_000;
/** Each test waits through a freeze, two starts of a worker and all upgrades, on a machine that may be busy. */
const TAKES_MS = 300_000;
/** So long is looked whether anything is sent after all. */
const QUIET_MS = 6_000;

let env: RealEnvironment;
let clouds: Clouds;
let directory: string;
let worker: WorkerProcess | null = null;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'uplift-freeze-'));
  env = await realEnvironment();
  clouds = await simulatedClouds({
    clock: systemClock,
    scale: SCALE,
    graphs: RESOURCES,
    durationMs: { min: 2_000, max: 2_000 },
  });
});
afterEach(async () => {
  worker?.signal('SIGKILL');
  await worker?.ended;
  worker = null;
  await clouds.close();
  await env.teardown();
  await rm(directory, { recursive: true, force: true });
});

const submits = () => clouds.simulator.truth().submits;

async function startWorker(): Promise<void> {
  const accounts = await writeAccounts(directory, clouds.simulator.url);
  worker = await startWorkerProcess({ address: env.server.address, accounts });
}

async function killWorker(): Promise<void> {
  worker?.signal('SIGKILL');
  await worker?.ended;
  worker = null;
}

function startOne(rollout: string) {
  return startRollout(env.client, {
    rollout,
    planDigest: 'digest',
    startedBy: 'test',
    waves: [{ name: 'all', concurrency: 6, upgrades: clouds.specs('ges') }],
    budget: { max: RESOURCES, mode: 'loose' },
    accountLimits: {},
    timing: { scale: SCALE },
  });
}

const everything = () => ({
  scope: [{ account: ['huawei'] }],
  except: [],
  until: new Date(Date.now() + 3_600_000).toISOString(),
});

it(
  'stops submits within seconds, through the death of the worker, until a second person lifts it',
  { timeout: TAKES_MS },
  async () => {
    await startWorker();
    const started = await startOne('spring');
    while (submits().length < 6) await delay(100);

    const freeze = await createFreeze(env.client, everything(), { actor: 'ana', reason: 'a customer complained' });
    const frozenAt = Date.now();
    await delay(WITHIN_MS);
    const sent = submits().length;
    expect(sent).toBeLessThan(RESOURCES);
    await killWorker();
    await delay(1_000);
    await startWorker();
    await delay(QUIET_MS);

    const during = submits().filter(({ at }) => at > frozenAt + WITHIN_MS);
    expect(during).toEqual([]);
    expect(submits()).toHaveLength(sent);

    // What had been sent is followed to its end meanwhile, and the rest says what it waits for.
    let view = await rolloutStatus(env.client, 'spring');
    while (view.counts.Succeeded !== sent || view.freezes?.[0]?.resources !== RESOURCES - sent) {
      await delay(300);
      const told = await rolloutStatus(env.client, 'spring');
      view = withRows(told, await rolloutRows(env.client, 'spring'));
    }
    expect(view.freezes).toMatchObject([{ freeze: { id: freeze.id }, resources: RESOURCES - sent }]);
    expect(view.reason).toContain('by ana because a customer complained');

    await expect(liftFreeze(env.client, freeze.id, { actor: 'ana', reason: 'over' })).rejects.toThrow(
      'a second person',
    );
    await delay(1_500);
    expect(submits()).toHaveLength(sent);
    await liftFreeze(env.client, freeze.id, { actor: 'ben', reason: 'over' });
    const result = (await env.client.workflow.getHandle(started.workflowId).result()) as RolloutResult;
    expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: RESOURCES } });
    expect(submits()).toHaveLength(RESOURCES);

    // Asked once before anything started, and once for this freeze, however long it lasted.
    const { events } = await env.client.workflow
      .getHandle(shardWorkflowId('spring', await runKeyOf(env.client, started), 1, 1))
      .fetchHistory();
    const asked = (events ?? []).filter(({ activityTaskScheduledEventAttributes: scheduled }) =>
      scheduled?.activityType?.name?.toLowerCase().includes('freeze'),
    );
    expect(asked.length).toBeLessThanOrEqual(3);
  },
);

it('holds from its creation although no worker is up then, and ends by itself', { timeout: TAKES_MS }, async () => {
  const until = new Date(Date.now() + 20_000).toISOString();
  await createFreeze(env.client, { ...everything(), until }, { actor: 'ana', reason: 'audit' });
  const started = await startOne('autumn');
  await startWorker();
  const result = (await env.client.workflow.getHandle(started.workflowId).result()) as RolloutResult;
  expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: RESOURCES } });
  expect(submits()).toHaveLength(RESOURCES);
  expect(Math.min(...submits().map(({ at }) => at))).toBeGreaterThanOrEqual(Date.parse(until));
});
