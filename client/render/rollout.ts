/** A rollout as a person reads it: `watch` shows it live, `status` once. */
import type { Counts } from '../../workflows/contracts/rollout.js';
import { span } from '../../workflows/contracts/soak.js';
import {
  endedIn,
  failedIn,
  goodIn,
  hasEnded,
  heldLabel,
  isFailed,
  isGood,
  isInFlight,
  type ResourceRow,
  type RolloutView,
  type WaveView,
} from '../views.js';
import type { RolloutForecast } from '../forecast.js';
import { upgradeCell } from './forecast.js';
import { percentBar, waveBar } from './bar.js';
import type { Paint } from './paint.js';
import { type Column, NARROWEST_ID, renderTable } from './table.js';
import { count, cut, cutId, duration, fromTo, fromToCut, pad, widthOf, wrap } from './text.js';

export interface Screen {
  readonly width: number;
  /** Lines that may be used; `Infinity` when nothing has to fit. */
  readonly height: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly paint: Paint;
}

/** From this width on, rows have room for account and state. */
const WIDE = 110;
/** What is said beside a wave's bar has this room at least, and more where the bar can be shorter. */
const NOTE_ROOM = 27;
const NARROWEST_BAR = 4;
const PHASE_WIDTH = 'Precheck'.length;
/** `… → 2.4.1` */
const NARROWEST_VERSIONS = 9;
/** Fewer columns of a state say nothing. */
const SHORTEST_DETAIL = 8;
/** Lines that a list keeps when the screen is too low for all. */
const LEAST_LINES = 3;
/** A section's empty line and its title. */
const SECTION_LINES = 2;

/**
 * The whole frame: head, waves, what is in flight, what failed; never more than `height` lines. What a low screen has no
 * room for is counted, and the head always stays.
 *
 * @param trouble why the view is no newer; it stands in the reason's place
 */
export function renderRollout(
  view: RolloutView,
  rows: readonly ResourceRow[],
  screen: Screen,
  trouble: string | null = null,
): string {
  const inFlight = rows.filter(isInFlight);
  const failed = rows.filter((row) => isFailed(row.outcome));
  const head = [...renderHead(view, rows, screen, trouble), ''];
  const sections = [inFlight, failed].filter((part) => part.length > 0).length;

  // Lists keep at least a few lines each, then waves get theirs, then the lists share what is left.
  const least = sections * (LEAST_LINES + SECTION_LINES);
  const waves = renderWaves(view, rows, Math.max(screen.height - head.length - least, LEAST_LINES), screen);
  const room = screen.height - head.length - waves.length - sections * SECTION_LINES;
  const forFailed = Math.min(failed.length * 2, Math.max(room - inFlight.length, Math.floor(room / 2)));
  return [
    ...head,
    ...waves,
    ...section(`In flight (${inFlight.length})`, renderInFlight(inFlight, room - forFailed, screen), screen),
    ...section(`Failed (${failed.length})`, renderFailed(failed, forFailed, screen), screen),
  ]
    .slice(0, screen.height)
    .join('\n');
}

/** What, next change, why: the three lines that a person at 03:00 needs. */
function renderHead(
  view: RolloutView,
  rows: readonly ResourceRow[],
  { width, now, paint }: Screen,
  trouble: string | null,
): string[] {
  const flying = rows.filter(isInFlight).length;
  const parts = [
    `${goodIn(view.counts)} of ${view.total} at target`,
    ...(flying > 0 ? [`${flying} in flight`] : []),
    `${view.failures} failed (${view.budget.max} tolerated)`,
  ];
  const took = duration((view.endedAt === null ? now : Date.parse(view.endedAt)) - Date.parse(view.startedAt));
  const silent = [
    'no worker answers; start one with `uplift worker`',
    ...(view.state === 'Running' ? [] : [view.reason]),
    ...(view.freezes ?? []).map(heldLabel),
  ];
  // While the server is away nobody knows whether a worker would answer.
  const why = trouble ?? (view.workerAnswers ? view.reason : silent.join('; '));
  const isWell = trouble === null && view.workerAnswers;
  return [
    spread(paint.bold(cut(view.rollout, width - took.length - 2)), paint.dim(took), width),
    labelled(view.state, stateColor(view, paint), parts.join(', '), width),
    labelled('Next', paint.dim, view.next, width),
    labelled('Why', isWell ? paint.dim : paint.yellow, why, width),
    ...(view.undelivered === undefined ? [] : [labelled('Not told', paint.yellow, view.undelivered, width)]),
  ];
}

/** One line a wave; with less room than waves, those around the running one. */
function renderWaves(
  view: RolloutView,
  rows: readonly ResourceRow[],
  room: number,
  { width, paint }: Screen,
): string[] {
  const { waves } = view;
  const nameWidth = Math.min(Math.max(...waves.map(({ name }) => widthOf(name))), width < WIDE ? 16 : 28);
  const most = Math.max(...waves.map(({ total }) => String(total).length));
  const told = waves.map((wave, at) => {
    const flying = rows.filter((row) => row.waveIndex === at + 1 && isInFlight(row)).length;
    return { wave, flying, notes: waveNotes(wave, flying, paint) };
  });
  const ownRoom = width - nameWidth - 2 * most - 9;
  const longest = Math.max(...told.map(({ notes }) => widthOf(notes.join(', '))), NOTE_ROOM);
  const barWidth = Math.min(Math.max(ownRoom - longest, NARROWEST_BAR), 48);
  const drawn = told.map(({ wave: { name, total, counts }, flying, notes }) => {
    const parts = { good: goodIn(counts), failed: failedIn(counts), inFlight: flying, total };
    const done = `${String(doneIn(counts)).padStart(most)}/${String(total).padEnd(most)}`;
    const bar = waveBar(parts, barWidth, paint);
    const note = listed(notes, ownRoom - barWidth);
    return `  ${pad(cutId(name, nameWidth), nameWidth)}  ${bar}  ${done}  ${note}`;
  });
  if (drawn.length <= room) return drawn;
  const shown = Math.max(room - 1, 1);
  const running = waves.findIndex(({ state }) => state === 'Running');
  const from = Math.min(Math.max(running - 1, 0), drawn.length - shown);
  return [...drawn.slice(from, from + shown), paint.dim(`  … and ${drawn.length - shown} more waves`)];
}

/** What was left out or came too late has ended, and is not done. */
function doneIn(counts: Counts): number {
  const { Skipped = 0, NotStarted = 0 } = counts;
  return endedIn(counts) - Skipped - NotStarted;
}

/** As many of them as have room, the first one always. */
function listed(notes: readonly string[], width: number): string {
  for (let shown = notes.length; shown > 1; shown -= 1) {
    const text = [...notes.slice(0, shown), ...(shown < notes.length ? ['…'] : [])].join(', ');
    if (widthOf(text) <= width) return text;
  }
  return notes[0] ?? '';
}

/** The most urgent first. */
function waveNotes(wave: WaveView, flying: number, paint: Paint): readonly string[] {
  const failed = failedIn(wave.counts);
  const { Skipped = 0, NotStarted = 0 } = wave.counts;
  const notes = [
    ...(flying > 0 ? [paint.cyan(`${flying} in flight`)] : []),
    ...(failed > 0 ? [paint.red(`${failed} failed`)] : []),
    ...(Skipped > 0 ? [paint.yellow(`${Skipped} skipped`)] : []),
    ...(NotStarted > 0 ? [paint.yellow(`${NotStarted} not started`)] : []),
  ];
  switch (wave.state) {
    case 'Running':
      return notes.length > 0 ? notes : ['running'];
    case 'Done': {
      const words = [...notes, ...soakNote(wave, paint)];
      if (doneIn(wave.counts) === 0 && Skipped + NotStarted > 0) return words;
      return [goodIn(wave.counts) === wave.total ? paint.green('done') : 'done', ...words];
    }
    case 'Stopped':
      return [paint.yellow('stopped'), ...notes];
    case 'NotStarted':
      return [paint.dim('not started')];
    case 'Skipped':
      return [paint.yellow('skipped')];
    case 'Pending':
      return [paint.dim('pending')];
  }
}

function soakNote({ soak }: WaveView, paint: Paint): string[] {
  switch (soak?.state) {
    case 'Running':
      return [paint.yellow(`soaking (${span(soak.progress?.healthyMs ?? 0)} of ${span(soak.forMs)})`)];
    case 'Done':
      return [`soaked ${span(soak.forMs)}`];
    case 'Waived':
      return [paint.yellow('soak waived')];
    default:
      return [];
  }
}

function renderInFlight(rows: readonly ResourceRow[], lines: number, { width, paint }: Screen): string[] {
  if (rows.length === 0) return [];
  // In the plan's order: a row keeps its place for as long as it is there.
  const shown = rows.length > lines ? rows.slice(0, Math.max(lines - 1, 1)) : rows;
  const widths = inFlightWidths(shown, width);
  const drawn = shown.map((row) => {
    const start = [
      pad(cutId(row.resourceId, widths.id), widths.id),
      ...(width >= WIDE ? [pad(row.service, widths.service)] : []),
      pad(fromToCut(row.from, row.target, widths.versions), widths.versions),
      paintPhase(row, paint),
      // Where the API tells no percent, the provider's words stand in the bar's place.
      ...(row.percent === null
        ? []
        : [`${percentBar(row.percent, widths.bar, paint)} ${String(Math.round(row.percent)).padStart(3)} %`]),
    ].join('  ');
    const left = width - 4 - widthOf(start);
    const detail = detailOf(row);
    return `  ${start}${left >= SHORTEST_DETAIL && detail !== '' ? `  ${paint.dim(cut(detail, left))}` : ''}`.trimEnd();
  });
  const more = rows.length - shown.length;
  return more > 0 ? [...drawn, paint.dim(`  … and ${more} more`)] : drawn;
}

/** As wide as their texts, up to a limit; where a row has no room, its parts give way in turn. */
function inFlightWidths(rows: readonly ResourceRow[], width: number) {
  const wide = width >= WIDE;
  const widest = (text: (row: ResourceRow) => string) => Math.max(...rows.map((row) => widthOf(text(row))));
  const id = Math.min(
    widest(({ resourceId }) => resourceId),
    wide ? 36 : 20,
  );
  const service = widest((row) => row.service);
  const versions = Math.min(
    widest((row) => fromTo(row.from, row.target)),
    wide ? 28 : 20,
  );
  const bar = wide ? 16 : 10;
  const columns = [id, ...(wide ? [service] : []), versions, PHASE_WIDTH, bar + ' 100 %'.length];
  const hasBar = rows.some(({ percent }) => percent !== null);
  let excess = (hasBar ? columns : columns.slice(0, -1)).reduce((sum, one) => sum + 2 + one, 0) - width;
  const giveWay = (own: number, least: number) => {
    const given = Math.max(Math.min(excess, own - least), 0);
    excess -= given;
    return own - given;
  };
  return {
    bar: giveWay(bar, hasBar ? NARROWEST_BAR : bar),
    versions: giveWay(versions, NARROWEST_VERSIONS),
    id: giveWay(id, NARROWEST_ID),
    service,
  };
}

/** Two lines each: who and what, then why. */
function renderFailed(rows: readonly ResourceRow[], lines: number, { width, paint }: Screen): string[] {
  const fit = Math.max(Math.floor((lines - 1) / 2), 1);
  const shown = rows.length * 2 > lines ? rows.slice(-fit) : rows;
  const more = rows.length - shown.length;
  const drawn = shown.flatMap((row) => {
    const id = cutId(row.resourceId, 36);
    const outcome = row.outcome ?? '';
    const what = `${row.service}, ${fromTo(row.from, row.target)}, ${row.wave}`;
    return [
      `  ${id}  ${paint.red(outcome)}  ${paint.dim(cut(what, width - widthOf(id) - outcome.length - 6))}`,
      ...wrap(row.reason, width - 4, 1).map((line) => `    ${line}`),
    ];
  });
  return more > 0 ? [paint.dim(`  … ${more} earlier ones`), ...drawn] : drawn;
}

/** Every resource, one line each: `status --all`. */
export function renderRows(
  rows: readonly ResourceRow[],
  { width, paint }: Screen,
  forecast: RolloutForecast | null = null,
): string {
  const expected = new Map(
    forecast?.waves.flatMap(({ upgrades }) => upgrades.map((one) => [one.workflowId, one] as const)),
  );
  const expectedOf = ({ workflowId }: ResourceRow): string => {
    const upgrade = expected.get(workflowId);
    return upgrade === undefined || forecast === null ? '' : upgradeCell(upgrade, forecast.zone);
  };
  const columns: Column[] = [
    { head: 'wave', id: true },
    { head: 'resource', key: true },
    { head: 'service', fromWidth: WIDE },
    { head: 'from → to', wraps: true },
    { head: 'state' },
    { head: '%', align: 'right' },
    ...(forecast === null ? [] : [{ head: 'expected', fromWidth: WIDE }]),
    { head: 'reason', wraps: true },
  ];
  const cells = rows.map((row) => [
    row.wave,
    row.resourceId,
    row.service,
    fromTo(row.from, row.to ?? row.target),
    row.outcome === null ? row.phase : isFailed(row.outcome) ? paint.red(row.outcome) : row.outcome,
    row.percent === null || row.outcome !== null ? '' : String(Math.round(row.percent)),
    ...(forecast === null ? [] : [expectedOf(row)]),
    // Of what went well the versions say enough; its evidence stands in the report.
    isGood(row.outcome) ? '' : row.reason,
  ]);
  return renderTable(columns, cells, width, paint);
}

function detailOf(row: ResourceRow): string {
  const reads =
    row.await === null || row.await.failedReads === 0
      ? ''
      : ` (${count(row.await.failedReads, 'failed read')} in a row)`;
  return row.reason + reads;
}

function paintPhase(row: ResourceRow, paint: Paint): string {
  const word = row.phase.padEnd(PHASE_WIDTH);
  return row.phase === 'Held' || row.phase === 'Stuck' || row.phase === 'Overdue' || row.phase === 'Waiting'
    ? paint.yellow(word)
    : paint.cyan(word);
}

function stateColor(view: RolloutView, paint: Paint): (text: string) => string {
  switch (view.state) {
    case 'Succeeded':
      return paint.green;
    case 'Running':
      return paint.cyan;
    case 'SucceededWithFailures':
    case 'Stopping':
    case 'Paused':
    case 'Waiting':
    case 'Stopped':
      return paint.yellow;
    case 'Failed':
    case 'Rejected':
    case 'Terminated':
      return paint.red;
  }
}

/** A label of nine columns; a longer word (`SucceededWithFailures`) takes the room it needs. */
function labelled(label: string, color: (text: string) => string, text: string, width: number): string {
  const room = Math.max(label.length + 2, 11);
  return `${color(label)}${' '.repeat(room - label.length)}${cut(text, width - room)}`;
}

function spread(left: string, right: string, width: number): string {
  const taken = widthOf(left + right);
  const room = Number.isFinite(width) ? width - taken : 2;
  return `${left}${' '.repeat(Math.max(room, 2))}${right}`;
}

function section(title: string, lines: readonly string[], { paint }: Screen): string[] {
  return lines.length === 0 ? [] : ['', paint.bold(title), ...lines];
}

/** The last line under a frame that lives: how to leave. */
export function renderFoot(view: RolloutView, { width, paint }: Screen): string {
  return hasEnded(view) ? '' : paint.dim(cut('Ctrl-C leaves; the rollout goes on', width));
}
