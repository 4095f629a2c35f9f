/** What keeps a rollout's lists on the server: no worker's business while it runs, and over with it. */
import type { WorkflowExecutionDescription } from '@temporalio/client';
import { tsToMs } from '@temporalio/common/lib/time.js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepInventory } from '../../activities/inventory.js';
import { inputOf } from '../../temporal/reads.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput } from '../../workflows/contracts/rollout.js';
import type { OccurrenceInput, PlanningSteps, ScheduleSteps } from '../../workflows/contracts/schedule.js';
import type { occurrence } from '../../workflows/occurrence.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { rolloutInput, scriptedSteps } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

const kept = (id: string, size = 2) =>
  keepInventory(
    env.client,
    rolloutInput(id, { ids: ['a', 'b', 'c'].map((one) => `${id}-${one}`), concurrency: 3 }, { max: 3, mode: 'loose' }),
    size,
  );

function listsOf({ waves }: RolloutInput): Promise<WorkflowExecutionDescription[]> {
  const parts = waves.flatMap((wave) => wave.parts ?? []);
  return Promise.all(
    parts.map(({ inventory }) => env.client.workflow.getHandle(inventory.workflowId, inventory.runId).describe()),
  );
}

/** A worker that is busy may be late with their first and last task. */
async function expectStatuses(input: RolloutInput, expected: readonly string[]): Promise<void> {
  const statuses = async () => (await listsOf(input)).map(({ status }) => status.name);
  await expect.poll(statuses, { timeout: 30_000 }).toEqual(expected);
}

const start = (input: RolloutInput) =>
  env.client.workflow.start<typeof rollout>('rollout', {
    workflowId: rolloutWorkflowId(input.rollout),
    taskQueue: QUEUES.main,
    args: [input],
  });

it('no worker has one before its rollout ends; then it ends as well', async () => {
  let sent = () => {};
  const isSent = new Promise<void>((resolve) => (sent = resolve));
  let goOn = () => {};
  const mayEnd = new Promise<void>((resolve) => (goOn = resolve));
  const steps = scriptedSteps({
    awaitOperation: async () => {
      sent();
      await mayEnd;
      return {};
    },
  });
  await withScriptedWorkers(env, steps, async () => {
    const input = await kept('lists');
    const handle = await start(input);
    await isSent;
    for (const { status, historyLength, startTime, raw } of await listsOf(input)) {
      // Started, and nothing else.
      expect([status.name, historyLength]).toEqual(['RUNNING', 1]);
      const endsAt = tsToMs(raw.workflowExtendedInfo?.executionExpirationTime);
      expect(Math.round((endsAt - startTime.getTime()) / 86_400_000)).toBe(365);
    }
    goOn();
    expect((await handle.result()).counts).toEqual({ Succeeded: 3 });
    await expectStatuses(input, ['COMPLETED', 'COMPLETED']);
  });
});

it('one that was ended by hand keeps no rollout from its end, and is not made anew', async () => {
  await withScriptedWorkers(env, scriptedSteps(), async () => {
    const input = await kept('gone');
    const ids = input.waves.flatMap(({ parts = [] }) => parts.map(({ inventory }) => inventory.workflowId));
    // Whoever reads it reads its history, which outlives it.
    await env.client.workflow.getHandle(ids[0] ?? '').terminate('for the test');
    expect((await (await start(input)).result()).counts).toEqual({ Succeeded: 3 });
    await expectStatuses(input, ['TERMINATED', 'COMPLETED']);
    expect((await env.client.workflow.getHandle(ids[0] ?? '').describe()).status.name).toBe('TERMINATED');
  });
});

it("a schedule's run whose rollout runs already is skipped, and ends the lists that it made alone", async () => {
  let goOn = () => {};
  const mayEnd = new Promise<void>((resolve) => (goOn = resolve));
  const steps = scriptedSteps({ awaitOperation: () => mayEnd.then(() => ({})) });
  let planned: RolloutInput | null = null;
  const scheduling: ScheduleSteps & PlanningSteps = {
    beginOccurrence: async () => ({ verdict: 'plan', rollout: 'twice', opens: null, closes: null, reason: 'opens' }),
    pauseSchedule: async () => {},
    planOccurrence: async () => {
      planned = await kept('twice');
      return { input: planned, reason: '3 to be upgraded' };
    },
  };
  const reads = { ...steps.reads, ...scheduling };
  await withScriptedWorkers(env, { ...steps, reads, waits: { ...steps.waits, ...scheduling } }, async () => {
    const running = await kept('twice');
    const handle = await start(running);
    const note = await env.client.workflow.execute<typeof occurrence>('occurrence', {
      workflowId: 'schedule:twice',
      taskQueue: QUEUES.main,
      args: [{ schedule: 'twice', pauseOnFailure: false, timing: { scale: 1 } } as OccurrenceInput],
    });
    expect(note).toMatchObject({ state: 'Skipped', reason: 'the rollout runs already' });
    await expectStatuses(planned ?? running, ['COMPLETED', 'COMPLETED']);
    await expectStatuses(running, ['RUNNING', 'RUNNING']);
    goOn();
    expect((await handle.result()).counts).toEqual({ Succeeded: 3 });
    await expectStatuses(running, ['COMPLETED', 'COMPLETED']);
  });
});

it('one that began at once, as of an older release, ends with its rollout as well', async () => {
  await withScriptedWorkers(env, scriptedSteps(), async () => {
    const input = await kept('older', 3);
    const [wave] = input.waves;
    const [part] = wave?.parts ?? [];
    if (wave === undefined || part === undefined) throw new Error('a rollout without a list');
    const { workflowId, runId } = part.inventory;
    const list = await inputOf(env.client, workflowId, runId);
    const { firstExecutionRunId } = await env.client.workflow.start('inventory', {
      workflowId,
      taskQueue: QUEUES.main,
      args: [list],
      workflowIdConflictPolicy: 'TERMINATE_EXISTING',
    });
    const begun = { ...part, inventory: { workflowId, runId: firstExecutionRunId } };
    const older = { ...input, waves: [{ ...wave, parts: [begun] }] };
    await expect.poll(async () => (await listsOf(older))[0]?.historyLength, { timeout: 30_000 }).toBe(4);
    expect((await (await start(older)).result()).counts).toEqual({ Succeeded: 3 });
    await expectStatuses(older, ['COMPLETED']);
  });
});
