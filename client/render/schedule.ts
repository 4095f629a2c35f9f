/** Schedules as people read them: what is created when, and what came of each run. */
import { roughly } from '../../plan/plan.js';
import type { NextOccurrence, ScheduleRun, ScheduleView } from '../schedules.js';
import { localTime } from './calendar.js';
import type { Paint } from './paint.js';
import { renderTable } from './table.js';
import { moment } from './text.js';

export function renderSchedules(views: readonly ScheduleView[], width: number, paint: Paint): string {
  const columns = [
    { head: 'schedule', key: true },
    { head: 'state' },
    { head: 'opens next', wraps: true },
    { head: 'its rollout', key: true },
    { head: 'last run', wraps: true },
  ];
  const rows = views.map(({ name, paused, next: [first], runs: [last] }) => [
    name,
    paused ? 'paused' : 'active',
    first === undefined ? 'never' : localTime(first.opens, first.zone),
    first?.rollout ?? '',
    last === undefined ? 'none yet' : runLine(last),
  ]);
  return renderTable(columns, rows, width, paint);
}

export function renderSchedule(view: ScheduleView, width: number, paint: Paint): string {
  const { name, plan, paused, note, leadMs, jitterMs, catchUpMs, pauseOnFailure, missedStarts, next, runs } = view;
  const bounds = [
    `created ${leadMs === 0 ? 'at the opening' : `${roughly(leadMs)} ahead`}`,
    ...(jitterMs === 0 ? [] : [`up to ${roughly(jitterMs)} later`]),
    `at most ${roughly(catchUpMs)} late after an outage`,
    ...(pauseOnFailure ? ['paused when one fails'] : []),
  ];
  const state = paused ? paint.yellow(`Paused: ${note ?? 'no reason given'}`) : paint.green('Active');
  return [
    paint.bold(`${name}: ${plan}, by ${view.startedBy}`),
    state,
    `Windows ${view.windows.join(', ')}; ${bounds.join(', ')}`,
    ...(missedStarts === 0 ? [] : [paint.yellow(`The server was down for too long at ${missedStarts} of its starts`)]),
    ...(view.agrees
      ? []
      : [
          paint.yellow(
            `The server would not start all of these${paused ? '' : ` (\`uplift schedule update ${name}\` renews them)`}`,
          ),
        ]),
    '',
    next.length === 0 ? 'Its windows never open again.' : renderTable(NEXT, next.map(nextRow), width, paint),
    ...(runs.length === 0 ? [] : ['', renderTable(RUNS, runs.map(runRow), width, paint)]),
  ].join('\n');
}

/** `Skipped: rollout patching-2026-11-14 still runs, since …` */
export function runLine({ state, rollout, reason }: ScheduleRun): string {
  return state === 'Created'
    ? `${rollout} is created (follow it by \`uplift watch ${rollout}\`)`
    : `${state}: ${reason}`;
}

const NEXT = [
  { head: 'opens' },
  { head: 'closes' },
  { head: 'created' },
  { head: 'rollout' },
  { head: 'window', wraps: true },
];
const RUNS = [{ head: 'run' }, { head: 'rollout' }, { head: 'state' }, { head: 'why', wraps: true }];

function nextRow({ opens, closes, zone, at, rollout, windows }: NextOccurrence): string[] {
  const end = closes === null ? 'never' : localTime(closes, zone);
  return [localTime(opens, zone), end, localTime(at, zone), rollout, windows.join(', ')];
}

function runRow({ at, rollout, state, reason }: ScheduleRun): string[] {
  return [moment(at), rollout ?? '', state, reason];
}
