/**
 * When a schedule runs. The platform's calendars know neither RFC 5545 nor clock changes, so it is given instants in UTC,
 * a few at a time: each is a calendar that fits once. Every run renews them.
 */
import { type CalendarSpec, type Client, ScheduleNotFoundError, type ScheduleSpec } from '@temporalio/client';
import { type Occurrence, occurrencesFrom } from '../calendar/occurrences.js';
import { scheduleId } from '../workflows/contracts/ids.js';
import type { OccurrenceInput } from '../workflows/contracts/schedule.js';
import { lineOf } from './errors.js';
import { editSchedule } from './schedule-edits.js';

/** So many instants a schedule has at a time. */
export const INSTANTS = 10;

/** How far back instants are kept: the server may not have come to them yet, as after an outage. */
const KEPT_MS = 24 * 3_600_000;

const MONTHS = [
  'JANUARY',
  'FEBRUARY',
  'MARCH',
  'APRIL',
  'MAY',
  'JUNE',
  'JULY',
  'AUGUST',
  'SEPTEMBER',
  'OCTOBER',
  'NOVEMBER',
  'DECEMBER',
] as const;

/** When the rollout of an occurrence is created, in epoch milliseconds. */
export function createdAt({ opens }: Pick<Occurrence, 'opens'>, leadMs: number): number {
  return Date.parse(opens) - leadMs;
}

/** The next occurrences whose rollouts are not created yet at `now` (epoch milliseconds). */
export function nextOccurrences({ calendar, leadMs }: OccurrenceInput, now: number, count = INSTANTS): Occurrence[] {
  return occurrencesFrom(calendar, now + leadMs, count);
}

/** The next instants, and those that have just passed; `jitterMs` is put on top of each. */
export function scheduleSpec(input: OccurrenceInput, now: number): ScheduleSpec {
  const { calendar, leadMs, jitterMs } = input;
  const past = occurrencesFrom(calendar, now + leadMs - KEPT_MS, INSTANTS).filter(
    (one) => createdAt(one, leadMs) < now,
  );
  return {
    calendars: [...past, ...nextOccurrences(input, now)].map((one) => instant(createdAt(one, leadMs), one.name)),
    timezone: 'UTC',
    jitter: jitterMs,
  };
}

/** A calendar that fits once, at `at` (epoch milliseconds). */
export function instant(at: number, comment: string): CalendarSpec {
  const time = new Date(at);
  return {
    comment,
    year: time.getUTCFullYear(),
    month: MONTHS[time.getUTCMonth()] ?? 'JANUARY',
    dayOfMonth: time.getUTCDate(),
    hour: time.getUTCHours(),
    minute: time.getUTCMinutes(),
    second: time.getUTCSeconds(),
  };
}

/**
 * Gives a schedule its next instants, by its own definition as it is now. One that has been deleted needs none.
 *
 * @param now epoch milliseconds
 */
export async function renewSchedule(client: Client, name: string, now: number): Promise<void> {
  try {
    await editSchedule(client, name, (previous) => {
      const [input] = previous.action.args as [OccurrenceInput];
      return { ...previous, spec: scheduleSpec(input, now) };
    });
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error;
  }
}

/**
 * Gives those that have run out of instants their next ones: a server that was away past the last of them starts no run
 * that would. One that has instants left is renewed by its next run.
 *
 * @param now epoch milliseconds
 */
export async function renewSchedules(client: Client, now: number): Promise<void> {
  const prefix = scheduleId('');
  for await (const { scheduleId: id, info } of client.schedule.list()) {
    if (!id.startsWith(prefix) || info.nextActionTimes.some((at) => at.getTime() > now)) continue;
    await renewSchedule(client, id.slice(prefix.length), now);
  }
}

/** The same at once and daily, until `signal` is aborted. What fails is told, and tried again the next day. */
export async function keepSchedules(
  client: Client,
  clock: { now(): number; sleep(ms: number, signal: AbortSignal): Promise<void> },
  warn: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await renewSchedules(client, clock.now()).catch((error: unknown) => {
      warn(`schedules could not be given their next instants: ${lineOf(error)}`);
    });
    await clock.sleep(KEPT_MS, signal).catch(() => {});
  }
}
