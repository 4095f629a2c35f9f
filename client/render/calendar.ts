/** When submits are allowed, as people read it: each opening in its own zone. */
import type { CalendarState, Opening } from '../../workflows/contracts/calendar.js';
import type { Paint } from './paint.js';
import { renderTable } from './table.js';

/** The calendar of one set of targets. */
export interface CalendarView {
  /** `25 resources: ges-v2, dcs` */
  readonly title: string;
  readonly zone: string;
  readonly state: CalendarState;
  readonly openings: readonly Opening[];
  /** What holds besides, one line each. */
  readonly notes: readonly string[];
}

export function renderCalendar(views: readonly CalendarView[], width: number, paint: Paint): string {
  return views.map((view) => renderView(view, width, paint)).join('\n\n');
}

/** `Shut since …, opens …: outside every window` */
function stateLine({ open, since, until, reason }: CalendarState, zone: string): string {
  const from = since === null ? '' : ` since ${localTime(since, zone)}`;
  const then =
    until === null
      ? open
        ? ', with no end in sight'
        : ', and never opens'
      : `, ${open ? 'shuts' : 'opens'} ${localTime(until, zone)}`;
  return `${open ? 'Open' : 'Shut'}${from}${then} (${reason})`;
}

function renderView({ title, zone, state, openings, notes }: CalendarView, width: number, paint: Paint): string {
  const rows = openings.map(({ opens, closes, windows }) => [
    opens === null ? 'always' : localTime(opens, zone),
    closes === null ? 'never' : localTime(closes, zone),
    opens === null || closes === null ? '' : lasting(Date.parse(closes) - Date.parse(opens)),
    windows.join(', '),
  ]);
  const columns = [{ head: 'opens' }, { head: 'closes' }, { head: 'for' }, { head: 'window', wraps: true }];
  const color = state.open ? paint.green : paint.yellow;
  return [
    paint.bold(title),
    color(stateLine(state, zone)),
    ...notes.map(paint.yellow),
    ...(rows.length === 0 ? [] : [renderTable(columns, rows, width, paint)]),
  ].join('\n');
}

/** `Sat 2026-08-01 22:00 CEST`; by the locale-free parts of Intl, which knows the zones. */
export function localTime(iso: string, zone: string): string {
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      weekday: 'short',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      timeZoneName: 'short',
    })
      .formatToParts(new Date(iso))
      .map(({ type, value }) => [type, value]),
  );
  const { weekday, year, month, day, hour, minute, timeZoneName } = parts;
  return `${weekday} ${year}-${month}-${day} ${hour}:${minute} ${timeZoneName}`;
}

/** `4 h`, `1 h 30 min` */
function lasting(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  const parts = [minutes >= 60 ? `${Math.floor(minutes / 60)} h` : '', minutes % 60 > 0 ? `${minutes % 60} min` : ''];
  return parts.filter((part) => part !== '').join(' ');
}
