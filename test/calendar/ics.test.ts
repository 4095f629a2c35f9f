/** Files as the usual programs export them. */
import { expect, it } from 'vitest';
import { OpenCalendar } from '../../calendar/calendar.js';
import { entriesOfIcs } from '../../calendar/ics.js';

const file = (...events: string[][]) =>
  [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//test//test//EN',
    ...events.flatMap((lines, at) => ['BEGIN:VEVENT', `UID:${at}@example.com`, ...lines, 'END:VEVENT']),
    'END:VCALENDAR',
    '',
  ].join('\r\n');

const berlin = { timezone: 'Europe/Berlin', reason: 'calendar' };

/** When it is shut, as pairs of edges, from the start of 2026 on. */
function shut(text: string, options: Parameters<typeof entriesOfIcs>[1] = berlin, count = 3): string[] {
  const { entries, objections } = entriesOfIcs(text, options);
  expect(objections).toEqual([]);
  const calendar = new OpenCalendar({ windows: [], blackouts: entries });
  const found: string[] = [];
  for (let at = Date.parse('2026-01-01T12:00:00Z'); found.length < count;) {
    const next = calendar.nextEdge(at);
    if (next === null) break;
    if (calendar.isOpen(at)) found.push(`${text_(next)}/${text_(calendar.nextEdge(next))}`);
    at = next;
  }
  return found;
}

const text_ = (ms: number | null) => (ms === null ? '' : new Date(ms).toISOString().slice(0, 16));

it('takes whole days in the zone of the entry, with and without an end, also those marked as free', () => {
  const text = file(
    ['SUMMARY:New Year', 'DTSTART;VALUE=DATE:20260106', 'TRANSP:TRANSPARENT'],
    ['SUMMARY:Freeze', 'DTSTART;VALUE=DATE:20260328', 'DTEND;VALUE=DATE:20260330'],
  );
  expect(shut(text)).toEqual(['2026-01-05T23:00/2026-01-06T23:00', '2026-03-27T23:00/2026-03-29T22:00']);
  expect(entriesOfIcs(text, berlin).entries.map(({ name }) => name)).toEqual(['New Year', 'Freeze']);
});

it('takes zoned, UTC and floating times, folded lines and escaped text', () => {
  const text = file(
    ['SUMMARY:Month end\\, all', '  systems', 'DTSTART;TZID=America/New_York:20260130T180000', 'DURATION:PT6H'],
    ['DTSTART:20260301T100000Z', 'DTEND:20260301T113000Z'],
    ['DTSTART:20260401T100000', 'DTEND:20260401T110000'],
  );
  expect(shut(text)).toEqual([
    '2026-01-30T23:00/2026-01-31T05:00',
    '2026-03-01T10:00/2026-03-01T11:30',
    '2026-04-01T08:00/2026-04-01T09:00',
  ]);
  expect(entriesOfIcs(text, berlin).entries.map(({ name }) => name)).toEqual([
    'Month end, all systems',
    'calendar',
    'calendar',
  ]);
});

it('expands what recurs: exceptions, additions, and occurrences that were moved or cancelled', () => {
  const text = file([
    'SUMMARY:Weekly',
    'DTSTART;TZID=Europe/Berlin:20260105T090000',
    'DTEND;TZID=Europe/Berlin:20260105T100000',
    'RRULE:FREQ=WEEKLY;COUNT=4',
    'EXDATE;TZID=Europe/Berlin:20260112T090000',
    'RDATE:20260114T080000Z',
  ]).replace(
    'END:VCALENDAR',
    [
      'BEGIN:VEVENT',
      'UID:0@example.com',
      'RECURRENCE-ID;TZID=Europe/Berlin:20260119T090000',
      'SUMMARY:Weekly, moved',
      'DTSTART;TZID=Europe/Berlin:20260120T150000',
      'DTEND;TZID=Europe/Berlin:20260120T160000',
      'END:VEVENT',
      'BEGIN:VEVENT',
      'UID:0@example.com',
      'RECURRENCE-ID:20260126T080000Z',
      'STATUS:CANCELLED',
      'DTSTART;TZID=Europe/Berlin:20260126T090000',
      'DTEND;TZID=Europe/Berlin:20260126T100000',
      'END:VEVENT',
      'END:VCALENDAR',
    ].join('\r\n'),
  );
  expect(shut(text, berlin, 9)).toEqual([
    '2026-01-05T08:00/2026-01-05T09:00',
    '2026-01-14T08:00/2026-01-14T09:00',
    '2026-01-20T14:00/2026-01-20T15:00',
  ]);
});

it('denies the time that an event itself names, also where its rule does not have it', () => {
  const thursdays = ['DTSTART:20260203T100000Z', 'DTEND:20260203T120000Z', 'RRULE:FREQ=WEEKLY;COUNT=2;BYDAY=TH'];
  expect(shut(file(thursdays))).toEqual([
    '2026-02-03T10:00/2026-02-03T12:00',
    '2026-02-05T10:00/2026-02-05T12:00',
    '2026-02-12T10:00/2026-02-12T12:00',
  ]);
  expect(shut(file([...thursdays, 'EXDATE:20260203T100000Z']), berlin, 1)).toEqual([
    '2026-02-05T10:00/2026-02-05T12:00',
  ]);
});

it('takes zones by other names where the plan says what they are', () => {
  const text = file(['DTSTART;TZID=W. Europe Standard Time:20260701T100000', 'DURATION:PT1H']);
  expect(entriesOfIcs(text, berlin).objections).toEqual([
    {
      message: 'event "": "W. Europe Standard Time" is no IANA time zone',
      remedy: 'say which one it is: zones: { "W. Europe Standard Time": Europe/Berlin }',
    },
  ]);
  const zones = { 'W. Europe Standard Time': 'Europe/Berlin' };
  expect(shut(text, { ...berlin, zones })).toEqual(['2026-07-01T08:00/2026-07-01T09:00']);
});

it.each([
  ['', 'is no iCalendar file'],
  ['<html>sign in</html>', 'is no iCalendar file'],
  [file().replace('END:VCALENDAR', ''), 'is no iCalendar file'],
  [file(), 'has no event'],
  [
    file(['SUMMARY:x', 'DTSTART:20260101T100000Z', 'DTEND:20260101T090000Z']),
    'event "x": ends no later than it begins',
  ],
  [
    file(['SUMMARY:x', 'DTSTART:20260101T100000Z', 'DURATION:PT1H', 'RRULE:FREQ=MINUTELY']),
    'FREQ=MINUTELY is not accepted',
  ],
  [file(['SUMMARY:x', 'DURATION:PT1H']), 'has no DTSTART'],
  [
    file(['SUMMARY:x', 'DTSTART:20260106T100000Z', 'RRULE:FREQ=WEEKLY;BYDAY=TU', 'RRULE:FREQ=WEEKLY;BYDAY=TH']),
    'event "x": has 2 rules (RRULE)',
  ],
  [
    file(['SUMMARY:x', 'RECURRENCE-ID;RANGE=THISANDFUTURE:20260106T100000Z', 'DTSTART:20260107T100000Z']),
    'event "x": changes all occurrences from one on',
  ],
  [
    file(['SUMMARY:x', 'DTSTART:20260106T100000Z', 'DURATION:PT1H', 'RRULE:FREQ=WEEKLY;BYDAY=2SA']),
    'BYDAY=2SA with FREQ=WEEKLY is not accepted',
  ],
  [file(['SUMMARY:x', 'DTSTART:20261301T100000Z', 'DURATION:PT1H']), 'event "x"'],
])('refuses %j', (text, message) => {
  expect(entriesOfIcs(text, berlin).objections[0]?.message).toContain(message);
});
