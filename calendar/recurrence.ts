/**
 * When something recurs. The rule is expanded on the wall clock, by rrule-temporal; each start is then placed on the
 * time line by Temporal. So one rule for clock changes holds for every form a window may be written in: docs/windows.md.
 */
import { RRuleTemporal } from 'rrule-temporal';
import { Temporal } from 'temporal-polyfill';
import type { Recurrence } from '../workflows/contracts/calendar.js';

/** One occurrence, half-open, in epoch milliseconds. */
export interface Span {
  readonly opens: number;
  readonly closes: number;
}

/** Further than any two zones and any clock change are apart. */
const SLACK_MS = 3 * 86_400_000;

/** An expanded recurrence: the library's rule is costly to make and is asked often. */
export class Occurrences {
  private readonly recurrence: Recurrence;
  private readonly duration: Temporal.Duration;
  private readonly rule: RRuleTemporal | null;
  private readonly except: ReadonlySet<string>;
  private readonly singles: readonly string[];
  /** At least as long as every occurrence. */
  private readonly longestMs: number;

  /** @throws RangeError, or the library's own error, for a recurrence that was not checked. */
  constructor(recurrence: Recurrence) {
    this.recurrence = recurrence;
    this.duration = Temporal.Duration.from(recurrence.duration);
    this.rule = ruleOf(recurrence);
    this.except = new Set(recurrence.except?.map(wallText));
    const once = recurrence.rrule === undefined ? [recurrence.start] : [];
    this.singles = [...once, ...(recurrence.also ?? [])].map(wallText);
    const end = recurrence.end ?? Temporal.PlainDateTime.from(recurrence.start).add(this.duration).toString();
    this.longestMs = wallMs(end) - wallMs(recurrence.start) + SLACK_MS;
  }

  /** Those that share at least one instant with [from, to), in epoch milliseconds, by their starts. */
  between(from: number, to: number): Span[] {
    const [first, last] = [from - this.longestMs - SLACK_MS, to + SLACK_MS];
    const walls = new Set([
      ...this.ruled(first, last),
      ...this.singles.filter((wall) => wallMs(wall) >= first && wallMs(wall) <= last),
    ]);
    return [...walls]
      .filter((wall) => !this.except.has(wall))
      .flatMap((wall) => this.span(Temporal.PlainDateTime.from(wall)) ?? [])
      .filter(({ opens, closes }) => opens < to && closes > from)
      .toSorted((a, b) => a.opens - b.opens);
  }

  private ruled(first: number, last: number): string[] {
    if (this.rule === null) return [];
    try {
      return this.rule.between(new Date(first), new Date(last), true).map((one) => one.toPlainDateTime().toString());
    } catch (error) {
      // Thousands of periods without an occurrence: a rule that cannot occur (February 30), or not in our lifetime.
      if (error instanceof Error && error.message.startsWith('Maximum iterations')) return [];
      throw error;
    }
  }

  /** `null` for a start on a day that the zone does not have, and for what has no length. */
  private span(start: Temporal.PlainDateTime): Span | null {
    const { timezone, end } = this.recurrence;
    const day = start.toPlainDate();
    // Asked of the day itself: a gap before midnight moves a start into the next day, and is none of a day.
    if (!day.toZonedDateTime(timezone).toPlainDate().equals(day)) return null;
    const opens = start.toZonedDateTime(timezone, { disambiguation: 'compatible' });
    const closes =
      end === undefined ? this.after(start, opens) : Temporal.PlainDateTime.from(end).toZonedDateTime(timezone);
    const span = { opens: opens.epochMilliseconds, closes: closes.epochMilliseconds };
    return span.closes > span.opens ? span : null;
  }

  /** Days are counted on the calendar from the written start, the rest in exact time. */
  private after(start: Temporal.PlainDateTime, opens: Temporal.ZonedDateTime): Temporal.ZonedDateTime {
    const { years, months, weeks, days, hours, minutes, seconds } = this.duration;
    const exact = { hours, minutes, seconds };
    if (years === 0 && months === 0 && weeks === 0 && days === 0) return opens.add(exact);
    return start.add({ years, months, weeks, days }).toZonedDateTime(this.recurrence.timezone).add(exact);
  }
}

/** Wall-clock text in one form: `2026-01-03T22:00:00`. */
function wallText(wall: string): string {
  return Temporal.PlainDateTime.from(wall).toString();
}

/** The wall clock as if it were UTC: for comparing wall-clock times with each other only. */
function wallMs(wall: string): number {
  return Temporal.PlainDateTime.from(wall).toZonedDateTime('UTC').epochMilliseconds;
}

function ruleOf({ rrule, start, timezone }: Recurrence): RRuleTemporal | null {
  if (rrule === undefined) return null;
  const dtstart = Temporal.PlainDateTime.from(start).toZonedDateTime('UTC');
  return new RRuleTemporal({ rruleString: onWallClock(rrule, timezone), dtstart });
}

/** An UNTIL in UTC is an instant; the rule is expanded on the wall clock. A date alone means that whole day. */
function onWallClock(rrule: string, timezone: string): string {
  return rrule.replace(/UNTIL=(\d{8})(?:T(\d{6})(Z?))?/i, (_, date: string, time = '235959', utc = '') => {
    const plain = Temporal.PlainDateTime.from(`${date}T${time}`);
    const wall = utc === '' ? plain : plain.toZonedDateTime('UTC').withTimeZone(timezone).toPlainDateTime();
    return `UNTIL=${wall.toString({ smallestUnit: 'second' }).replaceAll(/[-:]/g, '')}Z`;
  });
}
