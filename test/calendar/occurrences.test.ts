/** The openings that a schedule creates rollouts for: which, what they are called, and which one a run is for. */
import { describe, expect, it } from 'vitest';
import { recurrenceOf } from '../../calendar/forms.js';
import { Gates } from '../../calendar/gate.js';
import { occurrenceOf, occurrencesFrom } from '../../calendar/occurrences.js';
import type { Calendar } from '../../workflows/contracts/calendar.js';

const at = (text: string) => Date.parse(text);
const HOUR = 3_600_000;

function calendar(rrule: string, start: string, duration: string, timezone = 'Europe/Berlin'): Calendar {
  return { windows: [{ name: 'w', recurrence: recurrenceOf({ rrule, start, duration, timezone }) }], blackouts: [] };
}

const secondSaturday = calendar('FREQ=MONTHLY;BYDAY=2SA', '22:00', '4h');

describe('occurrences', () => {
  it('are named by their day where they begin, over both clock changes', () => {
    const found = occurrencesFrom(secondSaturday, at('2027-02-01T00:00:00Z'), 9);
    expect(found.map(({ name, opens }) => [name, opens])).toEqual([
      ['2027-02-13', '2027-02-13T21:00:00.000Z'],
      ['2027-03-13', '2027-03-13T21:00:00.000Z'],
      ['2027-04-10', '2027-04-10T20:00:00.000Z'],
      ['2027-05-08', '2027-05-08T20:00:00.000Z'],
      ['2027-06-12', '2027-06-12T20:00:00.000Z'],
      ['2027-07-10', '2027-07-10T20:00:00.000Z'],
      ['2027-08-14', '2027-08-14T20:00:00.000Z'],
      ['2027-09-11', '2027-09-11T20:00:00.000Z'],
      ['2027-10-09', '2027-10-09T20:00:00.000Z'],
    ]);
    expect(found[0]).toMatchObject({ closes: '2027-02-14T01:00:00.000Z', windows: ['w'], zone: 'Europe/Berlin' });
  });

  it('have another day than in UTC where the zone has', () => {
    const [found] = occurrencesFrom(
      calendar('FREQ=DAILY', '01:00', '1h', 'Asia/Shanghai'),
      at('2026-12-01T00:00:00Z'),
      1,
    );
    expect(found).toMatchObject({ name: '2026-12-02', opens: '2026-12-01T17:00:00.000Z' });
  });

  it('carry their time where several begin on one day, and only there', () => {
    const twice = calendar('FREQ=WEEKLY;BYDAY=SA;BYHOUR=2,22', '22:00', '3h');
    const found = occurrencesFrom(twice, at('2026-12-01T00:00:00Z'), 3);
    expect(found.map(({ name }) => name)).toEqual(['2026-12-05-0200', '2026-12-05-2200', '2026-12-12-0200']);
    // Yesterday's lasts until two o'clock: that one is yesterday's.
    const nightly = calendar('FREQ=DAILY', '22:00', '4h');
    expect(occurrencesFrom(nightly, at('2026-12-01T00:00:00Z'), 1)[0]?.name).toBe('2026-12-01');
  });

  it('begin at the instant that is asked for, or later', () => {
    const opens = at('2027-02-13T21:00:00Z');
    expect(occurrencesFrom(secondSaturday, opens, 1)[0]?.name).toBe('2027-02-13');
    expect(occurrencesFrom(secondSaturday, opens + 1, 1)[0]?.name).toBe('2027-03-13');
  });
});

describe('a run is for', () => {
  const lead = { leadMs: 24 * HOUR, jitterMs: 0 };
  const nightly = calendar('FREQ=DAILY', '22:00', '4h', 'UTC');

  it('the opening that its instant was made for, also while another one is open', () => {
    expect(occurrenceOf(nightly, at('2026-12-01T22:00:00Z'), lead)?.name).toBe('2026-12-02');
  });

  it('the same with its jitter', () => {
    const late = { ...lead, jitterMs: 600_000 };
    expect(occurrenceOf(nightly, at('2026-12-01T22:09:59Z'), late)?.name).toBe('2026-12-02');
    expect(occurrenceOf(nightly, at('2026-12-01T22:10:01Z'), late)?.name).toBe('2026-12-01');
  });

  it('the one that is open or comes next, at any other instant', () => {
    expect(occurrenceOf(nightly, at('2026-12-01T23:00:00Z'), lead)?.name).toBe('2026-12-01');
    expect(occurrenceOf(nightly, at('2026-12-02T02:00:00Z'), lead)?.name).toBe('2026-12-02');
  });

  it('none, once the last one is over', () => {
    const over = calendar('FREQ=DAILY;UNTIL=20261201', '2026-11-30T22:00', '4h', 'UTC');
    expect(occurrenceOf(over, at('2026-12-02T02:00:00Z'), lead)).toBeNull();
    expect(occurrencesFrom(over, at('2026-12-02T02:00:00Z'), 10)).toEqual([]);
  });
});

it('its rollout starts nothing before its own opening, whatever is open', () => {
  const windows = {
    calendars: [calendar('FREQ=DAILY', '22:00', '4h', 'UTC')],
    gates: [{ calendar: 0, needsMs: 0 }],
    since: '2026-12-02T22:00:00.000Z',
    notBefore: '2026-12-02T22:00:00.000Z',
    missedWindow: 'expire' as const,
  };
  const gates = new Gates(windows);
  const early = gates.state(0, at('2026-12-01T23:00:00Z'), false);
  expect(early).toEqual({
    open: false,
    until: '2026-12-02T22:00:00.000Z',
    closes: null,
    reason: 'its schedule lets it begin at 2026-12-02T22:00:00.000Z',
    over: false,
  });
  expect(gates.state(0, at('2026-12-02T22:00:00Z'), false)).toMatchObject({ open: true, over: false });
  expect(gates.state(0, at('2026-12-03T02:00:00Z'), true)).toMatchObject({ open: false, over: true });
  // A gate that its opening is not for waits for the first one of its own after that.
  const later = new Gates({
    ...windows,
    calendars: [calendar('FREQ=DAILY', '04:00', '1h', 'UTC')],
    missedWindow: 'next',
  });
  expect(later.state(0, at('2026-12-02T04:30:00Z'), false)).toMatchObject({ until: '2026-12-03T04:00:00.000Z' });
});
