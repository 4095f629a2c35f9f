/** The published vectors, walked: test/vectors/windows.yaml. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { OpenCalendar } from '../../calendar/calendar.js';
import {
  dayOf,
  rangeOf,
  recurrenceOf,
  ruleObjection,
  zoneObjection,
  type RecurringForm,
} from '../../calendar/forms.js';
import type { CalendarEntry } from '../../workflows/contracts/calendar.js';

interface Vectors {
  readonly calendars: readonly {
    readonly about: string;
    readonly windows?: readonly (RecurringForm & { readonly name: string })[];
    readonly blackouts?: readonly (RecurringForm & {
      readonly reason: string;
      readonly dates?: readonly string[];
      readonly from?: string;
      readonly to?: string;
    })[];
    readonly rows: readonly { readonly at: string; readonly open: boolean; readonly until: string | null }[];
  }[];
}

const file = new URL('../vectors/windows.yaml', import.meta.url);
const { calendars } = parse(readFileSync(file, 'utf8')) as Vectors;

const rows = calendars.flatMap(({ about, windows = [], blackouts = [], rows: own }) => {
  const calendar = new OpenCalendar({
    windows: windows.map((form) => ({ name: form.name, recurrence: recurrenceOf(form) })),
    blackouts: blackouts.flatMap(({ reason, dates, from, to, ...form }): CalendarEntry[] => {
      if (dates !== undefined) return dates.map((day) => ({ name: reason, recurrence: dayOf(day, form.timezone) }));
      if (from !== undefined && to !== undefined) {
        return [{ name: reason, recurrence: rangeOf(from, to, form.timezone) }];
      }
      return [{ name: reason, recurrence: recurrenceOf(form) }];
    }),
  });
  return own.map((row) => ({ about, calendar, row }));
});

it('has at least 60 rows, and objects to none of them', () => {
  expect(rows.length).toBeGreaterThanOrEqual(60);
  for (const { windows = [], blackouts = [] } of calendars) {
    for (const form of [...windows, ...blackouts]) {
      expect(zoneObjection(form.timezone)).toBeNull();
      if (form.rrule !== undefined) expect(ruleObjection(form.rrule, form.start)).toBeNull();
    }
  }
});

it.each(rows)('$about: $row.at', ({ calendar, row }) => {
  const at = Date.parse(row.at);
  const { open, since, until } = calendar.state(at);
  expect({ open, until }).toEqual({ open: row.open, until: row.until && new Date(row.until).toISOString() });

  // The edges themselves are half-open, and the search backwards agrees with the one forwards.
  expect(calendar.isOpen(at)).toBe(open);
  if (until !== null) expect(calendar.isOpen(Date.parse(until))).toBe(!open);
  if (until !== null) expect(calendar.isOpen(Date.parse(until) - 1)).toBe(open);
  if (since !== null) {
    expect(calendar.isOpen(Date.parse(since))).toBe(open);
    expect(calendar.isOpen(Date.parse(since) - 1)).toBe(!open);
    expect(calendar.nextEdge(Date.parse(since))).toBe(until === null ? null : Date.parse(until));
  }
});
