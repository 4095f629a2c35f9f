/** What a plan says of windows: joined to calendars, and refused with place and remedy where it makes no sense. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { OpenCalendar } from '../../calendar/calendar.js';
import { InputError } from '../../plan/errors.js';
import { planOf, tagsKey, usesTags } from '../../plan/plan.js';
import { parseSource } from '../../plan/source.js';
import { ACCOUNTS, FAKE_APIS } from './fake-api.js';

const folder = mkdtempSync(join(tmpdir(), 'uplift-windows-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const now = Date.parse('2026-11-21T12:00:00Z');
const apis = FAKE_APIS.map((api) => ({ ...api, pace: { ...api.pace, expectedMs: 3_600_000 } }));
const context = { apis, accounts: ACCOUNTS, now };

/** The windows begin at line 8. */
const source = (windows: string) =>
  parseSource(
    `apiVersion: uplift/v1
kind: Rollout
metadata: { name: spring }
spec:
  targets:
    - { service: kite-v1, account: north, ids: [kite-1, kite-2], version: "2.0" }
    - { service: balloon, account: ali, id: kite-1, version: "3.1" }
${windows.replace(/^/gm, '  ')}
`,
    join(folder, 'plan.yaml'),
  );

function linesOf(windows: string): string[] {
  try {
    planOf(source(windows), context);
  } catch (error) {
    if (error instanceof InputError) return error.message.replaceAll(`${folder}/`, '').split('\n');
    throw error;
  }
  throw new Error('was accepted');
}

const SATURDAY = 'name: saturday, days: [sat], start: "22:00", duration: 4h, timezone: Europe/Berlin';

describe('windows', () => {
  it.each([
    [
      'a quarter ahead',
      `windows:
  - { name: nightly, rrule: FREQ=DAILY, start: "22:00", duration: 20m, timezone: UTC }
  - { name: quarter, rrule: "FREQ=YEARLY;BYMONTH=2,5,8,11;BYDAY=1SA", start: "10:00", duration: 6h, timezone: UTC }
durations: { kite-v1: 2h, balloon: 10m }`,
    ],
    [
      'after a week of short ones',
      `windows:
  - { name: nightly, rrule: FREQ=DAILY, start: "22:00", duration: 4h, timezone: UTC }
blackouts:
  - { reason: freeze, rrule: FREQ=DAILY;UNTIL=20261130, start: "22:05", duration: 3h55m, timezone: UTC }
durations: { kite-v1: 2h, balloon: 2h }`,
    ],
  ])('fit what only a later opening is long enough for: %s', (_, windows) => {
    expect(planOf(source(windows), context).windows).not.toBeNull();
  });

  it('give each target its calendar and what it needs of an opening', () => {
    const plan = planOf(
      source(`windows:
  - { ${SATURDAY} }
  - { name: fortnight, rrule: "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", start: 2026-12-01T21:00, duration: 2h30m, timezone: Asia/Shanghai, for: { accounts: [ali] } }
blackouts:
  - { reason: year end, from: 2026-12-20, to: 2027-01-03, timezone: Europe/Berlin }
expireAt: 2027-06-01T00:00+02:00
margin: 15m
durations: { balloon: 30m }`),
      context,
    );
    const saturday = {
      name: 'saturday',
      recurrence: {
        start: '2000-01-01T22:00:00',
        timezone: 'Europe/Berlin',
        duration: 'PT4H',
        rrule: 'FREQ=WEEKLY;BYDAY=SA',
      },
    };
    const yearEnd = {
      name: 'year end',
      recurrence: {
        start: '2026-12-20T00:00:00',
        end: '2027-01-04T00:00:00',
        timezone: 'Europe/Berlin',
        duration: 'PT0S',
      },
    };
    const fortnight = {
      name: 'fortnight',
      recurrence: {
        start: '2026-12-01T21:00:00',
        timezone: 'Asia/Shanghai',
        duration: 'PT2H30M',
        rrule: 'FREQ=WEEKLY;INTERVAL=2;BYDAY=TU',
      },
    };
    expect(plan.windows).toEqual({
      calendars: [
        { windows: [saturday], blackouts: [yearEnd] },
        { windows: [saturday, fortnight], blackouts: [yearEnd] },
      ],
      gates: [
        { calendar: 0, needsMs: 75 * 60_000 },
        { calendar: 1, needsMs: 45 * 60_000 },
      ],
      expireAt: '2027-05-31T22:00:00.000Z',
      missedWindow: 'next',
    });
    expect(plan.waves[0]?.targets.map(({ gate }) => gate)).toEqual([0, 0, 1]);
  });

  it('may go by tags, which the clouds know', () => {
    const text = `windows:
  - { ${SATURDAY} }
  - { name: tagged, days: [sun], start: "10:00", duration: 3h, timezone: UTC, for: { tags: { env: prod } } }`;
    expect(usesTags(source(text))).toBe(true);
    expect(usesTags(source(`windows: [{ ${SATURDAY} }]`))).toBe(false);
    const tags = new Map([[tagsKey({ account: 'north', service: 'kite-v1', id: 'kite-2' }), { env: 'prod' }]]);
    const plan = planOf(source(text), context, new Map(), tags);
    expect(plan.waves[0]?.targets.map(({ gate }) => gate)).toEqual([0, 1, 0]);
  });

  it('take a blackout until the end of the day on which it begins, and one that is over', () => {
    const plan = planOf(
      source(`blackouts:
  - { reason: eve, from: 2026-12-24T18:00, to: 2026-12-24, timezone: Europe/Berlin }
  - { reason: once, rrule: FREQ=DAILY;COUNT=3, start: 2026-01-01T22:00, duration: 4h, timezone: Europe/Berlin }`),
      context,
    );
    const [eve, once] = plan.windows?.calendars[0]?.blackouts ?? [];
    expect(eve?.recurrence).toMatchObject({ start: '2026-12-24T18:00:00', end: '2026-12-25T00:00:00' });
    expect(once?.name).toBe('once');
  });

  it('change the digest, and none changes nothing', () => {
    const digests = ['', `windows: [{ ${SATURDAY} }]`, `windows: [{ ${SATURDAY} }]\nmargin: 5m`].map(
      (text) => planOf(source(text), context).digest,
    );
    expect(new Set(digests).size).toBe(3);
    expect(planOf(source(''), context)).toMatchObject({ windows: null });
  });

  it('take a blackout that begins in a gap before midnight', () => {
    const range = 'reason: x, from: 2027-03-27T23:30, to: 2027-04-10, timezone: America/Nuuk';
    const [calendar] = planOf(source(`blackouts: [{ ${range} }]`), context).windows?.calendars ?? [];
    if (calendar === undefined) throw new Error('no calendar');
    expect(new OpenCalendar(calendar).state(Date.parse('2027-03-28T01:30:00Z'))).toMatchObject({
      open: false,
      until: '2027-04-11T01:00:00.000Z',
    });
  });

  it('read an .ics file beside the plan', () => {
    const ics = ['BEGIN:VCALENDAR', 'BEGIN:VEVENT', 'SUMMARY:New Year', 'DTSTART;VALUE=DATE:20270101', 'END:VEVENT'];
    writeFileSync(join(folder, 'holidays.ics'), [...ics, 'END:VCALENDAR', ''].join('\r\n'));
    const plan = planOf(
      source('blackouts: [{ reason: holidays, ics: holidays.ics, timezone: Europe/Berlin }]'),
      context,
    );
    expect(plan.windows?.calendars[0]?.blackouts).toEqual([
      {
        name: 'holidays: New Year',
        recurrence: { start: '2027-01-01T00:00:00', timezone: 'Europe/Berlin', duration: 'P1D' },
      },
    ]);
  });
});

const EVENT = ['BEGIN:VCALENDAR', 'BEGIN:VEVENT', 'SUMMARY:Move', 'DTSTART:20111230T100000', 'DURATION:PT4H'];
writeFileSync(join(folder, 'no-day.ics'), [...EVENT, 'END:VEVENT', 'END:VCALENDAR', ''].join('\r\n'));
writeFileSync(join(folder, 'broken.ics'), 'BEGIN:VCALENDAR\r\n');
writeFileSync(join(folder, 'binary.ics'), Buffer.from([0xff, 0xfe, 0x00]));

const windows = (entry: string) => `windows:\n  - { ${entry} }`;
const blackouts = (entry: string) => `blackouts:\n  - { ${entry} }`;

type Row = readonly [what: string, text: string, ...lines: string[]];
const ROWS: readonly Row[] = [
  [
    'an offset for a zone',
    windows(SATURDAY.replace('Europe/Berlin', '"+01:00"')),
    'plan.yaml:9: spec.windows[0].timezone: "+01:00" is an offset, which knows no clock changes (name the zone by its IANA name, as in Europe/Berlin)',
  ],
  [
    'an unknown zone',
    windows(SATURDAY.replace('Berlin', 'Bern')),
    'plan.yaml:9: spec.windows[0].timezone: "Europe/Bern" is no time zone that this release knows (name the zone by its IANA name, as in Europe/Berlin)',
  ],
  [
    'no zone',
    windows(SATURDAY.replace(', timezone: Europe/Berlin', '')),
    'plan.yaml:9: spec.windows[0].timezone: is missing (add it, as text)',
  ],
  [
    'both forms',
    windows(`${SATURDAY}, rrule: FREQ=DAILY`),
    'plan.yaml:9: spec.windows[0]: must have either `days` or `rrule` (say when it occurs, in one way)',
  ],
  [
    'a rule that never occurs',
    windows('name: never, rrule: FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30, start: "22:00", duration: 4h, timezone: UTC'),
    'plan.yaml:9: spec.windows[0]: window "never" never occurs (correct its rule, or remove it)',
  ],
  [
    'a rule that is over',
    windows('name: past, rrule: FREQ=DAILY;COUNT=3, start: 2026-01-01T22:00, duration: 4h, timezone: UTC'),
    'plan.yaml:9: spec.windows[0]: window "past" never occurs (correct its rule, or remove it)',
  ],
  [
    'a rule that is none',
    windows('name: odd, rrule: FREQ=MONTHLY;BYMONTHDAY=40, start: "22:00", duration: 4h, timezone: UTC'),
    'plan.yaml:9: spec.windows[0].rrule: BYMONTHDAY=40 is not accepted (use whole numbers from 1 to 31, or negative ones)',
  ],
  [
    'no length of time',
    windows(SATURDAY.replace('4h', '4 hours')),
    'plan.yaml:9: spec.windows[0].duration: is no length of time (write 4h, 90m, 1h30m or 1d)',
  ],
  [
    'a length beyond all sense',
    windows(SATURDAY.replace('4h', '99999999999d')),
    'plan.yaml:9: spec.windows[0].duration: is no length of time (write 4h, 90m, 1h30m or 1d)',
  ],
  [
    'no time of day',
    windows(SATURDAY.replace('22:00', '24:00')),
    'plan.yaml:9: spec.windows[0].start: "24:00" is no time of day (write 22:00)',
  ],
  [
    'a window that is shorter than every upgrade in it',
    windows(SATURDAY.replace('4h', '30m')),
    'plan.yaml:9: spec.windows[0]: window "saturday" is open for 30 min, and the shortest upgrade in it needs more than 1 h (lengthen the window, correct `durations`, or set `startOnlyIfFits: false`)',
  ],
  [
    'an upgrade that fits into none',
    `${windows(SATURDAY)}\ndurations: { balloon: 6h }`,
    'plan.yaml:7: spec.targets[1]: an upgrade of balloon needs more than 6 h, and no opening is longer than 4 h (lengthen the window, correct `durations`, or set `startOnlyIfFits: false`)',
  ],
  [
    'a window that blackouts cover',
    `${windows(SATURDAY)}\n${blackouts('reason: no weekends, days: [sat], start: "00:00", duration: 2d, timezone: Europe/Berlin')}`,
    'plan.yaml:9: spec.windows[0]: blackouts cover window "saturday" (correct them, or remove the window)',
  ],
  [
    'a target without a window',
    windows(`${SATURDAY}, for: { accounts: [north] }`),
    'plan.yaml:7: spec.targets[1]: no window holds for balloon kite-1 (add one for it, or remove the `for` of one)',
  ],
  [
    'a window for an unknown account',
    windows(`${SATURDAY}, for: { accounts: [nord] }`),
    'plan.yaml:9: spec.windows[0].for.accounts[0]: "nord" is no account of the accounts file (did you mean north? Known: north, north-too, south, ali, rehearsal)',
  ],
  [
    'an end before its start',
    blackouts('reason: x, from: 2026-12-24, to: 2026-12-20, timezone: UTC'),
    'plan.yaml:9: spec.blackouts[0].to: is not after `from` (give the later one as `to`)',
  ],
  [
    'a range that ends as it begins',
    blackouts('reason: x, from: 2026-12-24, to: 2026-12-24T00:00, timezone: UTC'),
    'plan.yaml:9: spec.blackouts[0].to: is not after `from` (give the later one as `to`)',
  ],
  [
    'a range that ends as it begins, in seconds',
    blackouts('reason: x, from: 2026-12-24T18:00, to: 2026-12-24T18:00:00, timezone: UTC'),
    'plan.yaml:9: spec.blackouts[0].to: is not after `from` (give the later one as `to`)',
  ],
  [
    'a range to the last date there is',
    blackouts('reason: x, from: 2026-12-24, to: 9999-12-31, timezone: UTC'),
    'plan.yaml:9: spec.blackouts[0].to: "9999-12-31" is the last date there is, and a range ends with the next one (give an earlier one)',
  ],
  [
    'a blackout that never occurs',
    blackouts('reason: x, rrule: FREQ=MONTHLY;BYDAY=6SA, start: "00:00", duration: 1d, timezone: UTC'),
    'plan.yaml:9: spec.blackouts[0]: blackout "x" never occurs (correct its rule, or remove it)',
  ],
  [
    'half a range',
    blackouts('reason: x, from: 2026-12-24, timezone: UTC'),
    'plan.yaml:9: spec.blackouts[0]: has only one of `from` and `to` (give both)',
  ],
  [
    'a blackout on a day that its zone does not have',
    blackouts('reason: x, dates: [2011-12-29, 2011-12-30], timezone: Pacific/Apia'),
    'plan.yaml:9: spec.blackouts[0].dates[1]: Pacific/Apia has no such day (correct it, or remove it)',
  ],
  [
    'a day that does not exist',
    blackouts('reason: x, dates: [2027-02-29], timezone: UTC'),
    'plan.yaml:9: spec.blackouts[0].dates[0]: "2027-02-29" is no date and time (write 2026-01-31, or 2026-01-31T22:00)',
  ],
  [
    'dates and a file',
    blackouts('reason: x, dates: [2027-02-28], ics: a.ics, timezone: UTC'),
    'plan.yaml:9: spec.blackouts[0]: must have exactly one of `dates`, `from`, `days`, `rrule` and `ics` (say when it is, in one way)',
  ],
  [
    'a blackout without reason',
    blackouts('dates: [2027-02-28], timezone: UTC'),
    'plan.yaml:9: spec.blackouts[0].reason: is missing (add it, as text)',
  ],
  [
    'no such file',
    blackouts('reason: x, ics: none.ics, timezone: UTC'),
    'plan.yaml:9: spec.blackouts[0].ics: there is no such file (check the path; it is relative to the plan)',
  ],
  [
    'an event on a day that its zone does not have',
    blackouts('reason: x, ics: no-day.ics, timezone: Pacific/Apia'),
    'plan.yaml:9: spec.blackouts[0].ics: no-day.ics event "Move": never occurs: its zone has no such day (correct its date, or remove it)',
  ],
  [
    'a broken file',
    blackouts('reason: x, ics: broken.ics, timezone: UTC'),
    'plan.yaml:9: spec.blackouts[0].ics: broken.ics is no iCalendar file (export it anew; it begins with BEGIN:VCALENDAR and ends with END:VCALENDAR)',
  ],
  [
    'a file that is no text',
    blackouts('reason: x, ics: binary.ics, timezone: UTC'),
    'plan.yaml:9: spec.blackouts[0].ics: is not UTF-8 text (export it anew, as UTF-8)',
  ],
  [
    'bounds that have passed, and are turned round',
    'startBy: 2026-12-01T00:00Z\nexpireAt: 2026-11-30T00:00Z',
    'plan.yaml:9: spec.expireAt: is before `startBy` (give the later one as `expireAt`)',
  ],
  [
    'a bound that has passed',
    'expireAt: 2026-11-20T00:00Z',
    'plan.yaml:8: spec.expireAt: has passed (give a later time, or remove it)',
  ],
  [
    'a bound without an offset',
    'expireAt: 2026-12-20T00:00',
    'plan.yaml:8: spec.expireAt: "2026-12-20T00:00" does not have the right form (write an instant with its offset: 2026-12-01T06:00+01:00)',
  ],
  ...['2027-02-30T00:00Z', '2027-01-01T24:00Z', '2027-01-01T12:00+25:00'].flatMap((time) =>
    ['startBy', 'expireAt'].map((bound): [string, string, string] => [
      `a ${bound} that is no instant: ${time}`,
      `${bound}: ${time}`,
      `plan.yaml:8: spec.${bound}: is no date and time (write an instant with its offset: 2026-12-01T06:00+01:00)`,
    ]),
  ),
  [
    'a window that opens too late',
    `${windows('name: leap, rrule: FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29, start: "22:00", duration: 4h, timezone: UTC')}\nexpireAt: 2027-01-01T00:00Z`,
    'plan.yaml:9: spec.windows[0]: window "leap" opens after `expireAt` (give a later `expireAt`, or remove it)',
  ],
  [
    'a duration of no service here',
    'durations: { ballon: 1h }',
    'plan.yaml:8: spec.durations.ballon: is no service of this plan (did you mean balloon? Known: kite-v1, balloon)',
  ],
];

it.each(ROWS)('refuses %s', (_, text, ...lines) => {
  expect(linesOf(text)).toEqual(lines);
});
