/** What keeps a rollout's lists on the server: no worker's business while it runs, and over with it. */
import type { WorkflowExecutionDescription, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { tsToMs } from '@temporalio/common/lib/time.js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepInventory } from '../../activities/inventory.js';
import { inputOf } from '../../temporal/reads.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { inventoriesOf, type RolloutInput } from '../../workflows/contracts/rollout.js';
import type { OccurrenceInput, PlanningSteps, ScheduleSteps } from '../../workflows/contracts/schedule.js';
import type { InventorySteps } from '../../workflows/contracts/steps.js';
import type { occurrence } from '../../workflows/occurrence.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { heldOperations, rolloutInput, scriptedSteps } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

const DAY_MS = 86_400_000;

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

/** A rollout of three upgrades, whose lists are two. */
function kept(id: string): Promise<RolloutInput> {
  const ids = ['a', 'b', 'c'].map((one) => `${id}-${one}`);
  return keepInventory(env.client, rolloutInput(id, { ids, concurrency: 3 }, { max: 3, mode: 'loose' }), 2);
}

const handlesOf = (input: RolloutInput) =>
  inventoriesOf(input).map(({ workflowId, runId }) => env.client.workflow.getHandle(workflowId, runId));

const listsOf = (input: RolloutInput): Promise<WorkflowExecutionDescription[]> =>
  Promise.all(handlesOf(input).map((handle) => handle.describe()));

/** A worker that is busy may be late with their only task. */
async function expectStatuses(input: RolloutInput, expected: readonly string[]): Promise<void> {
  const statuses = async () => (await listsOf(input)).map(({ status }) => status.name);
  await expect.poll(statuses, { timeout: 30_000 }).toEqual(expected);
}

interface Course {
  readonly input: RolloutInput;
  /** While its operations run. */
  readonly meanwhile?: (handle: WorkflowHandleWithFirstExecutionRunId<typeof rollout>) => Promise<unknown>;
  /** What comes of its lists. */
  readonly lists: readonly string[];
  readonly steps?: Partial<InventorySteps & ScheduleSteps & PlanningSteps>;
}

async function run({ input, meanwhile, lists, steps: more }: Course): Promise<void> {
  const { script, followed, release } = heldOperations();
  const steps = scriptedSteps(script);
  const [reads, waits] = [
    { ...steps.reads, ...more },
    { ...steps.waits, ...more },
  ];
  await withScriptedWorkers(env, { ...steps, reads, waits }, async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(input.rollout),
      taskQueue: QUEUES.main,
      args: [input],
    });
    await followed;
    // Else what fails here would be told by a time-out of the worker, which waits for its steps.
    await Promise.resolve(meanwhile?.(handle)).finally(release);
    expect((await handle.result()).counts).toEqual({ Succeeded: 3 });
    await expectStatuses(input, lists);
  });
}

it('no worker has one before its rollout ends; then it ends as well', async () => {
  const input = await kept('ends');
  const meanwhile = async () => {
    for (const { status, historyLength, startTime, raw } of await listsOf(input)) {
      // Started, and nothing else.
      expect([status.name, historyLength]).toEqual(['RUNNING', 1]);
      const endsAt = tsToMs(raw.workflowExtendedInfo?.executionExpirationTime);
      expect(Math.round((endsAt - startTime.getTime()) / DAY_MS)).toBe(365);
    }
  };
  await run({ input, meanwhile, lists: ['COMPLETED', 'COMPLETED'] });
});

it('those of a rollout that is cancelled end with it', async () => {
  const input = await kept('cancelled');
  await run({ input, meanwhile: (handle) => handle.cancel(), lists: ['COMPLETED', 'COMPLETED'] });
});

it('one that was ended by hand keeps no rollout from its end, and is not made anew', async () => {
  const input = await kept('gone');
  await run({
    input,
    meanwhile: () => handlesOf(input)[0]?.terminate() ?? Promise.reject(new Error('no list')),
    lists: ['TERMINATED', 'COMPLETED'],
  });
  const [first] = inventoriesOf(input);
  expect((await env.client.workflow.getHandle(first?.workflowId ?? '').describe()).runId).toBe(first?.runId);
});

it('a rollout that cannot let them go ends all the same', async () => {
  const releaseInventories = () => Promise.reject(ApplicationFailure.nonRetryable('denied'));
  await run({ input: await kept('denied'), lists: ['RUNNING', 'RUNNING'], steps: { releaseInventories } });
});

it("a schedule's run whose rollout runs already is skipped, and ends the lists that it made alone", async () => {
  const [input, planned] = [await kept('twice'), await kept('twice')];
  const steps: ScheduleSteps & PlanningSteps = {
    beginOccurrence: async () => ({ verdict: 'plan', rollout: 'twice', opens: null, closes: null, reason: 'opens' }),
    pauseSchedule: async () => {},
    planOccurrence: async () => ({ input: planned, reason: '3 to be upgraded' }),
  };
  const meanwhile = async () => {
    const note = await env.client.workflow.execute<typeof occurrence>('occurrence', {
      workflowId: 'schedule:twice',
      taskQueue: QUEUES.main,
      args: [{ schedule: 'twice', pauseOnFailure: false, timing: { scale: 1 } } as OccurrenceInput],
    });
    expect(note).toMatchObject({ state: 'Skipped', reason: 'the rollout runs already' });
    await expectStatuses(planned, ['COMPLETED', 'COMPLETED']);
    await expectStatuses(input, ['RUNNING', 'RUNNING']);
  };
  await run({ input, meanwhile, lists: ['COMPLETED', 'COMPLETED'], steps });
});

it('those that began at once, as of an older release, end with their rollout as well', async () => {
  const input = await kept('older');
  const begunAtOnce = await Promise.all(
    inventoriesOf(input).map(async ({ workflowId, runId }) => {
      const { firstExecutionRunId } = await env.client.workflow.start('inventory', {
        workflowId,
        taskQueue: QUEUES.main,
        args: [await inputOf(env.client, workflowId, runId)],
        workflowIdConflictPolicy: 'TERMINATE_EXISTING',
      });
      return { workflowId, runId: firstExecutionRunId };
    }),
  );
  const waves = input.waves.map((wave) => ({
    ...wave,
    parts: (wave.parts ?? []).map((part, at) => ({ ...part, inventory: begunAtOnce[at] ?? part.inventory })),
  }));
  const older = { ...input, waves };
  const shortest = async () => Math.min(...(await listsOf(older)).map(({ historyLength }) => historyLength));
  const meanwhile = async () => {
    await expect.poll(shortest, { timeout: 30_000 }).toBeGreaterThanOrEqual(4);
  };
  await run({ input: older, meanwhile, lists: ['COMPLETED', 'COMPLETED'] });
});
