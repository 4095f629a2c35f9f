import { describe, expect, it } from 'vitest';
import { rangeOf, recurrenceOf } from '../../calendar/forms.js';
import { Gates } from '../../calendar/gate.js';
import type { RolloutWindows } from '../../workflows/contracts/calendar.js';

const HOUR = 3_600_000;
const saturday = recurrenceOf({ days: ['sat'], start: '22:00', duration: '4h', timezone: 'UTC' });
const thursday = recurrenceOf({ days: ['thu'], start: '22:00', duration: '30m', timezone: 'UTC' });

function gates(more: Partial<RolloutWindows> = {}, needsMs = HOUR): Gates {
  const windows = [
    { name: 'saturday', recurrence: saturday },
    { name: 'thursday', recurrence: thursday },
  ];
  return new Gates({
    calendars: [{ windows, blackouts: [] }],
    gates: [{ calendar: 0, needsMs }],
    since: '2026-08-01T12:00:00.000Z',
    missedWindow: 'next',
    ...more,
  });
}

const at = (text: string) => Date.parse(text);

it('lets start what fits before the edge, half-open', () => {
  const open = {
    open: true,
    until: '2026-08-02T01:00:00.000Z',
    closes: '2026-08-02T02:00:00.000Z',
    reason: 'window saturday',
    over: false,
  };
  expect(gates().state(0, at('2026-08-01T22:00:00Z'), false)).toEqual(open);
  expect(gates().state(0, at('2026-08-02T00:59:59.999Z'), false)).toEqual(open);
  // Thursday's half hour is too short for it.
  expect(gates().state(0, at('2026-08-02T01:00:00Z'), false)).toEqual({
    open: false,
    until: '2026-08-08T22:00:00.000Z',
    closes: null,
    reason: 'too little is left of window saturday: it closes at 2026-08-02T02:00:00.000Z',
    over: false,
  });
  expect(gates({}, 60_000).state(0, at('2026-08-02T02:00:00Z'), false).until).toBe('2026-08-06T22:00:00.000Z');
});

it('says of what never fits that the openings are too short, and of the last opening that none follows', () => {
  const tooLong = gates({}, 5 * HOUR);
  const words = 'no opening that follows is long enough: the longest is 4 h, and an upgrade needs more than 5 h';
  expect(tooLong.state(0, at('2026-08-01T12:00:00Z'), false)).toMatchObject({
    over: true,
    reason: `outside every window, and ${words}`,
  });
  const closes = '2026-08-02T02:00:00.000Z';
  expect(tooLong.state(0, at('2026-08-01T23:00:00Z'), false).reason).toBe(
    `too little is left of window saturday: it closes at ${closes}, and ${words}`,
  );
  const recurrence = { start: '2026-08-01T22:00:00', timezone: 'UTC', duration: 'PT4H' };
  const once = gates({ calendars: [{ windows: [{ name: 'once', recurrence }], blackouts: [] }] });
  expect(once.state(0, at('2026-08-02T01:30:00Z'), false).reason).toBe(
    `too little is left of window once: it closes at ${closes}, and no opening follows`,
  );
  expect(once.state(0, at('2026-08-03T00:00:00Z'), false).reason).toBe('outside every window, and no opening follows');
});

it('ends at startBy unless it has started, and at expireAt', () => {
  const bounded = gates({ startBy: '2026-08-08T12:00:00.000Z', expireAt: '2026-08-16T00:30:00.000Z' });
  expect(bounded.state(0, at('2026-08-03T00:00:00Z'), false)).toMatchObject({ over: true });
  expect(bounded.state(0, at('2026-08-03T00:00:00Z'), true)).toMatchObject({ until: '2026-08-08T22:00:00.000Z' });
  expect(bounded.state(0, at('2026-08-09T00:00:00Z'), false).reason).toBe(
    'startBy 2026-08-08T12:00:00.000Z has passed',
  );
  // What starts has to fit before expireAt as before any edge.
  expect(bounded.state(0, at('2026-08-15T23:00:00Z'), true)).toMatchObject({ until: '2026-08-15T23:30:00.000Z' });
  expect(bounded.state(0, at('2026-08-16T00:00:00Z'), true)).toMatchObject({ open: false, over: true });
  expect(bounded.state(0, at('2026-08-16T00:30:00Z'), true).reason).toBe(
    'expireAt 2026-08-16T00:30:00.000Z has passed',
  );
});

it('asks again at startBy while nothing has started', () => {
  const bounded = gates({ startBy: '2026-08-01T23:00:00.000Z' }, 0);
  expect(bounded.state(0, at('2026-08-01T22:30:00Z'), false)).toMatchObject({
    open: true,
    until: '2026-08-01T23:00:00.000Z',
    closes: '2026-08-02T02:00:00.000Z',
  });
  expect(bounded.state(0, at('2026-08-01T22:30:00Z'), true)).toMatchObject({ until: '2026-08-02T02:00:00.000Z' });
});

it('waits with a later opening for what may start by startBy elsewhere', () => {
  const of = (name: string, recurrence: typeof saturday) => ({ windows: [{ name, recurrence }], blackouts: [] });
  const both = gates({
    startBy: '2026-08-06T00:00:00.000Z',
    calendars: [of('saturday', saturday), of('thursday', thursday)],
    gates: [
      { calendar: 0, needsMs: 0 },
      { calendar: 1, needsMs: 0 },
    ],
  });
  expect(both.state(1, at('2026-08-01T12:00:00Z'), false)).toMatchObject({
    open: false,
    over: false,
    until: '2026-08-06T00:00:00.000Z',
  });
  expect(both.state(1, at('2026-08-03T00:00:00Z'), false)).toMatchObject({ over: true });
});

it('leaves what the first opening left, where the plan says so', () => {
  const once = gates({ missedWindow: 'expire' });
  expect(once.state(0, at('2026-08-01T13:00:00Z'), false)).toMatchObject({ open: false, over: false });
  expect(once.state(0, at('2026-08-01T23:00:00Z'), true)).toMatchObject({ open: true });
  expect(once.state(0, at('2026-08-02T02:00:00Z'), true)).toMatchObject({ open: false, over: true, until: null });
  // Applied with too little left of one, its first opening is the next one.
  const late = gates({ missedWindow: 'expire', since: '2026-08-02T01:30:00.000Z' });
  expect(late.state(0, at('2026-08-02T01:45:00Z'), false)).toMatchObject({ until: '2026-08-08T22:00:00.000Z' });
  expect(late.state(0, at('2026-08-09T02:00:00Z'), false)).toMatchObject({ over: true });
});

it('is always open where only bounds are given, and knows no other gate', () => {
  const bounded = gates({ calendars: [{ windows: [], blackouts: [] }], expireAt: '2026-09-01T00:00:00.000Z' });
  expect(bounded.state(0, at('2026-08-20T00:00:00Z'), false)).toMatchObject({
    open: true,
    closes: '2026-09-01T00:00:00.000Z',
  });
  expect(() => bounded.state(1, 0, false)).toThrow('no gate 1');
});

it('tells the openings that come, those that are long enough and not too late', () => {
  const saturdays = ['2026-08-08', '2026-08-15', '2026-08-22'].map((day) => ({
    opens: `${day}T22:00:00.000Z`,
    closes: new Date(at(`${day}T22:00:00Z`) + 4 * HOUR).toISOString(),
  }));
  expect(gates().next(0, at('2026-08-01T22:00:00Z'), 3)).toEqual(saturdays);
  expect(gates().next(0, at('2026-08-08T21:59:59Z'), 1)).toEqual(saturdays.slice(0, 1));
  expect(gates({}, 0).next(0, at('2026-08-01T22:00:00Z'), 1)).toMatchObject([{ opens: '2026-08-06T22:00:00.000Z' }]);
  const expires = { expireAt: '2026-08-15T22:00:00.000Z' };
  expect(gates(expires).next(0, at('2026-08-01T22:00:00Z'), 3)).toEqual(saturdays.slice(0, 1));
  const scheduled = { notBefore: '2026-08-15T22:00:00.000Z' };
  expect(gates(scheduled).next(0, at('2026-08-01T22:00:00Z'), 1)).toEqual(saturdays.slice(1, 2));
});

it('has openings to tell of where only blackouts are, from the instant on that is asked for', () => {
  const yearEnd = { name: 'year end', recurrence: rangeOf('2026-12-19', '2027-01-03', 'UTC') };
  const asked = '2026-12-01T00:00:00.000Z';
  const windows = ['between blackouts'];
  const shutOnce = gates({ calendars: [{ windows: [], blackouts: [yearEnd] }] });
  expect(shutOnce.openingFrom(at(asked))).toEqual({ opens: asked, closes: '2026-12-19T00:00:00.000Z', windows });
  const after = { opens: '2027-01-04T00:00:00.000Z', closes: null, windows };
  expect(shutOnce.openingFrom(at('2026-12-19T00:00:00Z'))).toEqual(after);
  expect(gates({ calendars: [{ windows: [], blackouts: [] }] }).openingFrom(at(asked))).toBeNull();
});

it('finds the opening that is long enough, however many are not', () => {
  const nightly = recurrenceOf({ rrule: 'FREQ=DAILY', start: '22:00', duration: '20m', timezone: 'UTC' });
  const quarter = recurrenceOf({
    rrule: 'FREQ=YEARLY;BYMONTH=2,5,8,11;BYDAY=1SA',
    start: '10:00',
    duration: '6h',
    timezone: 'UTC',
  });
  const windows = [
    { name: 'nightly', recurrence: nightly },
    { name: 'quarter', recurrence: quarter },
  ];
  const calendars = [{ windows, blackouts: [] }];
  const next = gates({ calendars }, 2 * HOUR);
  // 91 nights before it, and not one of them is long enough.
  for (const from of ['2026-11-07T16:00:00Z', '2026-11-08T00:00:00Z', '2027-02-06T09:59:59Z']) {
    expect(next.state(0, at(from), true)).toMatchObject({
      open: false,
      until: '2027-02-06T10:00:00.000Z',
      over: false,
    });
  }
  expect(next.state(0, at('2027-02-06T10:00:00Z'), true)).toMatchObject({
    open: true,
    closes: '2027-02-06T16:00:00.000Z',
  });
  expect(next.next(0, at('2026-11-09T00:00:00Z'), 2).map(({ opens }) => opens)).toEqual([
    '2027-02-06T10:00:00.000Z',
    '2027-05-01T10:00:00.000Z',
  ]);
  // The first that is long enough is the only one, where the plan says so.
  const expiring = gates({ calendars, since: '2026-11-09T00:00:00.000Z', missedWindow: 'expire' }, 2 * HOUR);
  expect(expiring.state(0, at('2027-02-06T11:00:00Z'), true).open).toBe(true);
  expect(expiring.state(0, at('2027-05-01T12:00:00Z'), true)).toMatchObject({ open: false, over: true });
});

it('knows an opening that is years ahead, and one that has no end', () => {
  const once = rangeOf('2033-01-01T10:00', '2033-01-01T16:00', 'UTC');
  const far = gates({ calendars: [{ windows: [{ name: 'once', recurrence: once }], blackouts: [] }] });
  expect(far.state(0, at('2026-11-07T16:00:00Z'), true)).toMatchObject({
    until: '2033-01-01T10:00:00.000Z',
    over: false,
  });
  const shut = rangeOf('2026-12-01', '2026-12-31', 'UTC');
  const open = gates({ calendars: [{ windows: [], blackouts: [{ name: 'december', recurrence: shut }] }] });
  expect(open.next(0, at('2026-11-07T16:00:00Z'), 3)).toEqual([{ opens: '2027-01-01T00:00:00.000Z', closes: null }]);
});

describe('during some time, its calendars', () => {
  const times = (spans: readonly { readonly opens: number; readonly closes: number; readonly name: string }[]) =>
    spans.map(({ opens, closes, name }) => `${name} ${iso(opens)} ${iso(closes)}`);
  const iso = (ms: number) => new Date(ms).toISOString().slice(0, 16);
  const closing = { name: 'closing', recurrence: rangeOf('2026-08-08T23:00', '2026-08-09T00:00', 'UTC') };
  const [from, to] = [at('2026-08-01T23:00:00Z'), at('2026-08-15T23:00:00Z')];

  it('are open where their windows are, but for blackouts, which are told too', () => {
    const windows = [
      { name: 'saturday', recurrence: saturday },
      { name: 'thursday', recurrence: thursday },
    ];
    const blackouts = [closing];
    const [only] = gates({ calendars: [{ windows, blackouts }] }).during(from, to);
    expect(times(only?.open ?? [])).toEqual([
      'saturday 2026-08-01T23:00 2026-08-02T02:00',
      'thursday 2026-08-06T22:00 2026-08-06T22:30',
      'saturday 2026-08-08T22:00 2026-08-08T23:00',
      'saturday 2026-08-09T00:00 2026-08-09T02:00',
      'thursday 2026-08-13T22:00 2026-08-13T22:30',
      'saturday 2026-08-15T22:00 2026-08-15T23:00',
    ]);
    expect(times(only?.blackouts ?? [])).toEqual(['closing 2026-08-08T23:00 2026-08-09T00:00']);
  });

  it('are open between blackouts where there are no windows, and touching windows are one', () => {
    const blackouts = [closing];
    const after = recurrenceOf({ days: ['sun'], start: '02:00', duration: '1h', timezone: 'UTC' });
    const windows = [
      { name: 'saturday', recurrence: saturday },
      { name: 'after', recurrence: after },
    ];
    const rules = [0, 1].map((calendar) => ({ calendar, needsMs: 0 }));
    const calendars = [
      { windows: [], blackouts },
      { windows, blackouts: [] },
    ];
    const [shut, both] = gates({ calendars, gates: rules }).during(
      at('2026-08-08T20:00:00Z'),
      at('2026-08-09T12:00:00Z'),
    );
    expect(times(shut?.open ?? [])).toEqual([
      'between blackouts 2026-08-08T20:00 2026-08-08T23:00',
      'between blackouts 2026-08-09T00:00 2026-08-09T12:00',
    ]);
    expect(times(both?.open ?? [])).toEqual(['saturday, after 2026-08-08T22:00 2026-08-09T03:00']);
  });

  it('count no further than the rollout lets anything start', () => {
    const open = (more: Partial<RolloutWindows>) =>
      gates(more)
        .during(from, to)
        .map((one) => times(one.open));
    expect(open({ notBefore: '2026-08-13T22:15:00.000Z', expireAt: '2026-08-15T22:30:00.000Z' })).toEqual([
      ['thursday 2026-08-13T22:15 2026-08-13T22:30', 'saturday 2026-08-15T22:00 2026-08-15T22:30'],
    ]);
    expect(open({ missedWindow: 'expire' })).toEqual([['saturday 2026-08-01T23:00 2026-08-02T02:00']]);
    expect(open({ expireAt: '2026-08-01T22:30:00.000Z' })).toEqual([[]]);
  });
});
