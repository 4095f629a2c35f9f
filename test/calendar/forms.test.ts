import { expect, it } from 'vitest';
import { OpenCalendar } from '../../calendar/calendar.js';
import {
  durationMs,
  isoDuration,
  rangeOf,
  recurrenceOf,
  ruleObjection,
  wallObjection,
  zoneObjection,
} from '../../calendar/forms.js';

it.each([
  '+02:00',
  'UTC+2',
  'GMT-5',
  'Z',
  'Etc/GMT+5',
  'CET',
  'EST',
  'EST5EDT',
  'cet',
  'est',
  'mst',
  'est5edt',
  'SystemV/EST5',
  'Europe/Berln',
  '',
  'W. Europe Standard Time',
])('refuses %j as a zone', (zone) => {
  expect(zoneObjection(zone)?.remedy).toContain('Europe/Berlin');
});

it.each(['Europe/Berlin', 'UTC', 'Australia/Lord_Howe', 'Asia/Shanghai', 'America/Argentina/Buenos_Aires'])(
  'takes %j as a zone',
  (zone) => {
    expect(zoneObjection(zone)).toBeNull();
  },
);

it.each([
  ['FREQ=HOURLY', 'FREQ=DAILY with BYHOUR'],
  ['FREQ=SOMETIMES', 'DAILY, WEEKLY, MONTHLY or YEARLY'],
  ['BYDAY=MO', 'add FREQ'],
  ['FREQ=WEEKLY', 'add BYDAY'],
  ['FREQ=WEEKLY;INTERVAL=2;BYDAY=MO', '2026-01-10T22:00'],
  ['FREQ=WEEKLY;INTERVAL=0;BYDAY=MO', 'from 1'],
  ['FREQ=DAILY;COUNT=1', '2026-01-10T22:00'],
  ['FREQ=MONTHLY;BYMONTHDAY=40', 'to 31'],
  ['FREQ=MONTHLY;BYMONTHDAY=0', 'from 1'],
  ['FREQ=MONTHLY;BYMONTHDAY=1.5', 'whole numbers'],
  ['FREQ=MONTHLY;BYMONTH=13;BYDAY=MO', 'to 12'],
  ['FREQ=MONTHLY;BYDAY=XX', 'MO to SU'],
  ['FREQ=DAILY;UNTIL=2026', '20261231'],
  ['FREQ=DAILY;UNTIL=20260231', '20261231'],
  ['FREQ=DAILY;FREQ=WEEKLY', 'keep one'],
  ['FREQ=DAILY;BYEASTER=1', 'remove it'],
  ['FREQ=DAILY;', 'NAME=VALUE'],
  ['FREQ=WEEKLY;BYDAY=2SA', 'use FREQ=MONTHLY'],
  ['FREQ=DAILY;BYDAY=MO,-1SA', 'use FREQ=MONTHLY'],
  ['FREQ=YEARLY;BYWEEKNO=20;BYDAY=2SA', 'remove BYWEEKNO'],
  ['FREQ=WEEKLY;BYDAY=XX', 'with FREQ=MONTHLY also with a number'],
  ['FREQ=MONTHLY;BYWEEKNO=20;BYDAY=SA', 'use FREQ=YEARLY'],
  ['FREQ=DAILY;BYYEARDAY=100', 'use FREQ=YEARLY'],
  ['FREQ=WEEKLY;BYYEARDAY=100', 'use FREQ=YEARLY'],
  ['FREQ=MONTHLY;BYYEARDAY=100', 'use FREQ=YEARLY'],
  ['FREQ=WEEKLY;BYMONTHDAY=13;BYDAY=FR', 'use FREQ=MONTHLY'],
  ['FREQ=DAILY;BYSETPOS=2', 'add BYDAY'],
  // Days of its own are what the library makes of these, or no end.
  ['FREQ=YEARLY;BYYEARDAY=60,365;BYDAY=SA,SU', 'keep one of the two'],
  ['FREQ=YEARLY;BYYEARDAY=60;BYMONTHDAY=30', 'keep one of the two'],
  ['FREQ=YEARLY;BYMONTHDAY=13;BYDAY=1FR,2FR', 'leave out the numbers'],
  ['FREQ=YEARLY;BYWEEKNO=1;BYMONTHDAY=4', 'keep one of the two'],
  ['FREQ=YEARLY;BYWEEKNO=1,2,53;BYDAY=SA;BYSETPOS=1', 'keep one of the two'],
  ['FREQ=YEARLY;BYWEEKNO=20', 'BYDAY=SA'],
])('refuses the rule %s', (rule, remedy) => {
  expect(ruleObjection(rule, '22:00')?.remedy).toContain(remedy);
});

it.each([
  'FREQ=MONTHLY;BYDAY=2SA,-1SU',
  'FREQ=YEARLY;BYDAY=20MO',
  'FREQ=YEARLY;BYMONTH=11;BYDAY=4TH',
  'FREQ=YEARLY;BYWEEKNO=20;BYDAY=SA',
  'FREQ=YEARLY;BYYEARDAY=-1',
  'FREQ=YEARLY;BYMONTHDAY=13;BYDAY=FR',
  'FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR',
  'FREQ=DAILY;BYMONTHDAY=13',
  'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1',
  'FREQ=WEEKLY;BYDAY=SA,SU;BYSETPOS=1',
])('takes the rule %s', (rule) => {
  expect(ruleObjection(rule, '22:00')).toBeNull();
});

it('takes a rule that counts from a first day when start has one', () => {
  expect(ruleObjection('FREQ=WEEKLY;INTERVAL=2', '2026-01-10T22:00')).toBeNull();
  expect(ruleObjection('FREQ=DAILY;COUNT=2;UNTIL=20261231', '2026-01-10T22:00')?.remedy).toBe('keep one of the two');
});

it.each([
  ['4h', 'PT4H', 4],
  ['1h30m', 'PT1H30M', 1.5],
  ['2d', 'P2D', 48],
  ['1w', 'P7D', 168],
  ['PT90M', 'PT90M', 1.5],
])('reads the duration %s', (text, iso, hours) => {
  expect(isoDuration(text)).toBe(iso);
  expect(durationMs(iso)).toBe(hours * 3_600_000);
});

it.each(['', '4', '4 hours', '0h', '-PT4H', 'P1M', 'P1Y', '1.5h'])('refuses the duration %j', (text) => {
  expect(isoDuration(text)).toBeNull();
});

it.each(['2026-02-29', '2026-13-01', '2026-01-01T25:00', '2026-01-01T10:00Z', '2026-01-01T10:00+01:00', 'tomorrow'])(
  'refuses %j as a wall-clock time',
  (text) => {
    expect(wallObjection(text)).not.toBeNull();
  },
);

const saturday = recurrenceOf({ days: ['sat'], start: '22:00', duration: '4h', timezone: 'Europe/Berlin' });

it('names what is open, what shuts it, and the next openings', () => {
  const calendar = new OpenCalendar({
    windows: [{ name: 'saturday night', recurrence: saturday }],
    blackouts: [{ name: 'summer sale', recurrence: rangeOf('2026-08-08', '2026-08-09', 'Europe/Berlin') }],
  });
  expect(calendar.state(Date.parse('2026-08-01T23:00:00+02:00'))).toEqual({
    at: '2026-08-01T21:00:00.000Z',
    open: true,
    since: '2026-08-01T20:00:00.000Z',
    until: '2026-08-02T00:00:00.000Z',
    reason: 'window saturday night',
  });
  expect(calendar.state(Date.parse('2026-08-08T23:00:00+02:00'))).toEqual({
    at: '2026-08-08T21:00:00.000Z',
    open: false,
    since: '2026-08-02T00:00:00.000Z',
    until: '2026-08-15T20:00:00.000Z',
    reason: 'blackout: summer sale',
  });
  expect(calendar.state(Date.parse('2026-08-03T23:00:00+02:00')).reason).toBe('outside every window');

  const openings = calendar.openings(Date.parse('2026-08-01T23:00:00+02:00'), 3);
  expect(openings.map(({ opens }) => opens)).toEqual([
    '2026-08-01T20:00:00.000Z',
    '2026-08-15T20:00:00.000Z',
    '2026-08-22T20:00:00.000Z',
  ]);
  expect(openings[0]).toEqual({
    opens: '2026-08-01T20:00:00.000Z',
    closes: '2026-08-02T00:00:00.000Z',
    windows: ['saturday night'],
  });
});

it('leaves out the starts that a rule excepts, and adds those beyond it', () => {
  const recurrence = { ...saturday, except: ['2026-08-08T22:00'], also: ['2026-08-11T22:00'] };
  const calendar = new OpenCalendar({ windows: [{ name: 'w', recurrence }], blackouts: [] });
  expect(calendar.openings(Date.parse('2026-08-02T12:00:00Z'), 2).map(({ opens }) => opens)).toEqual([
    '2026-08-11T20:00:00.000Z',
    '2026-08-15T20:00:00.000Z',
  ]);
});

it('is always open without windows and blackouts', () => {
  const calendar = new OpenCalendar({ windows: [], blackouts: [] });
  expect(calendar.state(0)).toMatchObject({ open: true, since: null, until: null });
});
