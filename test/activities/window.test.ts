/** Right before a send: the window is asked once more, by our clock and by the cloud's. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, expect, it } from 'vitest';
import type { SendBounds } from '../../activities/clouds/session.js';
import type { StepDeps } from '../../activities/step.js';
import { submit } from '../../activities/submit.js';
import { rangeOf } from '../../calendar/forms.js';
import { Gates } from '../../calendar/gate.js';
import type { RolloutWindows } from '../../workflows/contracts/calendar.js';
import type { SubmitInput, SubmitResult } from '../../workflows/contracts/steps.js';
import { type Clouds, simulatedClouds } from '../support/clouds.js';
import { VirtualClock } from '../support/virtual-clock.js';

/** A whole second, since a cloud's clock shows no more. */
const OPENS = Date.parse('2026-11-28T22:00:00Z');
const CLOSES = Date.parse('2026-11-29T02:00:00Z');

const gates = (needsMs = 0, bounds: Pick<RolloutWindows, 'startBy' | 'expireAt'> = {}) =>
  new Gates({
    ...bounds,
    calendars: [
      {
        windows: [{ name: 'night', recurrence: rangeOf('2026-11-28T22:00', '2026-11-29T02:00', 'UTC') }],
        blackouts: [],
      },
    ],
    gates: [{ calendar: 0, needsMs }],
    since: '2026-11-28T12:00:00.000Z',
    missedWindow: 'next',
  });

let clouds: Clouds;
afterEach(() => clouds.close());

interface Try {
  /** By our clock. */
  readonly at: number;
  /** The cloud's clock is ahead by so many milliseconds. */
  readonly cloudAheadMs?: number;
  /** Whether the cloud's answers have one; they do. */
  readonly hasDate?: boolean;
  readonly deps?: Partial<StepDeps>;
  /** What else the resource does. */
  readonly status?: string;
  /** What was sent before. */
  readonly before?: Partial<Pick<SubmitInput, 'submission' | 'unresolvedSince'>>;
  /** Takes its time before the send, as the account's write rate does. */
  readonly late?: (clock: VirtualClock, bounds: SendBounds) => Promise<void>;
}

async function submitted({
  at,
  cloudAheadMs = 0,
  hasDate = true,
  deps,
  status,
  before,
  late,
}: Try): Promise<SubmitResult> {
  const clock = new VirtualClock({ startsAt: at });
  const cloudClock = {
    now: () => clock.now() + cloudAheadMs,
    sleep: (ms: number, signal?: AbortSignal) => clock.sleep(ms, signal),
  };
  clouds = await simulatedClouds({ clock, cloudClock, graphs: 1 });
  const [spec] = clouds.specs('ges');
  if (spec === undefined) throw new Error('no graph');
  const input = {
    rollout: 'r',
    rolloutRun: 'run',
    spec: { ...spec, gate: 0 },
    timing: { scale: 1 },
    expectedVersion: clouds.simulator.inventory.get(spec.resource.id).versions['graph'] ?? null,
    knownOperations: [],
    submission: 1,
    unresolvedSince: null,
    startedAt: new Date(at).toISOString(),
    ...before,
  };
  if (status !== undefined) clouds.simulator.inventory.change(spec.resource.id, { status });
  const { sessions } = clouds.deps;
  const silent: StepDeps['sessions'] = {
    ...sessions,
    sender: async (...of) => ({ ...(await sessions.sender(...of)), clockOffset: () => null }),
  };
  const slow = (wait: NonNullable<typeof late>): StepDeps['sessions'] => ({
    ...sessions,
    sender: async (...of) => {
      const sender = await sessions.sender(...of);
      return {
        ...sender,
        clockOffset: () => sender.clockOffset(),
        send: async (request, bounds) => {
          await wait(clock, bounds);
          return sender.send(request, bounds);
        },
      };
    },
  });
  const all = {
    ...clouds.deps,
    sessions: late === undefined ? (hasDate ? sessions : silent) : slow(late),
    gatesOf: () => Promise.resolve(gates()),
    ...deps,
  };
  return new MockActivityEnvironment({ scheduledTimestampMs: Date.now() }).run(() => submit(all, input));
}

const times = () => clouds.simulator.truth().submits.map(({ at }) => at);

it('sends inside, and the cloud accepts it inside', async () => {
  expect((await submitted({ at: OPENS + 5_000 })).verdict).toBe('submitted');
  const [at] = times();
  expect(at).toBeGreaterThanOrEqual(OPENS);
  expect(at).toBeLessThan(CLOSES);
});

it.each([
  ['at the edge', CLOSES, 0],
  ["inside by our clock, after the edge by the cloud's", CLOSES - 60_000, 120_000],
  ['long after it', CLOSES + 3_600_000, 0],
])('sends nothing %s', async (_, at, cloudAheadMs) => {
  expect(await submitted({ at, cloudAheadMs })).toMatchObject({ verdict: 'closed', over: true, calls: [] });
  expect(times()).toEqual([]);
});

it('sends nothing in the last seconds, since no answer would come before the edge', async () => {
  const result = await submitted({ at: CLOSES - 1_500 });
  expect(result).toMatchObject({ verdict: 'closed', reason: 'too little is left of window night', calls: [] });
});

it('sends nothing when the cloud does not tell its time', async () => {
  const result = await submitted({ at: OPENS + 5_000, hasDate: false });
  expect(result).toMatchObject({ verdict: 'deferred', calls: [] });
  expect(result.reason).toContain('its answers have no date');
});

it('sends nothing long before it opens, and says that it opens again', async () => {
  const result = await submitted({ at: OPENS - 3_600_000 });
  expect(result).toMatchObject({ verdict: 'closed', over: false, reason: 'outside every window', calls: [] });
});

it.each([
  ['by our clock', OPENS - 20_000, 0],
  ["by the cloud's clock alone", OPENS + 20_000, -40_000],
])('waits in place when it has not opened yet %s, and soon does', async (_, at, cloudAheadMs) => {
  expect(await submitted({ at, cloudAheadMs })).toMatchObject({ verdict: 'deferred', calls: [] });
  expect(times()).toEqual([]);
});

it('starts nothing that no longer fits', async () => {
  const deps = { gatesOf: () => Promise.resolve(gates(3_600_000)) };
  expect(await submitted({ at: CLOSES - 1_800_000, deps })).toMatchObject({ verdict: 'closed', calls: [] });
});

it('refuses to send when the windows cannot be read', async () => {
  const deps = { gatesOf: () => Promise.reject(new Error('no server')) };
  const result = await submitted({ at: OPENS + 5_000, deps });
  expect(result).toMatchObject({ verdict: 'deferred', calls: [] });
  expect(result.reason).toBe('cannot tell whether its window is open: no server');
});

it('gives a request up at the edge, however long it waited for its turn', async () => {
  const bounds: SendBounds[] = [];
  await submitted({
    at: CLOSES - 20_000,
    late: async (clock, sent) => {
      await clock.sleep(15_000);
      bounds.push(sent);
    },
  });
  const [bound] = bounds;
  // The cloud's date shows whole seconds: its clock may be one ahead of what it says.
  expect(bound?.answerBy).toBeLessThanOrEqual(CLOSES);
  expect(bound?.answerBy).toBeGreaterThan(CLOSES - 2_000);
  expect(bound?.sendBy).toBeLessThanOrEqual(CLOSES - 2_000);
});

it('does not send in the last seconds either when its turn came late', async () => {
  const result = await submitted({ at: CLOSES - 20_000, late: (clock) => clock.sleep(18_500) });
  expect(result).toMatchObject({ verdict: 'deferred', calls: [] });
  expect(times()).toEqual([]);
});

const START_BY = OPENS + 3_600_000;
const startBy = (hasBegun: boolean): Partial<StepDeps> => ({
  gatesOf: () => Promise.resolve(gates(0, { startBy: new Date(START_BY).toISOString() })),
  begunOf: (_rollout, by) => Promise.resolve(by === START_BY && hasBegun),
});

it('sends nothing after startBy of a rollout that had not begun, although its window is open', async () => {
  const result = await submitted({ at: START_BY + 600_000, deps: startBy(false) });
  const reason = `startBy ${new Date(START_BY).toISOString()} has passed`;
  expect(result).toMatchObject({ verdict: 'closed', over: true, reason, calls: [] });
  expect(times()).toEqual([]);
});

it('sends after startBy what belongs to a rollout that had begun', async () => {
  expect(await submitted({ at: START_BY + 600_000, deps: startBy(true) })).toMatchObject({ verdict: 'submitted' });
});

it('waits right after startBy, until what was sent before it can be seen', async () => {
  const result = await submitted({ at: START_BY + 1_000, deps: startBy(false) });
  expect(result).toMatchObject({ verdict: 'deferred', calls: [] });
  expect(result.retryInMs).toBeGreaterThan(30_000);
  expect(times()).toEqual([]);
});

it('gives a first send up at startBy, however long it waited for its turn', async () => {
  const result = await submitted({ at: START_BY - 10_000, deps: startBy(false), late: (clock) => clock.sleep(11_000) });
  expect(result).toMatchObject({ verdict: 'deferred', calls: [] });
  expect(times()).toEqual([]);
});

it("asks whether a first send is in time by the cloud's clock too", async () => {
  const late = await submitted({ at: START_BY - 300_000, cloudAheadMs: 600_000, deps: startBy(false) });
  expect(late).toMatchObject({ verdict: 'deferred', calls: [] });
  expect(late.reason).toContain(`startBy ${new Date(START_BY).toISOString()} has passed`);
  expect(times()).toEqual([]);
});

it('sends nothing from expireAt on, although its window is open', async () => {
  const expireAt = new Date(START_BY).toISOString();
  const deps = { gatesOf: () => Promise.resolve(gates(0, { expireAt })) };
  const result = await submitted({ at: START_BY, deps });
  expect(result).toMatchObject({ verdict: 'closed', over: true, reason: `expireAt ${expireAt} has passed`, calls: [] });
});

it('sends nothing near startBy when nobody can tell whether the rollout has begun', async () => {
  const begunOf = () => Promise.reject(new Error('no server'));
  const result = await submitted({ at: START_BY + 600_000, deps: { ...startBy(false), begunOf } });
  expect(result).toMatchObject({ verdict: 'deferred', calls: [] });
  expect(result.reason).toBe('cannot tell whether its window is open: no server');
});

it('keeps nothing busy in flight while it is shut, unless something may be out', async () => {
  const busy = (before?: Try['before']) =>
    submitted({ at: OPENS - 3_600_000, status: '204', ...(before === undefined ? {} : { before }) });
  const closed = await busy();
  expect(closed).toMatchObject({ verdict: 'closed', busy: true, over: false, calls: [], unresolvedSince: null });
  expect(closed.reason).toMatch(/^outside every window; busy: /);
  await clouds.close();
  // Its second send has a token of its own, and a new start would begin with the first one again.
  expect(await busy({ submission: 2 })).toMatchObject({ verdict: 'busy' });
  await clouds.close();
  const unresolvedSince = new Date(OPENS - 3 * 3_600_000).toISOString();
  expect(await busy({ unresolvedSince })).toMatchObject({ verdict: 'busy', submission: 2 });
});
