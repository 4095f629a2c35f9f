/** When the rollouts of a schedule are due: the openings of its calendar. Pure, as all of `calendar/`. */
import { Temporal } from 'temporal-polyfill';
import type { Calendar, Opening } from '../workflows/contracts/calendar.js';
import { OpenCalendar } from './calendar.js';

/** One opening for which a rollout is created. Instants are ISO 8601, UTC. */
export interface Occurrence {
  readonly opens: string;
  /** `null`: no end within ten years. */
  readonly closes: string | null;
  readonly windows: readonly string[];
  /** The zone of its first window. */
  readonly zone: string;
  /** Its day in that zone, `2026-12-12`; where several begin on one day, also the time: `2026-12-12-2200`. */
  readonly name: string;
}

/** Those that begin at `at` (epoch milliseconds) or later, at most `count`. */
export function occurrencesFrom(calendar: Calendar, at: number, count: number): Occurrence[] {
  const open = new OpenCalendar(calendar);
  // The one that `at` lies in has begun before, unless it begins right then.
  return open
    .openings(at, count + 1)
    .filter(({ opens }) => opens !== null && Date.parse(opens) >= at)
    .slice(0, count)
    .map((opening) => occurrence(calendar, open, opening));
}

/**
 * The one that a run of the schedule is for: the one that its instant was made for; otherwise, as when a person
 * triggers it, the one that is open or comes next. `null` when none is left.
 *
 * @param at epoch milliseconds: the run's own instant
 * @param leadMs how long before an opening its rollout is created
 * @param jitterMs how much later than that, at most
 */
export function occurrenceOf(
  calendar: Calendar,
  at: number,
  { leadMs, jitterMs }: { readonly leadMs: number; readonly jitterMs: number },
): Occurrence | null {
  const [due] = occurrencesFrom(calendar, at + leadMs - jitterMs, 1);
  if (due !== undefined && Date.parse(due.opens) <= at + leadMs) return due;
  const open = new OpenCalendar(calendar);
  const next = open.openings(at, 1).find(({ opens }) => opens !== null);
  return next === undefined ? null : occurrence(calendar, open, next);
}

function occurrence(calendar: Calendar, open: OpenCalendar, { opens, closes, windows }: Opening): Occurrence {
  const at = opens ?? '';
  const zone = calendar.windows.find(({ name }) => name === windows[0])?.recurrence.timezone ?? 'UTC';
  const local = Temporal.Instant.from(at).toZonedDateTimeISO(zone);
  const day = local.toPlainDate().toString();
  const midnight = local.startOfDay();
  const isOfDay = (text: string | null) =>
    text !== null && Temporal.Instant.from(text).toZonedDateTimeISO(zone).toPlainDate().equals(local.toPlainDate());
  // Three: the first may have begun the day before.
  const ofDay = open.openings(midnight.epochMilliseconds, 3).filter((one) => isOfDay(one.opens));
  const time = local.toPlainTime().toString({ smallestUnit: 'minute' }).replace(':', '');
  return { opens: at, closes, windows, zone, name: ofDay.length > 1 ? `${day}-${time}` : day };
}
