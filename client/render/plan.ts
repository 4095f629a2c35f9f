const NOTHING_KEPT_BACK: KeptBack = { freezes: [], quarantined: [] };

/** A prepared plan as a person reads it, and as `-o json` prints it. */
import {
  hasChanges,
  type PreparedPlan,
  type PreparedTarget,
  type PreparedWave,
  refusals,
  type Verdict,
} from '../../activities/planner.js';
import { type Approval, peopleLabel } from '../../workflows/contracts/control.js';
import type { Resolved } from '../../plan/budget.js';
import { span, type SoakPlan } from '../../workflows/contracts/soak.js';
import { type PlannedWave, type RolloutPlan, roughly } from '../../plan/plan.js';
import { calendarViews } from '../calendars.js';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { quarantineLabel } from '../../workflows/contracts/quarantine.js';
import { heldLabel, type KeptBack } from '../views.js';
import { localTime } from './calendar.js';
import type { UpgradeForecast } from '../../forecast/forecast.js';
import type { RolloutForecast } from '../forecast.js';
import { renderForecast, upgradeCell } from './forecast.js';
import type { Paint } from './paint.js';
import { type Column, renderTable, renderTables } from './table.js';
import { count, fromTo, oneLine, percentOf } from './text.js';

const VERDICTS: readonly { readonly verdict: Verdict; readonly says: string }[] = [
  { verdict: 'upgrade', says: 'to upgrade' },
  { verdict: 'running', says: 'running already, to be adopted' },
  { verdict: 'busy', says: 'busy, to be waited for' },
  { verdict: 'no-change', says: 'at target' },
  { verdict: 'blocked', says: 'blocked' },
  { verdict: 'error', says: 'wrong' },
];

export function renderPlan(
  prepared: PreparedPlan,
  width: number,
  paint: Paint,
  forecast: RolloutForecast | null = null,
  kept: KeptBack = NOTHING_KEPT_BACK,
): string {
  const { plan, waves } = prepared;
  const targets = targetsOf(prepared);
  const tables = renderTables(
    forecast === null ? COLUMNS : [...COLUMNS.slice(0, -1), EXPECTED, ...COLUMNS.slice(-1)],
    waves.map((wave, at) => waveRows(wave, paint, forecast, at)),
    width,
    paint,
  );
  return [
    `${paint.bold(plan.rollout)}  ${paint.dim(plan.file)}`,
    `${summary(prepared)}.`,
    `Failure budget: ${budgetLine(prepared)}.`,
    ...(plan.minSuccess === null ? [] : [`${minSuccessLine(plan.minSuccess, targets.length)}.`]),
    ...(plan.approval === null ? [] : [`It begins when ${approvalWords(plan.approval)}.`]),
    ...openings(plan),
    ...kept.freezes.map((one) => paint.yellow(`${heldLabel(one)}.`)),
    ...kept.quarantined.map((one) => paint.yellow(`Left out: ${one.resource}, ${quarantineLabel(one.failing)}.`)),
    ...(forecast === null ? [] : renderForecast(forecast, width, paint)),
    ...waves.flatMap((wave, at) => ['', waveTitle(wave, paint), ...bindings(plan.waves[at]), tables[at] ?? '']),
    ...checks(targets, width, paint),
    ...calls(targets, paint),
    '',
    ending(prepared, paint, kept),
  ].join('\n');
}

/** `20 to upgrade, 4 at target, 1 blocked` */
function summary({ counts }: PreparedPlan): string {
  return VERDICTS.flatMap(({ verdict, says }) => (counts[verdict] > 0 ? [`${counts[verdict]} ${says}`] : [])).join(
    ', ',
  );
}

/** Both the number and the share, since one of them is always the surprising one. */
function budgetLine(prepared: PreparedPlan): string {
  const { budget, budgetShown } = prepared.plan;
  const total = targetsOf(prepared).length;
  const given = budgetShown === String(budget.max) ? '' : `, given as ${budgetShown}`;
  const first = budget.max === 0 ? 'none of' : `${budget.max} of`;
  const stops = budget.max === 0 ? 'the first failure' : `failure ${budget.max + 1}`;
  const charged = budget.counts === undefined ? '' : `; charged are failures in ${budget.counts.join(', ')}`;
  return `${first} ${total} may fail (${percentOf(budget.max, total)}${given}), ${budget.mode}; ${stops} stops the rollout${charged}`;
}

/** As the budget: number and share. */
function minSuccessLine({ count: least, shown }: Resolved, total: number): string {
  const given = shown === String(least) ? '' : `, given as ${shown}`;
  return `Least success: ${least} of ${total} have to reach their targets (${percentOf(least, total)}${given}), or the rollout has failed`;
}

/** When submits may go out; the rest is `uplift calendar`. */
function openings(plan: RolloutPlan): string[] {
  return calendarViews(plan, Date.now(), NEXT_OPENINGS).map(({ title, zone, state, openings: next }) => {
    const times = next.map(({ opens, closes }) => {
      const ends = closes === null ? 'with no end in sight' : `until ${localTime(closes, zone)}`;
      return opens === null || opens <= state.at ? `now ${ends}` : `${localTime(opens, zone)} ${ends}`;
    });
    return `Submits for ${title}: ${times.length === 0 ? `never: ${state.reason}` : times.join('; ')}.`;
  });
}

function waveTitle({ name, targets, concurrency, shown, effective }: PreparedWave, paint: Paint): string {
  const share = shown === null ? '' : ` (${shown})`;
  const limit =
    effective.cause === null
      ? `${concurrency} at a time`
      : `${effective.concurrency} at a time instead of ${concurrency}: ${effective.cause}, about ${roughly(effective.takesMs)} instead of ${roughly(effective.askedMs)}`;
  return `${paint.bold(`Wave ${name}`)}  ${count(targets.length, 'resource')}${share}, ${limit}`;
}

const NEXT_OPENINGS = 3;

/** Lines that a list of groups or waits may take; the rest is counted. */
const LISTED = 8;

/** What binds the targets of a wave besides its concurrency. */
function bindings(wave: PlannedWave | undefined): string[] {
  if (wave === undefined) return [];
  const { limits, maxFailures, approval, soak, targets } = wave;
  const limited = Object.entries(limits).map(([name, limit]) => `${limit} in ${name.replace(':', ' ')}`);
  const groups = new Map<string, { members: number; max: number }>();
  const waits = new Map<string, number>();
  for (const { name, resource, relations } of targets) {
    for (const [group, max] of Object.entries(relations.groups)) {
      groups.set(group, { members: (groups.get(group)?.members ?? 0) + 1, max });
    }
    if (relations.after.length > 0) {
      const words = `${name ?? resource.id} after ${relations.after.join(', ')}`;
      waits.set(words, (waits.get(words) ?? 0) + 1);
    }
  }
  const lines = [
    ...(limited.length === 0 ? [] : [`At most ${limited.join(', ')}`]),
    ...(maxFailures === null ? [] : [`Failure budget of its own: ${maxFailures.shown}`]),
    ...(approval === null ? [] : [`Begins when ${approvalWords(approval)}`]),
    ...(soak === null ? [] : [`Followed by a soak: ${soakWords(soak)}`]),
    ...cutList([...groups].map(([name, { members, max }]) => `Group ${name}: ${max} of ${members} at a time`)),
    ...cutList([...waits].map(([words, many]) => (many === 1 ? words : `${words} (${many} targets)`))),
  ];
  return lines.map((line) => `  ${line}`);
}

function approvalWords({ quorum, approvers, roles, expiresAfterMs }: Approval): string {
  return `${quorum} of ${peopleLabel(approvers, roles)} ${quorum === 1 ? 'has' : 'have'} approved, within ${roughly(expiresAfterMs)}`;
}

function soakWords({ forMs, everyMs, health, http }: SoakPlan): string {
  const probes = [
    ...(health === undefined ? [] : [`the health of up to ${count(health.sample, 'resource')} in turn`]),
    ...(http === undefined ? [] : [`GET ${http.url}`]),
  ];
  return `${span(forMs)} healthy, probed every ${span(everyMs)} by ${probes.join(' and ')}`;
}

function cutList(lines: readonly string[]): string[] {
  return lines.length <= LISTED ? [...lines] : [...lines.slice(0, LISTED), `… and ${lines.length - LISTED} more`];
}

/** From this width on each column stands by itself. */
const WIDE = 100;

const COLUMNS: readonly Column[] = [
  { head: 'resource', id: true },
  { head: 'name', id: true, fromWidth: WIDE },
  { head: 'service' },
  { head: 'from → to', wraps: true },
  { head: 'verdict' },
  { head: 'reason', wraps: true },
];

/** `22:00 – 22:45 … 23:05`: its start, and its end by P50 and P90. */
const EXPECTED: Column = { head: 'expected', fromWidth: 140 };

function waveRows(wave: PreparedWave, paint: Paint, forecast: RolloutForecast | null, at: number): string[][] {
  const expected = new Map(forecast?.waves[at]?.upgrades.map((upgrade) => [upgrade.workflowId, upgrade]));
  return wave.targets.map((target) => [
    target.resource.id,
    target.name ?? '',
    target.resource.service,
    fromTo(target.from, target.to),
    verdictColor(target.verdict, paint)(target.verdict),
    ...(forecast === null ? [] : [expectedCell(expected.get(upgradeWorkflowId(target.resource)), forecast.zone)]),
    reasonOf(target),
  ]);
}

function expectedCell(upgrade: UpgradeForecast | undefined, zone: string): string {
  return upgrade === undefined ? '' : upgradeCell(upgrade, zone);
}

/** Of what is simply upgraded the version stands beside it already. */
function reasonOf({ verdict, standing, status, reason }: PreparedTarget): string {
  if (verdict !== 'upgrade') return oneLine(reason);
  return `${standing === 'partly' ? 'partly at its target, ' : ''}status ${status ?? '?'}`;
}

/** The provider's own checks: each with its status, and what it found. Those that passed share a line. */
function checks(targets: readonly PreparedTarget[], width: number, paint: Paint): string[] {
  const rows = targets.flatMap(({ resource, findings }) => {
    const passed = findings.filter(({ status, problems }) => status === 'success' && problems.length === 0);
    const others = findings.filter((finding) => !passed.includes(finding));
    return [
      ...others.flatMap(({ check, status, problems }) => {
        const word = status === 'success' ? paint.green(status) : paint.red(status);
        const found = problems.length === 0 ? [{ type: '', code: '', message: '' }] : problems;
        return found.map(({ type, code, message }) => [resource.id, word, check, type, code, oneLine(message)]);
      }),
      ...(passed.length === 0
        ? []
        : [[resource.id, paint.green('success'), passed.map(({ check }) => check).join(', '), '', '', '']]),
    ];
  });
  if (rows.length === 0) return [];
  const hasProblems = rows.some(([, , , ...problem]) => problem.some((cell) => cell !== ''));
  const inOne = width < WIDE;
  const problemColumns = inOne
    ? [{ head: 'errorType, -Code, -Msg', wraps: true }]
    : [{ head: 'errorType' }, { head: 'errorCode' }, { head: 'errorMsg', wraps: true }];
  const columns: Column[] = [
    { head: 'resource', id: true },
    { head: 'status' },
    { head: 'validateType', wraps: true },
    ...(hasProblems ? problemColumns : []),
  ];
  const cells = inOne
    ? rows.map(([id = '', status = '', check = '', ...problem]) => [id, status, check, problem.join(' ')])
    : rows;
  const shown = cells.map((row) => row.slice(0, columns.length));
  return [
    '',
    paint.bold('Checks: the dry run, and what else the provider offers'),
    renderTable(columns, shown, width, paint),
  ];
}

/** Whole, on one line each: this is what somebody approves. */
function calls(targets: readonly PreparedTarget[], paint: Paint): string[] {
  const lines = targets.flatMap(({ call, verdict }) =>
    call === null || verdict === 'blocked' || verdict === 'error'
      ? []
      : [`  ${call.method} ${call.path}  ${JSON.stringify(call.body)}`],
  );
  const title = `Mutating calls that would follow (${lines.length})`;
  return ['', paint.bold(title), ...(lines.length === 0 ? ['  none'] : lines)];
}

function ending(prepared: PreparedPlan, paint: Paint, { quarantined }: KeptBack): string {
  const { counts, plan, digest } = prepared;
  const wrong = refusals(prepared, quarantined).length;
  if (wrong > 0) return paint.red(`${count(wrong, 'target')} cannot be upgraded as planned: nothing can be applied.`);
  return hasChanges({ counts })
    ? `Nothing was changed. \`uplift apply ${plan.file} --digest ${digest.slice(0, 12)}\` would start exactly this.`
    : paint.green('Every resource is at its target: nothing to do.');
}

/** `-o json` of `plan`. */
export function planJson(
  prepared: PreparedPlan,
  forecast: RolloutForecast | null = null,
  kept: KeptBack = NOTHING_KEPT_BACK,
) {
  const { plan, waves, counts } = prepared;
  const total = targetsOf(prepared).length;
  return {
    version: 1,
    rollout: plan.rollout,
    file: plan.file,
    digest: prepared.digest,
    changes: hasChanges(prepared),
    counts,
    budget: { ...plan.budget, shown: plan.budgetShown, percent: total === 0 ? 0 : (100 * plan.budget.max) / total },
    minSuccess: plan.minSuccess,
    approval: plan.approval,
    accountLimits: plan.accountLimits,
    timeScale: plan.timeScale,
    windows: plan.windows === null ? null : { ...plan.windows, calendars: calendarsJson(plan) },
    freezes: kept.freezes,
    quarantined: kept.quarantined,
    notes: plan.notes,
    forecast,
    waves: waves.map(({ name, concurrency, shown, effective, limits, maxFailures, approval, soak, targets }, at) => ({
      name,
      concurrency,
      shown,
      effective,
      limits,
      maxFailures,
      approval,
      soak,
      targets: targets.map((target, index) => ({ ...target, ...plan.waves[at]?.targets[index]?.relations })),
    })),
  };
}

function calendarsJson(plan: RolloutPlan) {
  return calendarViews(plan, Date.now(), NEXT_OPENINGS).map(({ title, zone, state, openings: next, notes }) => ({
    for: title,
    zone,
    ...state,
    openings: next,
    notes,
  }));
}

function targetsOf({ waves }: PreparedPlan): PreparedTarget[] {
  return waves.flatMap(({ targets }) => targets);
}

function verdictColor(verdict: Verdict, paint: Paint): (text: string) => string {
  switch (verdict) {
    case 'upgrade':
      return paint.cyan;
    case 'no-change':
      return paint.green;
    case 'running':
    case 'busy':
      return paint.yellow;
    case 'blocked':
    case 'error':
      return paint.red;
  }
}
