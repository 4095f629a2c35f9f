/** A rollout that does not finish in its window goes on in the next one; nothing is ever accepted outside. */
import { activityInfo } from '@temporalio/activity';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../activities/clock.js';
import type { StepDeps } from '../../activities/step.js';
import { type Cause, explain } from '../../client/explain.js';
import { rolloutStatus } from '../../client/rollouts.js';
import { createWorkers } from '../../worker/workers.js';
import { readLedger } from '../../temporal/ledger.js';
import type { CalendarEntry } from '../../workflows/contracts/calendar.js';
import { rolloutWorkflowId, runKey, shardWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput, RolloutResult } from '../../workflows/contracts/rollout.js';
import type { rollout } from '../../workflows/rollout.js';
import { endedRollout } from '../support/ended.js';
import { type Clouds, simulatedClouds } from '../support/clouds.js';
import { type RealEnvironment, realEnvironment, workflowBundle } from '../support/environment.js';

const SCALE = 0.05;
const RESOURCES = 16;

let env: RealEnvironment;
let clouds: Clouds;

beforeAll(async () => {
  env = await realEnvironment();
  // Here, since it takes seconds, and openings are counted from when they are written.
  await workflowBundle();
});
afterAll(async () => {
  await env.teardown();
});
beforeEach(async () => {
  clouds = await simulatedClouds({
    clock: systemClock,
    scale: SCALE,
    graphs: RESOURCES,
    durationMs: { min: 4_000, max: 4_000 },
  });
});
afterEach(async () => {
  await clouds.close();
});

interface Span {
  readonly opens: number;
  readonly closes: number;
}

/** In whole seconds, as windows are. */
function span(fromMs: number, toMs: number): Span {
  const second = (ms: number) => Math.ceil((Date.now() + ms) / 1000) * 1000;
  return { opens: second(fromMs), closes: second(toMs) };
}

function windowOf({ opens, closes }: Span): CalendarEntry {
  const wall = (ms: number) => new Date(ms).toISOString().slice(0, 19);
  return { name: 'w', recurrence: { start: wall(opens), end: wall(closes), duration: 'PT0S', timezone: 'UTC' } };
}

interface Only {
  readonly id?: string;
  readonly deps?: Partial<StepDeps>;
  readonly resources?: number;
}

async function run(
  spans: readonly Span[],
  more: Partial<RolloutInput['windows']> = {},
  meanwhile: (rollout: string) => Promise<void> = async () => {},
  { id = `windows-${spans.length}`, deps = {}, resources = RESOURCES }: Only = {},
): Promise<RolloutResult> {
  const workers = await createWorkers({
    connection: env.nativeConnection,
    namespace: env.namespace,
    deps: { ...clouds.deps, ...deps },
    workflowBundle: await workflowBundle(),
  });
  const running = workers.run();
  const specs = clouds
    .specs('ges')
    .slice(0, resources)
    .map((spec) => ({ ...spec, gate: 0 }));
  try {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(id),
      taskQueue: QUEUES.main,
      args: [
        {
          rollout: id,
          planDigest: 'digest',
          startedBy: 'test',
          waves: [{ name: 'all', concurrency: 2, upgrades: specs }],
          budget: { max: RESOURCES, mode: 'loose' },
          accountLimits: {},
          timing: { scale: SCALE },
          windows: {
            calendars: [{ windows: spans.map(windowOf), blackouts: [] }],
            gates: [{ calendar: 0, needsMs: 0 }],
            since: new Date().toISOString(),
            missedWindow: 'next',
            ...more,
          },
        },
      ],
    });
    await meanwhile(id);
    const result = await endedRollout(handle);
    const shard = env.client.workflow.getHandle(
      shardWorkflowId(id, runKey({ rolloutRun: handle.firstExecutionRunId }), 1, 1),
    );
    const { events } = await shard.fetchHistory();
    asked = (events ?? []).filter(
      ({ activityTaskScheduledEventAttributes: scheduled }) => scheduled?.activityType?.name === 'readGates',
    ).length;
    return result;
  } finally {
    workers.shutdown();
    await running;
  }
}

/** How often the shard of the latest run asked for its windows. */
let asked = 0;

/** What the Temporal UI shows of a rollout. */
async function pageOf(rolloutId: string): Promise<string> {
  const handle = env.client.workflow.getHandle(rolloutWorkflowId(rolloutId));
  const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  return currentDetails;
}

function acceptedWithin({ opens, closes }: Span): number {
  return clouds.simulator.truth().submits.filter(({ at }) => at >= opens && at < closes).length;
}

it('goes on in the next opening, at a constant price', async () => {
  const first = span(-1_000, 20_000);
  // Late enough for all that the first one started to have ended, on a busy machine too.
  const second = span(90_000, 900_000);
  const minute = (ms: number) =>
    new Date(ms).toISOString().replace('T', ' ').replace('.000Z', 'Z').replace(':00Z', 'Z');
  const opening = `${minute(second.opens)} to ${minute(second.closes)}`;
  const pages: string[] = [];
  let waited = { reason: '', next: '', causes: [] as readonly Cause[] };
  const result = await run([first, second], {}, async (id) => {
    let told = await rolloutStatus(env.client, id);
    for (; told.state === 'Running'; told = await rolloutStatus(env.client, id)) await systemClock.sleep(100);
    pages.push(await pageOf(id));
    waited = { reason: told.reason, next: told.next, causes: await explain(env.client, id) };
    for (; told.endedAt === null; told = await rolloutStatus(env.client, id)) {
      pages.push(await pageOf(id));
      if (pages.at(-1)?.includes('open until')) break;
      await systemClock.sleep(100);
    }
  });
  expect(pages[0]).toContain(`| w | shut until ${minute(second.opens)}: outside every window | ${opening} |`);
  expect(pages.at(-1)).toContain(`| w | open until ${minute(second.closes)} |`);
  const opens = new Date(second.opens).toISOString();
  expect(waited).toMatchObject({
    reason: `waits for its window, which opens ${opens}: outside every window`,
    next: 'the opening of its window',
  });
  expect(waited.causes).toContainEqual({
    who: expect.any(String) as string,
    what: waited.reason,
    nextAt: opens,
    changes: 'the opening of its window',
  });

  expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: RESOURCES } });
  expect(acceptedWithin(first) + acceptedWithin(second)).toBe(RESOURCES);
  expect(clouds.simulator.truth().submits).toHaveLength(RESOURCES);
  // Two at a time and four seconds each: the first one cannot take all of them.
  expect(acceptedWithin(second)).toBeGreaterThan(0);
  // At the start, at the edges, and once more for a timer that fires early.
  expect(asked).toBeLessThanOrEqual(6);

  // Told once by its shard, for all of its upgrades; four seconds at this scale are 80, and what surrounds them.
  const learned = Object.entries(await readLedger(env.client, 'durations'));
  expect(learned.map(([name, list]) => [name, list.length])).toEqual(
    expect.arrayContaining([
      ['ges-v1 -', RESOURCES / 2],
      ['ges-v2 -', RESOURCES / 2],
    ]),
  );
  for (const ms of learned.flatMap(([, list]) => list)) expect(ms).toBeGreaterThan(80_000);
});

it('starts nothing more where the plan lets what is left expire', async () => {
  const first = span(-1_000, 15_000);
  const result = await run([first, span(20_000, 600_000), span(700_000, 800_000)], { missedWindow: 'expire' });
  const sent = clouds.simulator.truth().submits.length;
  expect(acceptedWithin(first)).toBe(sent);
  expect(result.counts).toEqual({
    ...(sent === 0 ? {} : { Succeeded: sent }),
    NotStarted: RESOURCES - sent,
  });
});

it('sends nothing after startBy of what a hold has kept across it', async () => {
  const startBy = Date.now() + 8_000;
  const asked = new Set<string>();
  // Each is held at its first send, and let go once startBy has passed.
  const holdOf: StepDeps['holdOf'] = async () => {
    const { workflowId = '' } = activityInfo().workflowExecution ?? {};
    if (asked.has(workflowId)) return null;
    await systemClock.sleep(Math.max(startBy + 100 - Date.now(), 0));
    asked.add(workflowId);
    return { reason: 'paused by test', over: false };
  };
  const bounds = { startBy: new Date(startBy).toISOString() };
  const result = await run([span(-1_000, 600_000)], bounds, undefined, { id: 'held', deps: { holdOf }, resources: 4 });
  expect(asked.size).toBeGreaterThan(0);
  expect(clouds.simulator.truth().submits).toEqual([]);
  expect(result.counts).toEqual({ NotStarted: 4 });
});

it('goes on after startBy with what a rollout that began by it has left', async () => {
  const startBy = Date.now() + 6_000;
  const bounds = { startBy: new Date(startBy).toISOString() };
  const result = await run([span(-1_000, 600_000)], bounds, undefined, { id: 'begun', resources: 6 });
  expect(result.counts).toEqual({ Succeeded: 6 });
  const sent = clouds.simulator.truth().submits.map(({ at }) => at);
  expect(sent.filter((at) => at < startBy)).not.toEqual([]);
  expect(sent.filter((at) => at >= startBy)).not.toEqual([]);
});
