/** The calendars of a plan, each with the targets that it holds for, and with all that keeps them from starting. */
import { OpenCalendar } from '../calendar/calendar.js';
import type { PlannedTarget, RolloutPlan } from '../plan/plan.js';
import type { Calendar, CalendarEntry } from '../workflows/contracts/calendar.js';
import { covers, type Freeze, freezeLabel, isActive } from '../workflows/contracts/freezes.js';
import type { CalendarView } from './render/calendar.js';
import { count } from './render/text.js';

const ALWAYS: Calendar = { windows: [], blackouts: [] };
const FOR_EVER = Date.parse('9999-01-01T00:00:00Z');

/** What shuts a calendar besides its blackouts. */
interface Denial {
  /** Epoch milliseconds, half-open. */
  readonly from: number;
  readonly until: number;
  readonly reason: string;
}

/**
 * What each calendar of a plan says; empty for a plan that may start at any time.
 *
 * @param at epoch milliseconds
 * @param next so many openings
 * @param freezes those that are known
 */
export function calendarViews(
  { windows, waves, rollout }: RolloutPlan,
  at: number,
  next: number,
  freezes: readonly Freeze[] = [],
): CalendarView[] {
  const targets = waves.flatMap((wave) => wave.targets);
  const holding = freezes.filter((freeze) => isActive(freeze, at));
  const calendars = (windows?.calendars ?? [ALWAYS]).map((calendar, index) => {
    const members = targets.filter(({ gate = 0 }) => (windows?.gates[gate]?.calendar ?? 0) === index);
    const frozen = frozenAmong(members, rollout, holding, at);
    return { calendar, members, frozen, denials: [...expiry(windows?.expireAt), ...frozen.denials] };
  });
  const late = tooLate(windows?.startBy, at, calendars);
  if (windows === null && calendars.every(({ frozen }) => frozen.denials.length + frozen.notes.length === 0)) return [];

  return calendars.map(({ calendar, members, frozen, denials: own }) => {
    const services = [...new Set(members.map(({ resource }) => resource.service))].join(', ');
    const denials = [...late.denials, ...own];
    const open = opened(calendar, denials);
    const { recurrence } = calendar.windows[0] ?? calendar.blackouts[0] ?? {};
    const state = open.state(at);
    const [denial] = denials.filter(({ from, until }) => from <= at && at < until);
    return {
      title: `${count(members.length, 'resource')} (${services})`,
      zone: recurrence?.timezone ?? 'UTC',
      state: denial === undefined ? state : { ...state, reason: denial.reason },
      openings: open.openings(at, next),
      notes: [...late.notes, ...frozen.notes],
    };
  });
}

function expiry(expireAt: string | undefined): Denial[] {
  if (expireAt === undefined) return [];
  return [{ from: Date.parse(expireAt), until: FOR_EVER, reason: `expireAt ${expireAt} has passed` }];
}

/** Nothing of a rollout starts unless something of it has begun by its `startBy`. */
function tooLate(
  startBy: string | undefined,
  at: number,
  calendars: readonly { readonly calendar: Calendar; readonly denials: readonly Denial[] }[],
): { readonly denials: readonly Denial[]; readonly notes: readonly string[] } {
  if (startBy === undefined) return { denials: [], notes: [] };
  const by = Date.parse(startBy);
  if (at >= by) {
    const reason = `startBy ${startBy} has passed: only a rollout that had begun by then goes on`;
    return { denials: [{ from: by, until: FOR_EVER, reason }], notes: [] };
  }
  const firsts = calendars.flatMap(({ calendar, denials }) => opened(calendar, denials).openings(at, 1));
  if (firsts.some(({ opens }) => opens === null || Date.parse(opens) < by)) {
    return { denials: [], notes: [`By ${startBy} (startBy) something has to have begun, or nothing is started.`] };
  }
  const reason = `no opening begins before startBy ${startBy}: nothing is started`;
  return { denials: [{ from: at, until: FOR_EVER, reason }], notes: [] };
}

/** While all of them are frozen, it is shut; while some are, that is told. */
function frozenAmong(
  members: readonly PlannedTarget[],
  rollout: string,
  holding: readonly Freeze[],
  at: number,
): { readonly denials: readonly Denial[]; readonly notes: readonly string[] } {
  // Tags stand at the clouds, and only a plan reads each resource: what they decide is not denied here, but told.
  const whateverTags = ({ scope, except }: Freeze) => ({ scope, except: except.map(({ tag: _tag, ...rest }) => rest) });
  const covering = ({ resource }: PlannedTarget) =>
    holding.filter((freeze) => covers(whateverTags(freeze), { resource, rollout, tags: {} }));
  const held = members.map(covering);
  const ends = held.map((some) => some.reduce((end, { until }) => Math.max(end, Date.parse(until)), 0));
  const first = Math.min(...ends);
  const some = holding.map((freeze) => ({ freeze, many: held.filter((of) => of.includes(freeze)).length }));
  const denials = some.flatMap(({ freeze, many }) =>
    many > 0 && first > at
      ? [{ from: Math.min(Date.parse(freeze.since), at), until: first, reason: freezeLabel(freeze) }]
      : [],
  );
  const partly = some.flatMap(({ freeze, many }) =>
    many > 0 && first <= at ? [`${many} of them ${many === 1 ? 'is' : 'are'} ${freezeLabel(freeze)}.`] : [],
  );
  const byTag = some.flatMap(({ freeze, many }) =>
    many < members.length && [...freeze.scope, ...freeze.except].some(({ tag }) => tag !== undefined)
      ? [`A freeze goes by tags; \`uplift plan\` tells what it holds: ${freezeLabel(freeze)}.`]
      : [],
  );
  return { denials: members.length === 0 ? [] : denials, notes: [...partly, ...byTag] };
}

function opened({ windows, blackouts }: Calendar, denials: readonly Denial[]): OpenCalendar {
  return new OpenCalendar({ windows, blackouts: [...blackouts, ...denials.map(entryOf)] });
}

function entryOf({ from, until, reason }: Denial): CalendarEntry {
  const wall = (ms: number) => new Date(ms).toISOString().slice(0, 19);
  return { name: reason, recurrence: { start: wall(from), end: wall(until), duration: 'PT0S', timezone: 'UTC' } };
}
