/** When a rollout's windows let submits go, for its report. */
import { BETWEEN_BLACKOUTS, type NamedSpan } from '../calendar/calendar.js';
import { Gates } from '../calendar/gate.js';
import type { RolloutWindows } from '../workflows/contracts/calendar.js';
import type { CalendarTimes, NamedTime } from './views.js';

/**
 * What each calendar of a rollout was from `from` until `to`, both epoch milliseconds. By today's time zones: what was
 * asked right before a submit stands in the history.
 */
export function calendarTimes(windows: RolloutWindows, from: number, to: number): CalendarTimes[] {
  const during = new Gates(windows).during(from, to);
  return windows.calendars.map((calendar, index) => {
    const { open = [], blackouts = [] } = during[index] ?? {};
    const names = [...new Set(calendar.windows.map(({ name }) => name))];
    const { recurrence } = calendar.windows[0] ?? calendar.blackouts[0] ?? {};
    return {
      name: names.join(', ') || BETWEEN_BLACKOUTS,
      zone: recurrence?.timezone ?? 'UTC',
      open: open.map(timeOf),
      blackouts: blackouts.map(timeOf),
    };
  });
}

function timeOf({ name, opens, closes }: NamedSpan): NamedTime {
  return { name, from: new Date(opens).toISOString(), to: new Date(closes).toISOString() };
}
