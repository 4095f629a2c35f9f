/** The calendars of a plan, each with the targets that it holds for. */
import { OpenCalendar } from '../calendar/calendar.js';
import type { RolloutPlan } from '../plan/plan.js';
import type { CalendarView } from './render/calendar.js';
import { count } from './render/text.js';

/**
 * What each calendar of a plan says; empty for a plan that may start at any time.
 *
 * @param at epoch milliseconds
 * @param next so many openings
 */
export function calendarViews({ windows, waves }: RolloutPlan, at: number, next: number): CalendarView[] {
  if (windows === null) return [];
  const targets = waves.flatMap((wave) => wave.targets);
  return windows.calendars.map((calendar, index) => {
    const members = targets.filter(({ gate }) => gate !== undefined && windows.gates[gate]?.calendar === index);
    const services = [...new Set(members.map(({ resource }) => resource.service))].join(', ');
    const open = new OpenCalendar(calendar);
    const { recurrence } = calendar.windows[0] ?? calendar.blackouts[0] ?? {};
    return {
      title: `${count(members.length, 'resource')} (${services})`,
      zone: recurrence?.timezone ?? 'UTC',
      state: open.state(at),
      openings: open.openings(at, next),
    };
  });
}
