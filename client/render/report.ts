/** The report of a rollout: Markdown that stands by itself in a ticket. */
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { whenLabel } from '../../workflows/contracts/control.js';
import { coverLabel, type Freeze } from '../../workflows/contracts/freezes.js';
import { soakLabel, type SoakStatus } from '../../workflows/contracts/soak.js';
import type { Finding, Outcome, UpgradeResult } from '../../workflows/contracts/upgrade.js';
import {
  type CalendarTimes,
  goodIn,
  hasEnded,
  isFailed,
  isGood,
  type NamedTime,
  type ResourceCall,
  type ResourceRow,
  type RolloutReport,
  type RolloutView,
  type WaveView,
} from '../views.js';
import { CALLS_HEAD, NO_REQUEST_ID, reportedCalls } from './calls.js';
import { count, duration, moment, oneLine, percentOf } from './text.js';

/** The most resources that are named for one reason. */
const SHOWN = 5;
/** The most reasons, or differences, that are told. */
const REASONS = 10;
/** The most openings and blackouts of a rollout that are told. */
const TIMES = 20;

export const DRIFTS_NOTE = 'The plan lets these differences pass';

/** @param now milliseconds since the epoch, for the duration of what still runs */
export function renderReport({ view, rows, results, calls, freezes, windows }: RolloutReport, now: number): string {
  const byUpgrade = new Map(results.map((result) => [upgradeWorkflowId(result.resource), result]));
  const resultOf = (row: ResourceRow) => byUpgrade.get(row.workflowId) ?? null;
  const failed = rows.filter((row) => isFailed(row.outcome));
  return [
    `# Rollout ${escaped(view.rollout)}: ${view.state}`,
    '',
    `**${goodIn(view.counts)} of ${view.total} at target (${percentOf(goodIn(view.counts), view.total)}), ${view.failures} failed.** ${escaped(sentence(view.reason))}`,
    ...(hasEnded(view) ? [] : ['', '> It has not ended: this report is of now.']),
    ...(view.workerAnswers ? [] : ['', '> No worker answered: this is what the server alone knows.']),
    ...(goneLabel(rows) === null ? [] : ['', `> ${goneLabel(rows)}`]),
    '',
    ...table(['', ''], facts(view, now)),
    ...view.waves.flatMap((wave, at) =>
      waveSection(
        wave,
        rows.filter(({ waveIndex }) => waveIndex === at + 1),
        resultOf,
      ),
    ),
    ...actSection(view),
    ...windowSection(windows),
    ...freezeSection(freezes),
    ...(failed.length === 0 ? [] : ['', '## Failures', ...failed.flatMap((row) => failure(row, resultOf(row)))]),
    ...leftOutSection(leftOut(rows, resultOf)),
    ...driftSection(driftsOf(results)),
    ...callSection(calls),
    '',
  ].join('\n');
}

function facts(view: RolloutView, now: number): string[][] {
  const end = view.endedAt === null ? now : Date.parse(view.endedAt);
  return [
    ['Started', `${moment(view.startedAt)} by ${escaped(view.startedBy)}`],
    ['Ended', view.endedAt === null ? 'not yet' : moment(view.endedAt)],
    ['Took', duration(end - Date.parse(view.startedAt))],
    ['Failure budget', budgetUsed(view)],
    ...(view.minSuccess === null
      ? []
      : [['Had to succeed', `${view.minSuccess} of ${view.total} (${percentOf(view.minSuccess, view.total)})`]]),
    [
      'Outcomes',
      Object.entries(view.counts)
        .map(([outcome, n]) => `${n} ${outcome}`)
        .join(', ') || 'none yet',
    ],
    ...(view.retryOf === null ? [] : [['Retry of', `${code(view.retryOf.rollout)}: ${escaped(view.retryOf.reason)}`]]),
    ['Plan', `digest ${code(view.planDigest)}`],
    ['Temporal run', code(view.runId)],
  ];
}

/** `1 of 3 charged, strict; 2 more failed and were not charged: it counts submit, upgrade`. */
export function budgetUsed({ failures, charged, budget: { max, mode, counts } }: RolloutView): string {
  const only = counts === undefined ? '' : `: it counts ${counts.join(', ') || 'nothing'}`;
  if (charged === null) return `not known how many of ${max} are charged, ${mode}; ${failures} failed${only}`;
  const free = Math.max(failures - charged, 0);
  const uncharged = free === 0 ? '' : `; ${free} more failed and ${free === 1 ? 'was' : 'were'} not charged${only}`;
  return `${charged} of ${max} charged, ${mode}${uncharged}`;
}

/** That something is missing, and why; `null` while all is there. */
export function goneLabel(rows: readonly ResourceRow[]): string | null {
  const gone = rows.filter((row) => row.gone === true).length;
  if (gone === 0) return null;
  return `The details of ${count(gone, 'upgrade')} are no longer kept: their histories are no longer on the server, since retention is over or they were deleted. What their waves had counted is counted; their findings and calls are missing here.`;
}

export const ACTS_UNKNOWN =
  'Not known: only the rollout tells it, and no worker answered for it. Start one (`uplift worker`), and report again.';

/** What people did to the rollout: each with who and why. */
function actSection({ acts, actsLeftOut = 0, workerAnswers }: RolloutView): string[] {
  if (acts.length === 0 && workerAnswers) return [];
  const title = ['', '## What people did', ''];
  if (acts.length === 0) return [...title, ACTS_UNKNOWN];
  return [
    ...title,
    ...table(
      ['when', 'what', 'to', 'by', 'reason'],
      acts.map(({ act, what, actor, reason, ...times }) => [
        whenLabel(times, moment),
        act,
        escaped(what),
        escaped(actor),
        escaped(reason),
      ]),
    ),
    ...(actsLeftOut === 0 ? [] : ['', earlierActsLabel(actsLeftOut)]),
  ];
}

export function earlierActsLabel(acts: number): string {
  return `${count(acts, 'earlier act')} ${acts === 1 ? 'is' : 'are'} left out; the rollout's history has all of them.`;
}

/** When submits were allowed while it ran. */
function windowSection(windows: readonly CalendarTimes[]): string[] {
  if (windows.length === 0) return [];
  const rows = windows.flatMap(({ name, zone, open, blackouts }) => {
    const times = [
      ...open.map((time) => ({ ...time, what: `open: ${time.name}` })),
      ...blackouts.map((time) => ({ ...time, what: `blackout: ${time.name}` })),
    ].toSorted((a, b) => Date.parse(a.from) - Date.parse(b.from));
    const told = open.length === 0 ? [['not open', '', ''], ...times.map(timeCells)] : times.map(timeCells);
    return told.map((cells) => [name, zone, ...cells].map(escaped));
  });
  const more = rows.length - TIMES;
  return [
    '',
    '## Windows',
    '',
    ...table(['windows', 'zone', 'what', 'from', 'until'], rows.slice(0, TIMES)),
    ...(more > 0 ? ['', `And ${more} more: the JSON report has all.`] : []),
  ];
}

function timeCells({ what, from, to }: NamedTime & { readonly what: string }): string[] {
  return [what, moment(from), moment(to)];
}

/** `account=prod, except region=eu-west-101` */
export function scopeLabel({ scope, except }: Pick<Freeze, 'scope' | 'except'>): string {
  return coverLabel(scope) + (except.length === 0 ? '' : `, except ${coverLabel(except)}`);
}

/** What people froze while it ran. */
function freezeSection(freezes: readonly Freeze[]): string[] {
  if (freezes.length === 0) return [];
  return [
    '',
    '## Freezes',
    '',
    ...table(
      ['freeze', 'what', 'from', 'until', 'by', 'reason', 'lifted'],
      freezes.map(({ id, scope, except, since, until, owner, reason, lifted }) => [
        code(id),
        escaped(scopeLabel({ scope, except })),
        moment(since),
        moment(until),
        escaped(owner),
        escaped(reason),
        lifted === undefined ? '' : escaped(`${moment(lifted.at)} by ${lifted.by}: ${lifted.reason}`),
      ]),
    ),
  ];
}

function waveSection(
  wave: WaveView,
  rows: readonly ResourceRow[],
  resultOf: (row: ResourceRow) => UpgradeResult | null,
): string[] {
  return [
    '',
    `## Wave ${escaped(wave.name)}: ${goodIn(wave.counts)} of ${wave.total} at target`,
    ...(wave.soak === undefined ? [] : ['', escaped(soakLine(wave.soak))]),
    '',
    ...table(
      ['resource', 'service', 'account', 'region', 'from', 'target', 'read back', 'outcome', 'took'],
      rows.map((row) => {
        const result = resultOf(row);
        return [
          code(row.resourceId),
          ...[row.service, row.account, row.region, row.from ?? '?', row.target, row.to ?? ''].map(escaped),
          row.outcome === null ? `*${row.phase}*` : isGood(row.outcome) ? row.outcome : `**${row.outcome}**`,
          result === null ? '' : duration(Date.parse(result.endedAt) - Date.parse(result.startedAt)),
        ];
      }),
    ),
  ];
}

/** `Soak Done from … to …: 30 min of 30 min healthy` */
export function soakLine(soak: SoakStatus): string {
  const { state, startedAt, endedAt } = soak;
  const from = startedAt === null ? '' : ` from ${moment(startedAt)}`;
  const to = endedAt === null || startedAt === null ? '' : ` to ${moment(endedAt)}`;
  return `Soak ${state}${from}${to}: ${soakLabel(soak)}.`;
}

function failure(row: ResourceRow, result: UpgradeResult | null): string[] {
  const findings = result?.findings ?? [];
  const operation = result?.operation ?? null;
  return [
    '',
    `### ${escaped(row.resourceId)}: ${row.outcome ?? row.phase}`,
    '',
    escaped(sentence(result?.reason ?? row.reason)),
    ...(operation === null
      ? []
      : [
          '',
          `Operation ${operation.id === null ? '(this API gives no id)' : code(operation.id)} since ${moment(operation.since)}, polled ${count(result?.polls ?? 0, 'time')}.`,
        ]),
    ...checks(findings),
  ];
}

/** Resources of which the same is told. */
export interface Group {
  /** `null` where it does not matter. */
  readonly outcome: Outcome | null;
  readonly reason: string;
  readonly ids: readonly string[];
}

/** Those of which most is told first. */
function grouped(told: readonly { readonly outcome: Outcome | null; readonly reason: string; readonly id: string }[]) {
  const groups = new Map<string, { outcome: Outcome | null; reason: string; ids: string[] }>();
  for (const { outcome, reason, id } of told) {
    const key = `${outcome} ${reason}`;
    const group = groups.get(key) ?? { outcome, reason, ids: [] };
    groups.set(key, group);
    group.ids.push(id);
  }
  return [...groups.values()].toSorted((a, b) => b.ids.length - a.ids.length);
}

/** Resources that an upgrade was not tried for, by what became of them and why. */
export function leftOut(
  rows: readonly ResourceRow[],
  resultOf: (row: ResourceRow) => UpgradeResult | null,
): readonly Group[] {
  return grouped(
    rows
      .filter(({ outcome }) => outcome === 'Skipped' || outcome === 'NotStarted')
      .map((row) => ({
        outcome: row.outcome,
        reason: wholeReason(row, resultOf(row)),
        id: row.resourceId,
      })),
  );
}

/** As its shard tells it, which knows also who called it back; the upgrade's own where that is cut, or not known. */
function wholeReason({ reason }: ResourceRow, result: UpgradeResult | null): string {
  const isWhole = reason !== '' && !reason.endsWith('…');
  return (isWhole ? reason : (result?.reason ?? reason)) || 'not known';
}

/** Resources that went on although they were not as planned any more, by the differences that the plan lets pass. */
export function driftsOf(results: readonly UpgradeResult[]): readonly Group[] {
  return grouped(
    results.flatMap(({ resource, findings }) => {
      const differences = findings
        .filter(({ status }) => status === 'success')
        .flatMap(({ problems }) => problems)
        // The clouds' own checks pass with remarks too, which are no difference from the plan.
        .flatMap(({ type, message }) => (type === 'drift' ? [message] : []));
      return differences.length === 0 ? [] : [{ outcome: null, reason: differences.join('; '), id: resource.id }];
    }),
  );
}

/** The first ones, and how many more: thousands may have been left out for one reason. */
export function firstOf(ids: readonly string[]): { shown: readonly string[]; more: string } {
  const rest = ids.length - SHOWN;
  return { shown: ids.slice(0, SHOWN), more: rest > 0 ? ` and ${rest} more` : '' };
}

/** The most frequent ones, and how many more: each resource may have a reason of its own. */
export function frequent(groups: readonly Group[]): { shown: readonly Group[]; more: string } {
  const rest = groups.slice(REASONS);
  const more = `And ${count(rest.length, 'more reason')}, of ${count(resourcesIn(rest), 'resource')}: the JSON report has all.`;
  return { shown: groups.slice(0, REASONS), more: rest.length === 0 ? '' : more };
}

export function resourcesIn(groups: readonly Group[]): number {
  return groups.reduce((sum, { ids }) => sum + ids.length, 0);
}

/** @param head the columns of `cells`, which are Markdown */
function groupTable(groups: readonly Group[], head: readonly string[], cells: (group: Group) => string[]): string[] {
  const { shown, more } = frequent(groups);
  const rows = shown.map((group) => {
    const first = firstOf(group.ids);
    return [...cells(group), String(group.ids.length), first.shown.map(code).join(', ') + first.more];
  });
  return [...table([...head, 'how many', 'resources'], rows), ...(more === '' ? [] : ['', more])];
}

function leftOutSection(groups: readonly Group[]): string[] {
  if (groups.length === 0) return [];
  const cells = ({ outcome, reason }: Group) => [outcome ?? '', escaped(reason)];
  return ['', '## Left out', '', ...groupTable(groups, ['outcome', 'reason'], cells)];
}

function driftSection(groups: readonly Group[]): string[] {
  if (groups.length === 0) return [];
  const cells = ({ reason }: Group) => [escaped(reason)];
  return ['', '## Not as planned', '', `${DRIFTS_NOTE}:`, '', ...groupTable(groups, ['difference'], cells)];
}

/** What the precheck found: in a table when something did not pass, or passed with a remark. */
function checks(findings: readonly Finding[]): string[] {
  if (findings.length === 0) return [];
  if (findings.every(({ status, problems }) => status === 'success' && problems.length === 0)) {
    return ['', `Prechecks had passed: ${findings.map(({ check }) => escaped(check)).join(', ')}.`];
  }
  const rows = findings.flatMap(({ check, status, problems }) =>
    problems.length === 0
      ? [[check, status, '', '', '']]
      : problems.map(({ type, code: errorCode, message }) => [check, status, type, errorCode, message]),
  );
  const cells = rows.map((row) => row.map(escaped));
  return ['', ...table(['check', 'status', 'error type', 'error code', 'message'], cells)];
}

function callSection(calls: readonly ResourceCall[]): string[] {
  const sent = reportedCalls(calls);
  const title = `## Mutating calls (${sent.length})`;
  if (sent.length === 0) return ['', title, '', 'None was sent.'];
  const cells = sent.map(({ at, resourceId, call, answer, http, requestId }) => [
    at,
    code(resourceId),
    code(call),
    answer,
    http,
    requestId === null ? NO_REQUEST_ID : code(requestId),
  ]);
  return ['', title, '', ...table(CALLS_HEAD, cells)];
}

/** @param rows cells in Markdown: what came from outside is `escaped`, or `code` */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)];
}

/**
 * A person's or a cloud's text can hold anything: it must break no table, and render as text only. What makes no markup
 * where it stands, as an underscore inside a word, stays as it is: people read the source too.
 */
function escaped(text: string): string {
  return oneLine(text)
    .replaceAll(/[\\`*[\]|~]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, String.raw`\$&`)
    .replaceAll(/&(?=#?\w+;)/g, '&amp;')
    .replaceAll('<', '&lt;')
    .replace(/^(?=[#>+-])|(?<=^\d+)(?=[.)](?: |$))/, '\\');
}

/** A code span knows no escapes: what it cannot hold stands as text. */
function code(text: string): string {
  return /[`|]/.test(text) ? escaped(text) : `\`${oneLine(text)}\``;
}

function sentence(text: string): string {
  const [first = '', ...rest] = oneLine(text);
  const line = first.toUpperCase() + rest.join('');
  return line === '' || /[.!?…]$/.test(line) ? line : `${line}.`;
}
