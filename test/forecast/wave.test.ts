/** The fast model of a wave starts what the shards' own rule starts, whatever the limits. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Gates } from '../../calendar/gate.js';
import { Openings } from '../../forecast/openings.js';
import { type Task, WaveModel } from '../../forecast/wave.js';
import type { RolloutWindows } from '../../workflows/contracts/calendar.js';
import type { Limits } from '../../workflows/contracts/rollout.js';
import { drawn, requirement, startable } from '../../workflows/limits.js';

const HOUR = 3_600_000;
const NOW = Date.parse('2026-08-01T00:00:00Z');

/** Open for two hours, shut for four; the second gate needs an hour of it. */
const WINDOWS: RolloutWindows = {
  calendars: [
    {
      windows: [
        {
          name: 'w',
          recurrence: {
            start: '2026-08-01T01:00:00',
            timezone: 'UTC',
            duration: 'PT2H',
            rrule: 'FREQ=HOURLY;INTERVAL=6',
          },
        },
      ],
      blackouts: [],
    },
  ],
  gates: [
    { calendar: 0, needsMs: 0 },
    { calendar: 0, needsMs: HOUR },
  ],
  since: new Date(NOW).toISOString(),
  missedWindow: 'next',
};

function played(tasks: readonly Task[], limits: Limits, takes: readonly number[], startBy = Infinity) {
  const starts = new Float64Array(tasks.length).fill(Infinity);
  const ends = new Float64Array(tasks.length).fill(Infinity);
  const ended = new WaveModel(tasks, limits).play({
    startsAt: NOW,
    startBy,
    takes: (task) => takes[task] ?? 0,
    starts,
    ends,
    offset: 0,
  });
  return { starts: [...starts], ends: [...ends], ended };
}

/** The rule itself, asked anew at each instant at which something can have changed. */
function playedSlowly(tasks: readonly Task[], limits: Limits, takes: readonly number[]): number[] {
  const starts = tasks.map(() => Infinity);
  let queue = tasks.map((task, index) => ({ ...task, index }));
  let inFlight: { readonly draws: readonly string[]; readonly ends: number; readonly provides: readonly string[] }[] =
    [];
  for (let now = NOW; queue.length > 0;) {
    inFlight = inFlight.filter(({ ends }) => ends > now);
    const open = new Map<string, number>();
    for (const { provides } of [...queue, ...inFlight])
      for (const name of provides) open.set(name, (open.get(name) ?? 0) + 1);
    const ready = queue.filter(
      ({ after, openings }) =>
        requirement({ after }, { open, missed: new Set() }) === 'met' && (openings?.next(now) ?? now) === now,
    );
    const begun = startable(ready, drawn(Object.keys(limits), inFlight), limits);
    for (const { index, draws, provides } of begun) {
      starts[index] = now;
      inFlight.push({ draws, provides, ends: now + (takes[index] ?? 0) });
    }
    queue = queue.filter((one) => !begun.includes(one));
    const openingsAhead = queue.flatMap(({ openings }) => openings?.next(now) ?? []).filter((at) => at > now);
    now = Math.min(...inFlight.map(({ ends }) => ends).filter((at) => at > now), ...openingsAhead);
    if (now === Infinity) break;
  }
  return starts;
}

it('agrees with the rule of the shards in every case', () => {
  const openings = WINDOWS.gates.map((_gate, at) => new Openings(new Gates(WINDOWS), at, NOW));
  const task = fc.record({
    account: fc.constantFrom('a', 'b'),
    group: fc.constantFrom(null, 'g1', 'g2', 'g3'),
    gate: fc.constantFrom(null, 0, 1),
    name: fc.constantFrom(null, null, 'n'),
    waits: fc.boolean(),
    minutes: fc.integer({ min: 1, max: 300 }),
  });
  const limits = fc.record({
    slots: fc.integer({ min: 1, max: 6 }),
    risk: fc.integer({ min: 1, max: 8 }),
    a: fc.integer({ min: 1, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(task, { minLength: 1, maxLength: 25 }), limits, (given, { slots, risk, a }) => {
      const tasks = given.map(({ account, group, gate, name, waits }): Task => ({
        draws: ['slots', 'risk', `account:${account}`, ...(group === null ? [] : [`group:${group}`])],
        after: waits && name === null ? ['n'] : [],
        provides: name === null ? [] : [name],
        openings: gate === null ? null : (openings[gate] ?? null),
        notBefore: 0,
        startedAt: null,
      }));
      const bounds = { slots, risk, 'account:a': a, 'group:g1': 1, 'group:g2': 1, 'group:g3': 2 };
      // No two ends at one instant: in which order they are heard is not the rule's.
      const takes = given.map(({ minutes }, at) => minutes * 60_000 + at * 7 + 1);
      expect(played(tasks, bounds, takes).starts).toEqual(playedSlowly(tasks, bounds, takes));
    }),
    { numRuns: 400, seed: 20_260_801 },
  );
});

const task = (more: Partial<Task> = {}): Task => ({
  draws: ['slots'],
  after: [],
  provides: [],
  openings: null,
  notBefore: 0,
  startedAt: null,
  ...more,
});

it('counts what is in flight, and follows it before others start', () => {
  const { starts, ends } = played([task({ startedAt: NOW - HOUR }), task()], { slots: 1 }, [HOUR / 2, HOUR]);
  expect(starts).toEqual([NOW - HOUR, NOW + HOUR / 2]);
  expect(ends).toEqual([NOW + HOUR / 2, NOW + 1.5 * HOUR]);
});

it('starts nothing after the last opening, nor past startBy without a first one', () => {
  const last = new Openings(new Gates({ ...WINDOWS, expireAt: '2026-08-01T02:00:00.000Z' }), 0, NOW);
  const two = [task({ openings: last }), task({ openings: last })];
  expect(played(two, { slots: 1 }, [HOUR, HOUR]).starts).toEqual([NOW + HOUR, Infinity]);
  expect(last.over).toContain('expireAt');
  expect(last.lastEnd()).toBe(NOW + 2 * HOUR);
  const any = new Openings(new Gates(WINDOWS), 0, NOW);
  expect(played([task({ openings: any })], { slots: 1 }, [HOUR], NOW + HOUR / 2).starts).toEqual([Infinity]);
});
