/** From what people write to a recurrence: weekdays or an RFC 5545 rule, dates, a range; and what is wrong with it. */
import { Temporal } from 'temporal-polyfill';
import type { Recurrence } from '../workflows/contracts/calendar.js';

export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

/** A window or a recurring blackout as it is written. */
export interface RecurringForm {
  /** Either weekdays, or a rule. */
  readonly days?: readonly Weekday[] | undefined;
  /** RFC 5545, without DTSTART. */
  readonly rrule?: string | undefined;
  /** `22:00`; with `rrule` also DTSTART itself: `2026-01-10T22:00`. */
  readonly start: string;
  /** `4h`, `1h30m`, `1d`, `PT4H` */
  readonly duration: string;
  readonly timezone: string;
}

/** What is wrong, and what to do about it. */
export interface Objection {
  readonly message: string;
  readonly remedy: string;
}

export const TIME = /^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$/;
export const DATE = /^\d{4}-\d{2}-\d{2}$/;
/** A rule that counts its periods from some day names that day; all others may leave it out. */
const LONG_AGO = '2000-01-01';

/** @throws RangeError for what `objectionTo` objects to */
export function recurrenceOf({ days, rrule, start, duration, timezone }: RecurringForm): Recurrence {
  const weekly = (days ?? []).map((day) => day.slice(0, 2).toUpperCase()).join(',');
  return {
    start: wall(TIME.test(start) ? `${LONG_AGO}T${start}` : start),
    timezone: canonicalZone(timezone),
    duration: isoDuration(duration) ?? duration,
    rrule: (rrule ?? `FREQ=WEEKLY;BYDAY=${weekly}`).toUpperCase().replace(/^RRULE:/, ''),
  };
}

/** A whole day. */
export function dayOf(date: string, timezone: string): Recurrence {
  return { start: wall(date), timezone: canonicalZone(timezone), duration: 'P1D' };
}

/** Two dates, the last one included; or two wall-clock times, the last one not. */
export function rangeOf(from: string, to: string, timezone: string): Recurrence {
  const end = DATE.test(to) ? Temporal.PlainDate.from(to).add({ days: 1 }).toString() : to;
  return { start: wall(from), end: wall(end), timezone: canonicalZone(timezone), duration: 'PT0S' };
}

/** Why this is no zone to compute with; `null` when it is one. */
export function zoneObjection(timezone: string): Objection | null {
  const remedy = 'name the zone by its IANA name, as in Europe/Berlin';
  if (/^(UTC|GMT)?[+-]\d|^[+-]|^Z$/i.test(timezone)) {
    return { message: `"${timezone}" is an offset, which knows no clock changes`, remedy };
  }
  // POSIX turns their sign round (Etc/GMT+5 is west), and none of them changes its clocks.
  if (/^Etc\/GMT[+-]?\d/i.test(timezone))
    return { message: `"${timezone}" is an offset with the sign turned round`, remedy };
  if (/^(CET|MET|EET|WET|EST|MST|HST|[A-Z]{3}\d[A-Z]{3}|SystemV\/.*)$/i.test(timezone)) {
    return { message: `"${timezone}" is an abbreviation, not a place`, remedy };
  }
  try {
    canonicalZone(timezone);
    return null;
  } catch {
    return { message: `"${timezone}" is no time zone that this release knows`, remedy };
  }
}

/** @throws RangeError for a zone that is not known */
function canonicalZone(timezone: string): string {
  return Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(timezone).timeZoneId;
}

/** Why this is no wall-clock time; `null` when it is one. */
export function wallObjection(text: string): Objection | null {
  try {
    wall(text);
    return null;
  } catch {
    return { message: `"${text}" is no date and time`, remedy: 'write 2026-01-31, or 2026-01-31T22:00' };
  }
}

/** Why a range cannot end with this; `null` when it can. A date is included, so there has to be a next one to write. */
export function rangeEndObjection(to: string): Objection | null {
  if (to !== '9999-12-31') return wallObjection(to);
  return {
    message: `"${to}" is the last date there is, and a range ends with the next one`,
    remedy: 'give an earlier one',
  };
}

/**
 * An instant as it is written: with its offset (`2026-12-24T18:00+01:00`, `…Z`), or on a place's clock
 * (`2026-12-24T18:00 Europe/Berlin`, `2026-12-24T18:00[Europe/Berlin]`), where a clock change is read as a start is.
 *
 * @returns epoch milliseconds, or what is wrong with it
 */
export function instantOf(text: string): number | Objection {
  const remedy = 'write 2026-12-24T18:00+01:00, or "2026-12-24T18:00 Europe/Berlin"';
  const [, time = '', bracketed, spaced] =
    /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?)(?:\[(.+)\]| +(\S+))$/.exec(text.trim()) ?? [];
  const zone = bracketed ?? spaced;
  try {
    if (zone === undefined) return Temporal.Instant.from(text.trim()).epochMilliseconds;
    const objection = zoneObjection(zone);
    if (objection !== null) return { message: objection.message, remedy };
    return Temporal.PlainDateTime.from(wall(time)).toZonedDateTime(zone).epochMilliseconds;
  } catch {
    return { message: `"${text}" is no instant`, remedy };
  }
}

/** @throws RangeError; a zone or an offset has no place in it, since the entry's own zone says it. */
function wall(text: string): string {
  if (!/^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?)?$/.test(text)) throw new RangeError(`no wall-clock time: ${text}`);
  return Temporal.PlainDateTime.from(text, { overflow: 'reject' }).toString({ smallestUnit: 'second' });
}

/** Further than any edge is looked for: nobody means it. */
const LONGEST_MS = 3_700 * 86_400_000;

/** `4h`, `1h30m`, `1d` or ISO 8601 as ISO 8601; `null` for anything else, for nothing, and beyond ten years. */
export function isoDuration(text: string): string | null {
  const short = /^(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?$/.exec(text);
  const [, weeks = 0, days = 0, hours = 0, minutes = 0] = short ?? [];
  try {
    const duration =
      short === null || text === ''
        ? Temporal.Duration.from(text)
        : Temporal.Duration.from({
            days: Number(weeks) * 7 + Number(days),
            hours: Number(hours),
            minutes: Number(minutes),
          });
    if (duration.sign !== 1 || duration.years + duration.months !== 0) return null;
    return durationMs(duration.toString()) > LONGEST_MS ? null : duration.toString();
  } catch {
    return null;
  }
}

/** A duration of `isoDuration` in milliseconds, a day taken as 24 hours. */
export function durationMs(iso: string): number {
  return Temporal.Duration.from(iso).total({ unit: 'milliseconds', relativeTo: Temporal.PlainDate.from(LONG_AGO) });
}

const NUMBERS: Readonly<Record<string, readonly [least: number, most: number, negative: boolean]>> = {
  INTERVAL: [1, 1000, false],
  COUNT: [1, 100_000, false],
  BYHOUR: [0, 23, false],
  BYMINUTE: [0, 59, false],
  BYSECOND: [0, 59, false],
  BYMONTH: [1, 12, false],
  BYMONTHDAY: [1, 31, true],
  BYYEARDAY: [1, 366, true],
  BYWEEKNO: [1, 53, true],
  BYSETPOS: [1, 366, true],
};
const LISTS = /^BY/;

/**
 * Why a rule cannot be used; `null` when it can. Checked here part by part, since the library leaves out what it does
 * not understand: `BYMONTHDAY=40` would be every day.
 *
 * @param start as it is written: without a date, the rule itself must say on which days.
 */
export function ruleObjection(rrule: string, start: string): Objection | null {
  const parts = new Map<string, string>();
  for (const part of rrule
    .toUpperCase()
    .replace(/^RRULE:/, '')
    .split(';')) {
    const [, name = '', value = ''] = /^([A-Z]+)=(.+)$/.exec(part) ?? [];
    if (name === '') return { message: `"${part}" is no part of a rule`, remedy: 'write NAME=VALUE;NAME=VALUE' };
    if (parts.has(name)) return { message: `${name} stands twice in the rule`, remedy: 'keep one of the two' };
    parts.set(name, value);
    const objection = partObjection(name, value);
    if (objection !== null) return objection;
  }
  const frequency = parts.get('FREQ');
  if (frequency === undefined) return { message: 'the rule has no FREQ', remedy: 'add FREQ=WEEKLY, for example' };
  if (parts.has('COUNT') && parts.has('UNTIL')) {
    return { message: 'the rule has both COUNT and UNTIL', remedy: 'keep one of the two' };
  }
  const misplaced = misplacedPart(frequency, parts);
  if (misplaced !== null) return misplaced;
  if (!TIME.test(start)) return null;
  const counts = ['COUNT', 'INTERVAL'].find(
    (name) => Number(parts.get(name) ?? 1) > 1 || (name === 'COUNT' && parts.has(name)),
  );
  if (counts !== undefined) {
    return {
      message: `${counts} counts from a first day, and start has none`,
      remedy: 'write start: 2026-01-10T22:00',
    };
  }
  const namesDays = frequency === 'DAILY' || ['BYDAY', 'BYMONTHDAY', 'BYYEARDAY'].some((name) => parts.has(name));
  return namesDays
    ? null
    : { message: 'the rule does not say on which days', remedy: 'add BYDAY or BYMONTHDAY, or a date to start' };
}

/**
 * A part that RFC 5545, 3.3.10, does not allow with the others, and that programs read each in their own way; `null` when
 * there is none.
 */
function misplacedPart(frequency: string, parts: ReadonlyMap<string, string>): Objection | null {
  const refuse = (part: string, remedy: string): Objection => ({ message: `${part} is not accepted`, remedy });
  if (/\d/.test(parts.get('BYDAY') ?? '')) {
    const numbered = `BYDAY=${parts.get('BYDAY')} with`;
    const plain = 'leave out the numbers before the days';
    if (frequency === 'DAILY' || frequency === 'WEEKLY') {
      return refuse(`${numbered} FREQ=${frequency}`, `${plain}, or use FREQ=MONTHLY`);
    }
    if (parts.has('BYWEEKNO')) return refuse(`${numbered} BYWEEKNO`, `${plain}, or remove BYWEEKNO`);
    if (parts.has('BYMONTHDAY') && frequency === 'YEARLY') return refuse(`${numbered} BYMONTHDAY`, plain);
  }
  const ofYear = ['BYWEEKNO', 'BYYEARDAY'].find((name) => parts.has(name));
  if (ofYear !== undefined && frequency !== 'YEARLY') {
    return refuse(`${ofYear} with FREQ=${frequency}`, 'use FREQ=YEARLY, or remove it');
  }
  // Of a year's weeks and numbered days, each with others, the library makes days of its own, or never comes to an end.
  if (parts.has('BYYEARDAY')) {
    const other = ['BYMONTH', 'BYWEEKNO', 'BYMONTHDAY', 'BYDAY', 'BYSETPOS'].find((name) => parts.has(name));
    if (other !== undefined) return refuse(`BYYEARDAY with ${other}`, 'keep one of the two');
  }
  if (parts.has('BYWEEKNO')) {
    const other = ['BYMONTH', 'BYMONTHDAY', 'BYSETPOS'].find((name) => parts.has(name));
    if (other !== undefined) return refuse(`BYWEEKNO with ${other}`, 'keep one of the two');
    if (!parts.has('BYDAY')) return refuse('BYWEEKNO without BYDAY', 'say on which days of the week: BYDAY=SA');
  }
  if (parts.has('BYMONTHDAY') && frequency === 'WEEKLY') {
    return refuse('BYMONTHDAY with FREQ=WEEKLY', 'use FREQ=MONTHLY, or remove it');
  }
  const isAlone = ![...parts.keys()].some((name) => LISTS.test(name) && name !== 'BYSETPOS');
  if (parts.has('BYSETPOS') && isAlone) {
    return refuse('BYSETPOS without another BY part', 'add BYDAY, for example, or remove it');
  }
  return null;
}

function partObjection(name: string, value: string): Objection | null {
  const one = (remedy: string): Objection => ({ message: `${name}=${value} is not accepted`, remedy });
  switch (name) {
    case 'FREQ':
      if (/^(HOURLY|MINUTELY|SECONDLY)$/.test(value)) return one('use FREQ=DAILY with BYHOUR');
      return /^(DAILY|WEEKLY|MONTHLY|YEARLY)$/.test(value) ? null : one('use DAILY, WEEKLY, MONTHLY or YEARLY');
    case 'WKST':
      return /^(MO|TU|WE|TH|FR|SA|SU)$/.test(value) ? null : one('use MO to SU');
    case 'BYDAY':
      return /^([+-]?([1-9]|[1-4]\d|5[0-3]))?(MO|TU|WE|TH|FR|SA|SU)(,([+-]?([1-9]|[1-4]\d|5[0-3]))?(MO|TU|WE|TH|FR|SA|SU))*$/.test(
        value,
      )
        ? null
        : one('use MO to SU; with FREQ=MONTHLY also with a number for the n-th of a month: 2SA, -1SU');
    case 'UNTIL':
      return untilIsReal(value) ? null : one('write 20261231, 20261231T235959 or 20261231T225959Z');
    default: {
      const bounds = NUMBERS[name];
      if (bounds === undefined)
        return { message: `${name} is no part of a rule that is supported`, remedy: 'remove it' };
      const [least, most, negative] = bounds;
      const values = LISTS.test(name) ? value.split(',') : [value];
      const fits = values.every((text) => {
        const number = /^[+-]?\d+$/.test(text) ? Number(text) : NaN;
        return (negative ? Math.abs(number) : number) >= least && Math.abs(number) <= most;
      });
      return fits ? null : one(`use whole numbers from ${least} to ${most}${negative ? ', or negative ones' : ''}`);
    }
  }
}

function untilIsReal(value: string): boolean {
  const [, year, month, day, hour = '00', minute = '00', second = '00'] =
    /^(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)Z?)?$/.exec(value) ?? [];
  if (year === undefined) return false;
  return wallObjection(`${year}-${month}-${day}T${hour}:${minute}:${second}`) === null;
}
