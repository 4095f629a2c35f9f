/** A shard through more edges of its windows than one history can hold: it goes on in run after run, as if it were one. */
import { Worker } from '@temporalio/worker';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { recurrenceOf } from '../../calendar/forms.js';
import { Gates } from '../../calendar/gate.js';
import { inputOf } from '../../temporal/reads.js';
import type { RolloutWindows } from '../../workflows/contracts/calendar.js';
import { rolloutWorkflowId, runKey, shardWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { SHARD_SIZE, type RolloutInput, type ShardInput, type ShardResult } from '../../workflows/contracts/rollout.js';
import type { GateSteps } from '../../workflows/contracts/steps.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import type { rollout } from '../../workflows/rollout.js';
import { endedRollout } from '../support/ended.js';
import { timeSkippingEnvironment, workflowBundle } from '../support/environment.js';
import { rolloutInput, type Script, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

const MINUTE = 60_000;
/** What no workflow's history may exceed. */
const MOST_EVENTS = 4_000;
let env: TestWorkflowEnvironment;
/** In whole minutes, as windows are. */
let now: number;

beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
beforeEach(async () => {
  now = Math.ceil((await env.currentTimeMs()) / MINUTE) * MINUTE;
});
afterAll(async () => {
  await env.teardown();
});

interface Plan {
  readonly id: string;
  readonly upgrades: readonly UpgradeSpec[];
  readonly concurrency: number;
  readonly budget: RolloutInput['budget'];
  /** Minutes that an upgrade takes. */
  readonly lasts: (id: string) => number;
}

/** A rollout whose windows are open for the first half of each hour, from `now` on. */
async function hourly(plan: Plan, script: Script, meanwhile: (shard: () => string) => Promise<void> = async () => {}) {
  const start = new Date(now).toISOString().slice(11, 16);
  const rrule = `FREQ=DAILY;BYHOUR=${Array.from({ length: 24 }, (_, hour) => hour).join()}`;
  const recurrence = recurrenceOf({ rrule, start, duration: '30m', timezone: 'UTC' });
  const windows: RolloutWindows = {
    calendars: [{ windows: [{ name: 'hourly', recurrence }], blackouts: [] }],
    gates: [{ calendar: 0, needsMs: 0 }],
    since: new Date(now).toISOString(),
    missedWindow: 'next',
  };
  const gates = new Gates(windows);
  /** When each was sent, in minutes after `now`. */
  const sent = new Map<string, number[]>();
  const steps = scriptedSteps({
    ...script,
    submit: async ({ spec: { resource } }) => {
      const at = Math.floor(((await env.currentTimeMs()) - now) / MINUTE);
      sent.set(resource.id, [...(sent.get(resource.id) ?? []), at]);
      return {};
    },
    verify: async (input, call) => {
      const { id } = input.spec.resource;
      const began = (sent.get(id)?.[0] ?? 0) * MINUTE + now;
      if ((await env.currentTimeMs()) < began + plan.lasts(id) * MINUTE) {
        return { verdict: 'still-running', reason: 'status 303' };
      }
      return script.verify?.(input, call) ?? {};
    },
  });
  const reads: typeof steps.reads & GateSteps = {
    ...steps.reads,
    readGates: async ({ gates: asked, hasStarted }) => {
      const at = await env.currentTimeMs();
      return Object.fromEntries(asked.map((gate) => [gate, gates.state(gate, at, hasStarted)]));
    },
  };
  const { id, concurrency, budget } = plan;
  const input = rolloutInput(id, { ids: [], concurrency }, budget);
  const waves = input.waves.map((wave) => ({
    ...wave,
    upgrades: plan.upgrades.map((one) => ({ ...one, gate: 0 })),
  }));
  const body = async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(id),
      taskQueue: QUEUES.main,
      args: [{ ...input, waves, windows }],
    });
    const shard = shardWorkflowId(id, runKey({ rolloutRun: handle.firstExecutionRunId }), 1, 1);
    await meanwhile(() => shard);
    const result = await endedRollout(handle);
    const { ends } = (await env.client.workflow.getHandle(shard).result()) as ShardResult;
    const lengths: number[] = [];
    const carried: number[] = [];
    for (let run = (await env.client.workflow.getHandle(shard).describe()).runId; run !== '';) {
      const history = await env.client.workflow.getHandle(shard, run).fetchHistory();
      await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, history, shard);
      lengths.unshift(history.events?.length ?? 0);
      carried.unshift((await inputOf<ShardInput>(env.client, shard, run)).carried?.failures ?? 0);
      run = history.events?.[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId ?? '';
    }
    const events = async (workflowId: string) =>
      (await env.client.workflow.getHandle(workflowId).fetchHistory()).events?.length ?? 0;
    return { result, ends, lengths, carried, sent, rollout: await events(rolloutWorkflowId(id)) };
  };
  return withScriptedWorkers(env, { ...steps, reads }, body, false);
}

it('starts each in its opening, once, and charges one budget in all of its runs', async () => {
  const id = 'run-after-run';
  const upgrades = Array.from({ length: SHARD_SIZE }, (_, at) => spec(`e-${at}`));
  const idOf = (at: number) => upgradeWorkflowId(spec(`e-${at}`).resource);
  // One in each of three runs; the last of them is more than the budget tolerates.
  const failing = ['e-2', 'e-10', 'e-24'];
  const { result, ends, lengths, sent, carried } = await hourly(
    { id, upgrades, concurrency: 1, budget: { max: 2, mode: 'loose' }, lasts: () => 45 },
    {
      verify: ({ spec: { resource } }) =>
        failing.includes(resource.id) ? { verdict: 'not-at-target', reason: 'version 1, status 303' } : {},
    },
    async (shard) => {
      // Given before the first run has ended, for one whose turn is in a later one.
      const why = 'skipped by ana: a complaint';
      await expect
        .poll(
          () =>
            env.client.workflow
              .getHandle(shard())
              .describe()
              .catch(() => null),
          { timeout: 60_000 },
        )
        .not.toBeNull();
      await env.client.workflow.getHandle(shard()).signal(MESSAGES.skipOrder, { shard: 1, workflowId: idOf(22), why });
    },
  );
  expect(lengths.length).toBeGreaterThan(2);
  expect(Math.max(...lengths)).toBeLessThan(MOST_EVENTS);

  expect([0, 1, 2].every((failures) => carried.includes(failures))).toBe(true);

  expect(result).toMatchObject({ outcome: 'Failed', failures: 3 });
  expect(result.counts).toEqual({ Succeeded: 21, Failed: 3, Skipped: 1, NotStarted: SHARD_SIZE - 25 });
  expect(ends.map(({ workflowId }) => workflowId).toSorted()).toEqual(upgrades.map((_, at) => idOf(at)).toSorted());
  // In order, each once, one in an opening.
  expect([...sent.keys()]).toEqual(
    upgrades.map(({ resource }) => resource.id).filter((one, at) => at <= 24 && one !== 'e-22'),
  );
  expect([...sent.values()].every((times) => times.length === 1)).toBe(true);
  const hours = [...sent.values()].map(([at = 0]) => Math.floor(at / 60));
  // And none of them waits for long: one that outlasts the next opening's half hour leaves that one out.
  const gaps = hours.slice(1).map((hour, at) => hour - (hours[at] ?? 0));
  expect(gaps.every((gap) => gap === 1 || gap === 2)).toBe(true);
  expect([...sent.values()].every(([at = 0]) => at % 60 < 30)).toBe(true);
});
