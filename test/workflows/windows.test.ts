/** Rollouts within windows, margins and bounds: when each upgrade is submitted, and what becomes of those that are not. */
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../activities/clock.js';
import { closureFor } from '../../activities/closure.js';
import { recurrenceOf } from '../../calendar/forms.js';
import { Gates } from '../../calendar/gate.js';
import type { RolloutWindows } from '../../workflows/contracts/calendar.js';
import { rolloutWorkflowId, runKey, shardWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput, RolloutResult, ShardResult, UpgradeEnd } from '../../workflows/contracts/rollout.js';
import type { GateSteps } from '../../workflows/contracts/steps.js';
import type { rollout } from '../../workflows/rollout.js';
import { endedRollout } from '../support/ended.js';
import { timeSkippingEnvironment } from '../support/environment.js';
import { rolloutInput, type Script, scriptedSteps } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
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

const iso = (at: number) => new Date(at).toISOString();

interface Ended {
  readonly result: RolloutResult;
  /** Minutes after `now`, by resource. */
  readonly submitted: Readonly<Record<string, number>>;
  /** Why what was not started was not. */
  readonly reasons: readonly string[];
}

/** Scripted steps whose gates are those of `windows`, by the server's clock. */
function gatedSteps(windows: RolloutWindows, script: Script = {}) {
  const gates = new Gates(windows);
  const steps = scriptedSteps(script);
  let looks = 0;
  const reads: typeof steps.reads & GateSteps = {
    ...steps.reads,
    readGates: async ({ gates: asked, hasStarted }) => {
      looks += 1;
      const at = await env.currentTimeMs();
      return Object.fromEntries(asked.map((gate) => [gate, gates.state(gate, at, hasStarted)]));
    },
  };
  return { ...steps, reads, looks: () => looks };
}

/** Upgrades wave by wave, one at a time, each of which takes so long. */
async function run(
  name: string,
  lasts: number,
  windows: Partial<RolloutWindows>,
  {
    needsMs = 0,
    waves: ids = [['w1', 'w2', 'w3']],
    busyUntil = {},
  }: { needsMs?: number; waves?: readonly (readonly string[])[]; busyUntil?: Readonly<Record<string, number>> } = {},
): Promise<Ended> {
  const given: RolloutWindows = {
    calendars: [{ windows: [], blackouts: [] }],
    gates: [{ calendar: 0, needsMs }],
    since: iso(now),
    missedWindow: 'next',
    ...windows,
  };
  const planned = ids.map((some) => rolloutInput(name, { ids: some, concurrency: 1 }, { max: 0, mode: 'strict' }));
  const waves = planned.flatMap((one) =>
    one.waves.map((wave) => ({
      ...wave,
      upgrades: (wave.upgrades ?? []).map((spec) => ({ ...spec, gate: 0 })),
    })),
  );
  const [first] = planned;
  if (first === undefined) throw new Error('no wave');
  const input: RolloutInput = { ...first, waves, windows: given };

  const began = new Map<string, number>();
  const steps = gatedSteps(given, {
    precheck: async (input) => {
      const at = await env.currentTimeMs();
      if (at >= (busyUntil[input.spec.resource.id] ?? 0)) return {};
      const gatesOf = () => Promise.resolve(new Gates(given));
      const closure = await closureFor({ gatesOf, clock: { ...systemClock, now: () => at } }, input);
      return { verdict: 'busy', reason: 'busy: exporting', ...(closure === null ? {} : { closure }) };
    },
    verify: async ({ spec: { resource } }) => {
      const at = await env.currentTimeMs();
      const since = began.get(resource.id) ?? at;
      began.set(resource.id, since);
      return at < since + lasts ? { verdict: 'still-running', reason: 'status 303' } : {};
    },
  });
  return withScriptedWorkers(env, steps, async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(name),
      taskQueue: QUEUES.main,
      args: [input],
    });
    const result = await endedRollout(handle);
    const ends: UpgradeEnd[] = [];
    for (const wave of ids.keys()) {
      const shard = env.client.workflow.getHandle(
        shardWorkflowId(name, runKey({ rolloutRun: handle.firstExecutionRunId }), wave + 1, 1),
      );
      ends.push(...((await shard.result()) as ShardResult).ends);
    }
    return {
      result,
      submitted: Object.fromEntries([...began].map(([id, at]) => [id, Math.floor((at - now) / MINUTE)])),
      reasons: ends.filter(({ outcome }) => outcome === 'NotStarted').map(({ reason }) => reason),
    };
  });
}

/** Daily from `opens` on, for so long. */
function daily(opens: number, duration: string): Pick<RolloutWindows, 'calendars'> {
  const start = iso(opens).slice(11, 16);
  const recurrence = recurrenceOf({ rrule: 'FREQ=DAILY', start, duration, timezone: 'UTC' });
  return { calendars: [{ windows: [{ name: 'daily', recurrence }], blackouts: [] }] };
}

it('has a busy resource wait for the next opening once its window has closed, behind what is not busy', async () => {
  const opens = now + 10 * MINUTE;
  const { result, submitted } = await run('busy', 10 * MINUTE, daily(opens, '1h'), {
    busyUntil: { w1: opens + 20 * HOUR },
  });
  expect(result.counts).toEqual({ Succeeded: 3 });
  // One at a time: it has the only place until its window closes, and the last one in the next.
  expect(Object.keys(submitted)).toEqual(['w2', 'w3', 'w1']);
  for (const at of Object.values(submitted)) expect([at >= 24 * 60 + 10, at < 24 * 60 + 70]).toEqual([true, true]);
});

it('waits for a busy resource for two hours in all, in however many openings', async () => {
  const opens = now + 10 * MINUTE;
  const { result, submitted } = await run('ever-busy', 10 * MINUTE, daily(opens, '1h'), {
    busyUntil: { w1: opens + 10_000 * HOUR },
  });
  expect(result.counts).toEqual({ Succeeded: 2, Refused: 1 });
  expect(Object.keys(submitted)).toEqual(['w2', 'w3']);
});

it('tells of a busy resource that no window opens for any more', async () => {
  const expireAt = iso(now + HOUR);
  const { result, reasons } = await run(
    'busy-too-late',
    10 * MINUTE,
    { expireAt },
    { busyUntil: { w1: now + 3 * HOUR } },
  );
  expect(result.counts).toEqual({ NotStarted: 3 });
  expect(reasons).toContain(`expireAt ${expireAt} has passed; busy: exporting`);
});

it('starts nothing from expireAt on, and follows what has started', async () => {
  const expireAt = iso(now + 2 * HOUR);
  const { result, submitted, reasons } = await run('expires', HOUR, { expireAt });
  expect(result.counts).toEqual({ Succeeded: 2, NotStarted: 1 });
  expect(Object.keys(submitted)).toEqual(['w1', 'w2']);
  expect(submitted['w2']).toBeGreaterThanOrEqual(60);
  expect(submitted['w2']).toBeLessThan(120);
  expect(reasons).toEqual([`expireAt ${expireAt} has passed`]);
});

it('starts nothing at all when its first opening is too late for startBy', async () => {
  const startBy = iso(now + 2 * HOUR);
  const opens = now + 5 * HOUR;
  const { result, submitted, reasons } = await run('late', HOUR, { ...daily(opens, '2h'), startBy });
  expect(result).toMatchObject({ counts: { NotStarted: 3 }, failures: 0 });
  expect(submitted).toEqual({});
  expect(reasons[0]).toContain(`the next opening, ${iso(opens)}, is too late for ${startBy}`);
});

it('starts nothing of a later wave either once startBy has passed', async () => {
  const startBy = iso(now + 2 * HOUR);
  const windows = { ...daily(now + 5 * HOUR, '2h'), startBy };
  const { result, submitted, reasons } = await run('late-waves', HOUR, windows, { waves: [['w1'], ['w2']] });
  expect(submitted).toEqual({});
  expect(result.counts).toEqual({ NotStarted: 2 });
  expect(reasons).toHaveLength(2);
});

it('starts later waves after startBy once the first has started by it', async () => {
  const windows = { ...daily(now, '2h'), startBy: iso(now + HOUR) };
  const { result, submitted } = await run('later-waves', 3 * HOUR, windows, { waves: [['w1'], ['w2']] });
  expect(result.counts).toEqual({ Succeeded: 2 });
  expect(submitted['w2']).toBeGreaterThanOrEqual(24 * 60);
});

it('goes on in later openings once it has started by startBy', async () => {
  const startBy = iso(now + HOUR);
  const { result, submitted } = await run('started', 3 * HOUR, { ...daily(now, '2h'), startBy });
  expect(result.counts).toEqual({ Succeeded: 3 });
  // One for each opening: each outlasts it, and is followed.
  const days = Object.values(submitted).map((minutes) => minutes / (24 * 60));
  expect(days.map(Math.floor)).toEqual([0, 1, 2]);
});

it('starts only what still fits before the edge', async () => {
  const { result, submitted } = await run('fits', HOUR, daily(now, '4h'), { needsMs: 2 * HOUR });
  expect(result.counts).toEqual({ Succeeded: 3 });
  const [first = 0, second = 0, third = 0] = Object.values(submitted);
  expect(first).toBeLessThan(120);
  expect(second).toBeLessThan(120);
  // Less than two hours are left after the second one.
  expect(third).toBeGreaterThanOrEqual(24 * 60);
});

it('starts nothing of what its first opening left, where the plan says so', async () => {
  const windows = { ...daily(now, '2h'), missedWindow: 'expire' as const };
  const { result, submitted, reasons } = await run('missed', HOUR, windows);
  expect(result.counts).toEqual({ Succeeded: 2, NotStarted: 1 });
  expect(Object.keys(submitted)).toEqual(['w1', 'w2']);
  expect(reasons).toEqual([`its window closed at ${iso(now + 2 * HOUR)}, and the plan says missedWindow: expire`]);
});

it('shows the calendar while it waits for its first approval, and again at each edge', async () => {
  const opens = now + 5 * HOUR;
  const windows: RolloutWindows = {
    ...daily(opens, '2h'),
    gates: [{ calendar: 0, needsMs: 0 }],
    since: iso(now),
    missedWindow: 'next',
  };
  const steps = gatedSteps(windows);
  const approval = { quorum: 1, approvers: ['ben'], expiresAfterMs: 48 * HOUR };
  const input = rolloutInput('awaits', { ids: ['w1'], concurrency: 1 }, { max: 0, mode: 'strict' });
  await withScriptedWorkers(env, steps, async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId('awaits'),
      taskQueue: QUEUES.main,
      args: [{ ...input, approval, windows }],
    });
    const page = async () =>
      (await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata')).currentDetails;
    const minute = (at: number) => iso(at).replace('T', ' ').replace(':00.000Z', 'Z');
    await expect.poll(page, { timeout: 20_000 }).toContain(`| daily | shut until ${minute(opens)}: outside every`);
    expect(await page()).toContain('waits for approval of the rollout');
    await env.sleep(5.5 * HOUR);
    await expect.poll(page, { timeout: 20_000 }).toContain(`| daily | open until ${minute(opens + 2 * HOUR)}`);
    await handle.executeUpdate(MESSAGES.decide, {
      args: [{ decision: 'reject', planDigest: 'digest', actor: 'ben', reason: 'seen' }],
    });
    expect((await handle.result()).outcome).toBe('Rejected');
  });
});

/** Open for half an hour, each hour, from an instant on. */
function hourly(opens: number): RolloutWindows {
  const hours = Array.from({ length: 24 }, (_, hour) => hour).join();
  const rrule = `FREQ=DAILY;BYHOUR=${hours}`;
  const everyHour = { rrule, start: iso(opens).slice(11, 16), duration: '30m', timezone: 'UTC' };
  return {
    calendars: [{ windows: [{ name: 'hourly', recurrence: recurrenceOf(everyHour) }], blackouts: [] }],
    gates: [{ calendar: 0, needsMs: 0 }],
    since: iso(now),
    missedWindow: 'next',
  };
}

it('looks at the calendar so often only, however long it waits for an approval', async () => {
  const windows = hourly(now);
  const steps = gatedSteps(windows);
  const approval = { quorum: 1, approvers: ['ben'], expiresAfterMs: 10 * 24 * HOUR };
  const input = rolloutInput('edges', { ids: ['w1'], concurrency: 1 }, { max: 0, mode: 'strict' });
  const body = async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId('edges'),
      taskQueue: QUEUES.main,
      args: [{ ...input, approval, windows }],
    });
    await expect.poll(steps.looks, { timeout: 20_000 }).toBeGreaterThan(0);
    // Two edges an hour.
    await env.sleep(3 * 24 * HOUR);
    const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    expect(currentDetails).toContain('waits for approval of the rollout');
    expect(currentDetails).not.toContain('| hourly |');
    expect(steps.looks()).toBe(80);
    await handle.executeUpdate(MESSAGES.decide, {
      args: [{ decision: 'reject', planDigest: 'digest', actor: 'ben', reason: 'seen' }],
    });
    expect((await handle.result()).outcome).toBe('Rejected');
    expect((await handle.fetchHistory()).events?.length).toBeLessThan(1_000);
  };
  // A long history is not replayed at each of its tasks.
  await withScriptedWorkers(env, steps, body, false);
});

it('is told of its windows once a day by a shard that has told of very many', async () => {
  // Shut when it begins, so that it can be paused before anything starts.
  const windows = hourly(now + 15 * MINUTE);
  const steps = gatedSteps(windows);
  const planned = rolloutInput('weeks', { ids: ['w1'], concurrency: 1 }, { max: 0, mode: 'strict' });
  const waves = planned.waves.map((wave) => ({
    ...wave,
    upgrades: (wave.upgrades ?? []).map((spec) => ({ ...spec, gate: 0 })),
  }));
  const body = async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId('weeks'),
      taskQueue: QUEUES.main,
      args: [{ ...planned, waves, windows }],
    });
    const say = (act: string) =>
      handle.signal(MESSAGES.control, { requestId: act, act, actor: 'ana', reason: 'a complaint' });
    await expect.poll(steps.looks, { timeout: 20_000 }).toBeGreaterThan(0);
    await say('pause');
    const told = async () => {
      const { events } = await handle.fetchHistory();
      return (events ?? []).filter(
        ({ workflowExecutionSignaledEventAttributes: signal }) => signal?.signalName === MESSAGES.shardProgress,
      ).length;
    };
    await env.sleep(48 * HOUR);
    const after = await told();
    await env.sleep(26 * HOUR);
    expect(steps.looks()).toBeGreaterThan(130);
    // At each edge, and then once a day.
    expect([after, await told()]).toEqual([60, 61]);
    await say('resume');
    expect((await handle.result()).outcome).toBe('Succeeded');
  };
  await withScriptedWorkers(env, steps, body, false);
});
