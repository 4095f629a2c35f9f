/** The timeline of an HTML report: when submits were allowed, then each wave with its upgrades' phases. */
import { type Act, wordsOf } from '../../workflows/contracts/control.js';
import { endOf, type Freeze } from '../../workflows/contracts/freezes.js';
import type { Phase, UpgradeResult } from '../../workflows/contracts/upgrade.js';
import {
  type CalendarTimes,
  goodIn,
  lastEnd,
  type NamedTime,
  type ResourceRow,
  type RolloutReport,
  type WaveView,
} from '../views.js';
import { outcomeClass, text } from './html.js';
import { scopeLabel, soakLine } from './report.js';
import { count, duration, fromTo, moment, percentOf } from './text.js';

/** The most ticks of the time axis. */
const TICKS = 6;
const [SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS] = [1_000, 60_000, 3_600_000, 86_400_000];
/** What two ticks may be apart: round times on a clock. */
const STEPS_MS = [
  ...[1, 2, 5, 10, 20, 30].map((n) => n * SECOND_MS),
  ...[1, 2, 5, 10, 20, 30].map((n) => n * MINUTE_MS),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR_MS),
  ...[1, 2, 7, 14, 30, 60].map((n) => n * DAY_MS),
];
/** The most calendars that have a band of their own. */
const CALENDARS = 5;
/** The most openings that are shaded behind each upgrade: beyond, they are too narrow to be told apart. */
const SHADED = 60;
/** From this share of the time on, in percent, a band's name fits into it. */
const NAMED_FROM = 12;

const PHASE_CLASS: Readonly<Record<Phase, string>> = {
  Precheck: 'check',
  Waiting: 'wait',
  Submit: 'submit',
  Await: 'run',
  Stuck: 'late',
  Overdue: 'late',
  Verify: 'verify',
  Held: 'held',
  Ended: 'end',
};
const PHASES: readonly (readonly [name: string, label: string])[] = [
  ['check', 'precheck'],
  ['wait', 'waiting'],
  ['submit', 'submit'],
  ['run', 'running at the cloud'],
  ['late', 'stuck or overdue'],
  ['held', 'held'],
  ['verify', 'verify'],
];
const BANDS = [
  ['window', 'window open'],
  ['blackout', 'blackout'],
  ['frozen', 'frozen'],
  ['paused', 'paused or stopped'],
  ['soak', 'soak'],
] as const;

type BandKind = (typeof BANDS)[number][0];

/** Epoch milliseconds. */
interface Span {
  readonly from: number;
  readonly to: number;
}

/** A stretch of the rollout's time: its name stands in it where it is wide enough, all of it in its title. */
interface Band extends Span {
  readonly kind: BandKind;
  readonly name: string;
  readonly title: string;
}

/** A line of bands. */
interface Lane {
  readonly name: string;
  readonly note: string;
  readonly end: string;
  readonly bands: readonly Band[];
}

/**
 * @param resultOf of each row, its upgrade's result where there is one
 * @param now milliseconds since the epoch, for what still runs
 */
export function timeline(
  report: RolloutReport,
  resultOf: (row: ResourceRow) => UpgradeResult | null,
  now: number,
): string {
  const { view, rows, windows } = report;
  const span = { from: Date.parse(view.startedAt), to: lastEnd(report, now) };
  const lanes = lanesOf(report, span);
  const used = new Set(lanes.flatMap(({ bands }) => bands.map(({ kind }) => kind)));
  return [
    '<h2>Timeline</h2>',
    legend([...BANDS.filter(([kind]) => used.has(kind)), ...PHASES]),
    `<div class="timeline"${shading(windows, span)}>`,
    laneSection(lanes, windows.length, span),
    ...view.waves.map((wave, at) =>
      waveSection(
        wave,
        rows.filter(({ waveIndex }) => waveIndex === at + 1),
        resultOf,
        span,
        now,
      ),
    ),
    '</div>',
  ].join('\n');
}

function legend(entries: readonly (readonly [name: string, label: string])[]): string {
  return `<p class="legend">${entries.map(([name, label]) => `<span><i class="${name}"></i>${label}</span>`).join('')}</p>`;
}

function lanesOf({ view, freezes, windows }: RolloutReport, span: Span): Lane[] {
  const frozen = freezes.map(frozenBand);
  const paused = pauses(view.acts, span);
  const soaks = view.waves.flatMap((wave) => soakBand(wave, span.to));
  return [
    ...windows.slice(0, CALENDARS).map(calendarLane),
    ...(frozen.length === 0
      ? []
      : [{ name: 'freezes', note: 'by hand', end: count(frozen.length, 'freeze'), bands: frozen }]),
    ...(paused.length === 0 ? [] : [{ name: 'pauses', note: 'by hand', end: total(paused), bands: paused }]),
    ...(soaks.length === 0 ? [] : [{ name: 'soaks', note: 'before the next wave', end: total(soaks), bands: soaks }]),
  ];
}

function laneSection(lanes: readonly Lane[], calendars: number, span: Span): string {
  if (lanes.length === 0) return '';
  const items = lanes.map(({ name, note, end, bands }) => {
    const label = `<span class="lane" title="${text(name)}">${text(name)}</span><span class="versions">${text(note)}</span>`;
    const track = bands.map((band) => bandOf(band, span)).join('');
    return `<li>${label}<span class="track">${track}</span><span class="soft">${text(end)}</span></li>`;
  });
  const when = calendars === 0 ? 'whenever nothing held them' : 'while a window was open and nothing held them';
  const more = calendars > CALENDARS ? `<p class="soft">and ${calendars - CALENDARS} more calendars</p>` : '';
  return `<section class="wave lanes"><p class="soft"><b>Submits</b> were allowed ${when}</p>${axis(span)}<ol>${items.join('\n')}</ol>${more}</section>`;
}

function calendarLane({ name, zone, open, blackouts }: CalendarTimes): Lane {
  const openings = open.map((time) => named('window', time, 'open'));
  const shut = blackouts.map((time) => named('blackout', time, 'blackout'));
  const end = openings.length === 0 ? 'not open' : `open ${total(openings)}`;
  return { name, note: zone, end, bands: [...openings, ...shut] };
}

function named(kind: BandKind, { name, from, to }: NamedTime, what: string): Band {
  const title = `${name}: ${what} from ${moment(from)} until ${moment(to)}`;
  return { kind, from: Date.parse(from), to: Date.parse(to), name, title };
}

function frozenBand(freeze: Freeze): Band {
  return {
    kind: 'frozen',
    from: Date.parse(freeze.since),
    to: endOf(freeze),
    name: freeze.reason,
    title: frozen(freeze),
  };
}

/** `account=prod frozen by ana (audit) from … until …, lifted by ben: it is over (freeze-1a2b3c4d)` */
export function frozen({ id, scope, except, since, until, owner, reason, lifted }: Freeze): string {
  const ended = lifted === undefined ? moment(until) : `${moment(lifted.at)}, lifted by ${lifted.by}: ${lifted.reason}`;
  return `${scopeLabel({ scope, except })} frozen by ${owner} (${reason}) from ${moment(since)} until ${ended} (${id})`;
}

/**
 * Epoch milliseconds: when it was said, since it holds from when the server has it, whenever a worker hears it; when it was
 * heard, where a clock that is behind puts that before what it came after.
 */
function actedAt(act: Act, after: number): number {
  const said = Date.parse(act.saidAt ?? act.at);
  return said < after ? Date.parse(act.at) : said;
}

/** From each pause until somebody resumed; after a stop nothing is sent any more. */
function pauses(acts: readonly Act[], { from: start, to: end }: Span): Band[] {
  const bands: Band[] = [];
  let since: Act | null = null;
  const close = (by: Act | null) => {
    if (since !== null) {
      const from = actedAt(since, bands.at(-1)?.to ?? start);
      const to = by === null ? end : actedAt(by, from);
      bands.push({ kind: 'paused', from, to, name: since.reason, title: wordsOf(since) });
    }
    since = null;
  };
  for (const act of acts) {
    if (act.act === 'resume' || act.act === 'stop') close(act);
    if (act.act === 'stop' || (act.act === 'pause' && since === null)) since = act;
  }
  close(null);
  return bands;
}

function soakBand({ name, soak }: WaveView, end: number): Band[] {
  if (soak === undefined || soak.startedAt === null) return [];
  const to = soak.endedAt === null ? end : Date.parse(soak.endedAt);
  return [{ kind: 'soak', from: Date.parse(soak.startedAt), to, name, title: `${name}: ${soakLine(soak)}` }];
}

function total(bands: readonly Band[]): string {
  return duration(bands.reduce((sum, { from, to }) => sum + to - from, 0));
}

function bandOf({ kind, name, title, ...times }: Band, span: Span): string {
  const label = Number(width(times, span)) >= NAMED_FROM ? text(name) : '';
  return bar(kind, times, span, title, label);
}

/** Where one calendar holds for all, it is shaded behind each upgrade. */
function shading(windows: readonly CalendarTimes[], span: Span): string {
  const [only, ...others] = windows;
  if (only === undefined || others.length > 0 || only.open.length > SHADED) return '';
  const stops = only.open.map(({ from, to }) => {
    const [opens, closes] = [share(Date.parse(from), span), share(Date.parse(to), span)];
    return `#0000 ${opens}%,var(--shade) ${opens}% ${closes}%,#0000 ${closes}%`;
  });
  return stops.length === 0 ? '' : ` style="--open-times:linear-gradient(90deg,${stops.join(',')})"`;
}

function waveSection(
  wave: WaveView,
  rows: readonly ResourceRow[],
  resultOf: (row: ResourceRow) => UpgradeResult | null,
  span: Span,
  now: number,
): string {
  const good = goodIn(wave.counts);
  const title = `<summary><b>${text(wave.name)}</b> ${good} of ${wave.total} at target (${percentOf(good, wave.total)}), up to ${wave.concurrency} at a time</summary>`;
  const lines = rows.map((row) => {
    const result = resultOf(row);
    const end = row.outcome ?? row.phase;
    const label = `<span class="id" title="${text(`${row.service} in ${row.account}, ${row.region}`)}">${text(row.resourceId)}</span>`;
    const led = text(fromTo(row.from, row.to ?? row.target));
    const versions = `<span class="versions" title="${led}">${led}</span>`;
    return `<li>${label}${versions}<span class="track">${result === null ? openBar(row, span, now) : bars(result, span)}</span><span class="end ${outcomeClass(row.outcome)}">${text(end)}</span></li>`;
  });
  const soak = wave.soak === undefined ? '' : `<p class="soft">${text(soakLine(wave.soak))}</p>`;
  return `<details class="wave" open>${title}${axis(span)}<ol>${lines.join('\n')}</ol>${soak}</details>`;
}

/** An upgrade's phases, each where it was in the rollout's time. */
function bars(result: UpgradeResult, span: Span): string {
  const end = Date.parse(result.endedAt);
  const phases = result.phases ?? [{ phase: 'Await' as const, at: result.startedAt }];
  return phases
    .map(({ phase, at }, index) => {
      const from = Date.parse(at);
      const to = Date.parse(phases[index + 1]?.at ?? result.endedAt);
      const title = `${phase}: ${duration(to - from)} from ${moment(at)}`;
      return bar(PHASE_CLASS[phase], { from, to: Math.min(to, end) }, span, title);
    })
    .join('');
}

/** What is in flight has told no phases yet but the one that it is in: that stands for all of its time. */
function openBar({ phase, outcome, startedAt }: ResourceRow, span: Span, now: number): string {
  if (outcome !== null || startedAt === null || phase === 'Pending') return '';
  const from = Date.parse(startedAt);
  const title = `${phase} now, ${duration(now - from)} after its start at ${moment(startedAt)}`;
  return bar(PHASE_CLASS[phase], { from, to: now }, span, title);
}

function bar(kind: string, times: Span, span: Span, title: string, label = ''): string {
  return `<i class="${kind}" style="left:${share(times.from, span)}%;width:${width(times, span)}%" title="${text(title)}">${label}</i>`;
}

/** A time alone says where in a rollout it is only while no time of day comes twice. */
function axis(span: Span): string {
  const lasts = span.to - span.from;
  const step = STEPS_MS.find((ms) => lasts / ms < TICKS) ?? lasts;
  const isDated = lasts > DAY_MS;
  const time = (iso: string) => iso.slice(11, step < MINUTE_MS ? 19 : 16);
  const ticks: string[] = [];
  for (let at = Math.ceil(span.from / step) * step; at <= span.to; at += step) {
    const iso = new Date(at).toISOString();
    ticks.push(`<span style="left:${share(at, span)}%">${isDated ? dayAndTime(iso) : time(iso)}</span>`);
  }
  return `<div class="axis${isDated ? ' dated' : ''}"><span class="track">${ticks.join('')}</span></div>`;
}

/** `20 Nov` over `21:00`: on one line, ticks would run into each other. */
function dayAndTime(iso: string): string {
  const [, day = '', month = ''] = new Date(iso).toUTCString().split(' ');
  return `${day} ${month}<br>${iso.slice(11, 16)}`;
}

/** Where an instant is in the rollout's time, in percent. */
function share(at: number, { from, to }: Span): string {
  return ((100 * Math.min(Math.max(at - from, 0), to - from)) / Math.max(to - from, 1)).toFixed(3);
}

function width({ from, to }: Span, span: Span): string {
  return Math.max(Number(share(to, span)) - Number(share(from, span)), 0.05).toFixed(3);
}

const GRID = 'display:grid;grid-template-columns:minmax(150px,25%) minmax(110px,17%) 1fr 118px;gap:10px';

/** Belongs into the page's own. */
export const TIMELINE_STYLE = `
:root{--check:#9db4d6;--wait:#d5dae3;--submit:#7a5cd6;--run:#3f7fe0;--late:#e08a1e;--held:#d23f3f;--verify:#23b5a0;
--shade:#1f9d6122;--window:#a5d9bb;--frozen:#9bd3ea;--paused:#f0cf8a;--soak:#cfc0f2;--band-ink:#1b1f27;
--blackout:repeating-linear-gradient(45deg,#7d8696 0 4px,#9aa3b2 4px 8px)}
@media(prefers-color-scheme:dark){:root{--wait:#3a4353;--check:#5f779c;
--shade:#1f9d6133;--window:#2f7a52;--frozen:#2b6f8c;--paused:#8a6a22;--soak:#5d4c94;--band-ink:#e8ebf1;
--blackout:repeating-linear-gradient(45deg,#4a5364 0 4px,#5d6779 4px 8px)}}
.legend{display:flex;flex-wrap:wrap;gap:4px 14px;color:var(--soft);margin:0 0 10px}
.legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:5px;vertical-align:-1px}
.wave{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 16px;margin:0 0 12px}
.soft{color:var(--soft)}.wave p{margin:6px 0 0}.lanes>p:first-child{margin:0}.lanes b{color:var(--ink);font-size:15px;margin-right:6px}.lanes li .soft{font-size:12px}.lane{font-size:13px}
summary{cursor:pointer;color:var(--soft)}summary b{color:var(--ink);font-size:15px;margin-right:6px}
ol,.wave li{list-style:none;margin:0;padding:0}
.wave li{${GRID};align-items:center;padding:3px 0;border-top:1px solid var(--line)}
.id,.lane,.versions{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.id{font-family:ui-monospace,monospace;font-size:12px}
.versions{color:var(--soft);font-size:12px}.track{position:relative;display:block;height:14px}
details.wave li .track{background:var(--open-times,none)}
.track i{position:absolute;top:0;height:14px;min-width:1px;border-radius:2px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.lanes .track,.lanes .track i{height:18px}.lanes .track i{font:normal 11px/18px system-ui,sans-serif;text-indent:5px;color:var(--band-ink)}
${[...BANDS, ...PHASES].map(([name]) => `i.${name}{background:var(--${name})}`).join('')}i.end{display:none}
.end{color:var(--tone);font-weight:600;font-size:12px}
.axis{${GRID};color:var(--soft);font-size:11px;margin:8px 0 2px}
.axis .track{grid-column:3}.axis.dated .track{height:32px}.axis .track span{position:absolute;white-space:nowrap;transform:translateX(-50%);font-variant-numeric:tabular-nums}
@media(max-width:700px){.wave li,.axis{grid-template-columns:1fr auto;gap:3px 10px}.versions{display:none}.wave .track{grid-column:1/-1;grid-row:2}}
@media print{.wave li{break-inside:avoid}}
`;
