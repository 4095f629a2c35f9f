import { expect, it } from 'vitest';
import { recurrenceOf } from '../../calendar/forms.js';
import { usualOf } from '../../forecast/durations.js';
import { forecast, type ForecastInput, type ForecastUpgrade } from '../../forecast/forecast.js';
import type { RolloutWindows } from '../../workflows/contracts/calendar.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NOW = Date.parse('2026-08-01T12:00:00Z');

/** A Saturday: 22:00 to 02:00, but for the 8th. */
const WINDOWS: RolloutWindows = {
  calendars: [
    {
      windows: [
        { name: 'sat', recurrence: recurrenceOf({ days: ['sat'], start: '22:00', duration: '4h', timezone: 'UTC' }) },
      ],
      blackouts: [{ name: 'fair', recurrence: { start: '2026-08-08T00:00:00', timezone: 'UTC', duration: 'P2D' } }],
    },
  ],
  gates: [{ calendar: 0, needsMs: HOUR }],
  since: new Date(NOW).toISOString(),
  missedWindow: 'next',
};

function upgrades(count: number, prefix = 'r'): ForecastUpgrade[] {
  return Array.from({ length: count }, (_, at) => ({
    workflowId: `upgrade/${prefix}${at}`,
    id: `${prefix}${at}`,
    kind: 0,
    draws: ['slots'],
    after: [],
    provides: [],
    gate: 0,
    notBefore: 0,
    startedAt: null,
  }));
}

function of(more: Partial<ForecastInput> = {}) {
  const samples = Array.from({ length: 40 }, (_, at) => 40 * MINUTE + at * 20_000);
  return forecast({
    seed: 'fleet-1',
    now: NOW,
    waves: [
      { name: 'canary', limits: { slots: 1 }, soakMs: 0, upgrades: upgrades(1, 'c') },
      { name: 'rest', limits: { slots: 2 }, soakMs: HOUR, upgrades: upgrades(8) },
    ],
    kinds: [{ samples, usual: usualOf(45 * MINUTE) }],
    windows: WINDOWS,
    hasStarted: false,
    ...more,
  });
}

it('goes wave by wave through the openings, past a blackout', () => {
  const { waves, ends } = of();
  const [canary, rest] = waves;
  expect(canary?.starts).toEqual({ p50: '2026-08-01T22:00:00.000Z', p90: '2026-08-01T22:00:00.000Z' });
  expect(canary?.ends.p50).toMatch(/^2026-08-01T22:4[5-8]/);
  expect(canary?.ends.p90 ?? '').toMatch(/^2026-08-01T22:5[0-3]/);
  expect(rest?.starts.p50).toBe(canary?.ends.p50);
  // Two at a time from a quarter to eleven: six start before one o'clock, the other two a fortnight later.
  expect(rest?.upgrades.map(({ starts }) => starts.p50?.slice(0, 10))).toEqual([
    '2026-08-01',
    '2026-08-01',
    '2026-08-01',
    '2026-08-01',
    '2026-08-02',
    '2026-08-02',
    '2026-08-15',
    '2026-08-15',
  ]);
  expect(rest?.unfit).toBeNull();
  expect(ends).toEqual(rest?.ends);
});

it('is the same for the same input, and another for another seed', () => {
  expect(of()).toEqual(of());
  expect(of({ seed: 'fleet-2' })).not.toEqual(of());
});

it('holds the next wave back for its soak', () => {
  const waves = [
    { name: 'canary', limits: { slots: 1 }, soakMs: 2 * HOUR, upgrades: upgrades(1, 'c') },
    { name: 'rest', limits: { slots: 2 }, soakMs: 0, upgrades: upgrades(2) },
  ];
  // Ended by a quarter to eleven, two hours of soak: after one o'clock nothing fits any more, on most nights.
  const [canary, rest] = of({ waves, windows: { ...WINDOWS, gates: [{ calendar: 0, needsMs: 0 }] } }).waves;
  expect(Date.parse(rest?.starts.p50 ?? '') - Date.parse(canary?.ends.p50 ?? '')).toBe(2 * HOUR);
});

it('says how many do not fit, and until when they would have had to', () => {
  const { waves, ends } = of({ windows: { ...WINDOWS, expireAt: '2026-08-03T00:00:00.000Z' } });
  expect(waves[0]?.unfit).toBeNull();
  expect(waves[1]?.unfit).toMatchObject({
    p50: 2,
    never: [],
    before: '2026-08-02T01:00:00.000Z',
    reason: expect.stringContaining('too late for 2026-08-03') as string,
  });
  expect(waves[1]?.upgrades[7]?.starts).toEqual({ p50: null, p90: null });
  expect(ends.p90?.slice(0, 10)).toBe('2026-08-02');

  const none = of({ windows: { ...WINDOWS, expireAt: '2026-08-01T20:00:00.000Z' } });
  expect(none.waves.map(({ unfit }) => unfit?.never.length)).toEqual([1, 8]);
  expect(none.ends).toEqual({ p50: null, p90: null });
});

it('starts nothing of any wave past startBy, once the first has come too late', () => {
  const { waves, ends } = of({ windows: { ...WINDOWS, startBy: '2026-08-01T20:00:00.000Z' } });
  expect(waves.map(({ unfit }) => unfit?.never.length)).toEqual([1, 8]);
  expect(ends).toEqual({ p50: null, p90: null });
  const inTime = of({ windows: { ...WINDOWS, startBy: '2026-08-01T22:10:00.000Z' } });
  expect(inTime.waves.map(({ unfit }) => unfit)).toEqual([null, null]);
});

it('starts at once without windows, and takes no time for what is at its target', () => {
  const [wave] = of({
    windows: null,
    waves: [
      {
        name: 'all',
        limits: { slots: 1 },
        soakMs: 0,
        upgrades: upgrades(3).map((one, at) => ({ ...one, gate: null, kind: at === 0 ? null : 0 })),
      },
    ],
  }).waves;
  expect(wave?.upgrades[0]).toEqual({ workflowId: 'upgrade/r0', id: 'r0', starts: now(), ends: now() });
  expect(wave?.upgrades[1]?.starts).toEqual(now());
  function now() {
    return { p50: new Date(NOW).toISOString(), p90: new Date(NOW).toISOString() };
  }
});

it('forecasts what is in flight from what has passed', () => {
  const [first] = upgrades(1);
  if (first === undefined) throw new Error('no upgrade');
  const wave = (startedAt: number) => ({
    name: 'all',
    limits: { slots: 1 },
    soakMs: 0,
    upgrades: [{ ...first, startedAt }],
  });
  const [early] = of({ waves: [wave(NOW - 10 * MINUTE)] }).waves;
  const [late] = of({ waves: [wave(NOW - 3 * HOUR)] }).waves;
  expect(early?.ends.p50).toMatch(/^2026-08-01T12:3[5-8]/);
  expect(Date.parse(late?.ends.p90 ?? '')).toBeGreaterThan(NOW);
  expect(late?.starts.p50).toBe(new Date(NOW - 3 * HOUR).toISOString());
});

it('forecasts 10,000 upgrades in many classes', () => {
  const many = upgrades(10_000).map((one, at) => ({
    ...one,
    draws: ['slots', `account:${at % 7}`, `group:${at >> 1}`],
  }));
  const groups = Object.fromEntries(Array.from({ length: 5_000 }, (_, at) => [`group:${at}`, 1]));
  const accounts = Object.fromEntries(Array.from({ length: 7 }, (_, at) => [`account:${at}`, 40]));
  const [wave] = of({
    waves: [{ name: 'all', limits: { slots: 200, ...accounts, ...groups }, soakMs: 0, upgrades: many }],
  }).waves;
  expect(wave?.upgrades.every(({ ends }) => ends.p90 !== null)).toBe(true);
});
