/**
 * An iCalendar file as blackouts: a company's holidays or change calendar, as exported. Every event denies, also one that
 * is marked as free time, as holidays are; a cancelled one does not.
 */
import ICAL from 'ical.js';
import { Temporal } from 'temporal-polyfill';
import type { CalendarEntry, Recurrence } from '../workflows/contracts/calendar.js';
import { ruleObjection, wallObjection, zoneObjection, type Objection } from './forms.js';

/** More than any holiday calendar has; the plan carries all of them. */
const MOST_EVENTS = 2_000;

/**
 * @param timezone of whole days, and of times without a zone of their own.
 * @param zones what a zone of the file is by its IANA name, where its own name is none: Outlook writes `W. Europe Standard Time`.
 * @param reason for events without a title.
 */
export function entriesOfIcs(
  text: string,
  { timezone, zones = {}, reason }: { timezone: string; zones?: Readonly<Record<string, string>>; reason: string },
): { entries: CalendarEntry[]; objections: Objection[] } {
  let events: ICAL.Component[];
  try {
    const parsed = ICAL.parse(text.replace(/^\uFEFF/, '')) as unknown[];
    // One calendar, or several in a row.
    const calendars = (typeof parsed[0] === 'string' ? [parsed] : parsed) as unknown[][];
    if (calendars.some(([name]) => name !== 'vcalendar') || calendars.length === 0) throw new TypeError('no calendar');
    events = calendars.map((one) => new ICAL.Component(one)).flatMap((one) => one.getAllSubcomponents('vevent'));
  } catch {
    return refused(
      'is no iCalendar file',
      'export it anew; it begins with BEGIN:VCALENDAR and ends with END:VCALENDAR',
    );
  }
  if (events.length === 0) return refused('has no event', 'name the file with the holidays, or remove the entry');
  if (events.length > MOST_EVENTS) {
    return refused(`has ${events.length} events, more than ${MOST_EVENTS}`, 'export the years that matter');
  }

  const objections: Objection[] = [];
  const read = events.flatMap((event) => {
    const summary = textOf(event, 'summary');
    try {
      const [uid, moved] = [textOf(event, 'uid'), timesOf(event, 'recurrence-id')[0] ?? null];
      return [
        {
          uid,
          moved,
          cancelled: isCancelled(event),
          summary,
          recurrence: recurrenceOfEvent(event, { timezone, zones }),
        },
      ];
    } catch (error) {
      const [message, remedy] =
        error instanceof EventError ? [error.message, error.remedy] : ['cannot be read', 'correct it'];
      objections.push({ message: `event "${summary}": ${message}`, remedy });
      return [];
    }
  });

  const entries = read
    .filter(({ cancelled }) => !cancelled)
    .map(({ uid, moved, summary, recurrence }): CalendarEntry => {
      // An occurrence that was moved or cancelled is an event of its own, and its old place is free.
      const gone = moved === null ? read.flatMap((one) => (one.uid === uid ? (one.moved ?? []) : [])) : [];
      const starts = gone.map((time) => wallIn(time, recurrence.timezone, zones));
      const except = [...(recurrence.except ?? []), ...starts];
      return { name: summary || reason, recurrence: except.length === 0 ? recurrence : { ...recurrence, except } };
    });
  return { entries, objections };
}

class EventError extends Error {
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}

/** A time as the file has it, with the zone that its property names. */
interface FileTime {
  readonly plain: Temporal.PlainDateTime;
  readonly isDate: boolean;
  readonly isUtc: boolean;
  readonly tzid: string | null;
}

function textOf(event: ICAL.Component, name: string): string {
  const value: unknown = event.getFirstPropertyValue(name);
  return typeof value === 'string' ? value.replaceAll(/\s+/g, ' ').trim().slice(0, 120) : '';
}

function isCancelled(event: ICAL.Component): boolean {
  return textOf(event, 'status').toUpperCase() === 'CANCELLED';
}

/** @throws EventError for what cannot be placed on the time line */
function recurrenceOfEvent(
  event: ICAL.Component,
  { timezone, zones }: { timezone: string; zones: Readonly<Record<string, string>> },
): Recurrence {
  const [start] = timesOf(event, 'dtstart');
  if (start === undefined) throw new EventError('has no DTSTART', 'give it a beginning');
  const zone = start.isDate ? timezone : zoneOf(start, timezone, zones);
  const wall = wallIn(start, zone, zones);
  const [rule, ...more] = event.getAllProperties('rrule');
  if (more.length > 0) {
    throw new EventError(`has ${more.length + 1} rules (RRULE)`, 'make an event of its own of each of them');
  }
  if (event.getFirstProperty('recurrence-id')?.getParameter('range') !== undefined) {
    throw new EventError(
      'changes all occurrences from one on (RECURRENCE-ID with RANGE)',
      'end the series there, and make another of the rest',
    );
  }
  const rrule = rule === undefined ? null : rule.toICALString().replace(/^RRULE[^:]*:/, '');
  const objection = rrule === null ? null : ruleObjection(rrule, wall);
  if (objection !== null) throw new EventError(objection.message, objection.remedy);
  const starts = (name: string): string[] => timesOf(event, name).map((time) => wallIn(time, zone, zones));
  // RFC 5545, 3.8.5.3: DTSTART is the first of them, also where the rule does not have it.
  const [except, also] = [starts('exdate'), [...(rrule === null ? [] : [wall]), ...starts('rdate')]];
  return {
    start: wall,
    timezone: zone,
    duration: durationOf(event, start, zone, zones),
    ...(rrule === null ? {} : { rrule }),
    ...(except.length === 0 ? {} : { except }),
    ...(also.length === 0 ? {} : { also }),
  };
}

/** Whole days are counted on the calendar, times in exact time, as RFC 5545 has it for what recurs. */
function durationOf(
  event: ICAL.Component,
  start: FileTime,
  zone: string,
  zones: Readonly<Record<string, string>>,
): string {
  const given: unknown = event.getFirstPropertyValue('duration');
  if (given instanceof ICAL.Duration) return positive(Temporal.Duration.from(given.toString()));
  const [end] = timesOf(event, 'dtend');
  if (end === undefined) return start.isDate ? 'P1D' : positive(Temporal.Duration.from('PT0S'));
  const from = Temporal.PlainDateTime.from(wallIn(start, zone, zones));
  if (start.isDate && end.isDate) {
    return positive(from.until(wallIn(end, zone, zones), { largestUnit: 'days' }));
  }
  const endZone = zoneOf(end, zone, zones);
  const until = Temporal.PlainDateTime.from(wallIn(end, endZone, zones)).toZonedDateTime(endZone);
  return positive(from.toZonedDateTime(zone).toInstant().until(until.toInstant(), { largestUnit: 'hours' }));
}

function positive(duration: Temporal.Duration): string {
  if (duration.sign !== 1) throw new EventError('ends no later than it begins', 'correct its end');
  return duration.toString();
}

function timesOf(event: ICAL.Component, name: string): FileTime[] {
  return event.getAllProperties(name).flatMap((property) => {
    const tzid: unknown = property.getParameter('tzid');
    const tzidOrNull = typeof tzid === 'string' ? tzid : null;
    // As written: the library's own times turn a thirteenth month into January.
    return (property.jCal.slice(3) as unknown[]).map((written) => {
      const text = String(written);
      const isUtc = text.endsWith('Z');
      const wall = isUtc ? text.slice(0, -1) : text;
      if (wallObjection(wall) !== null) throw new EventError(`${name.toUpperCase()} is no date or time`, 'correct it');
      return { plain: Temporal.PlainDateTime.from(wall), isDate: !text.includes('T'), isUtc, tzid: tzidOrNull };
    });
  });
}

/** @throws EventError for a zone by another name than IANA's */
function zoneOf({ isUtc, tzid }: FileTime, timezone: string, zones: Readonly<Record<string, string>>): string {
  if (isUtc) return 'UTC';
  if (tzid === null) return timezone;
  const zone = zones[tzid] ?? tzid;
  if (zoneObjection(zone) !== null) {
    throw new EventError(`"${tzid}" is no IANA time zone`, `say which one it is: zones: { "${tzid}": Europe/Berlin }`);
  }
  return zone;
}

/** As the clocks of `zone` show it. */
function wallIn(at: FileTime, zone: string, zones: Readonly<Record<string, string>>): string {
  const own = at.isDate ? zone : zoneOf(at, zone, zones);
  const wall = own === zone ? at.plain : at.plain.toZonedDateTime(own).withTimeZone(zone).toPlainDateTime();
  return wall.toString({ smallestUnit: 'second' });
}

function refused(message: string, remedy: string): { entries: []; objections: Objection[] } {
  return { entries: [], objections: [{ message, remedy }] };
}
