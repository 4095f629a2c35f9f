/** Every resource of a rollout and where it stands; and the whole results, for the report. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { wordsOf } from '../workflows/contracts/control.js';
import { FAILURES } from '../workflows/contracts/errors.js';
import { freezeLabel, freezeOf } from '../workflows/contracts/freezes.js';
import { upgradeWorkflowId } from '../workflows/contracts/ids.js';
import { tally } from '../workflows/contracts/outcome.js';
import type { RolloutInput } from '../workflows/contracts/rollout.js';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import type { AwaitHeartbeat } from '../workflows/contracts/steps.js';
import type { Outcome, Phase, UpgradeResult, UpgradeSpec } from '../workflows/contracts/upgrade.js';
import { statusOf } from './rollouts.js';
import { describeRollout, resetTo } from './runs.js';
import { calendarTimes } from './calendar-times.js';
import { callsOf } from './calls.js';
import { freezesDuring, listFreezes } from './freezes.js';
import { inputOf, mapAtOnce } from '../temporal/reads.js';
import { decoded, describeRun, endOf } from './server-reads.js';
import { begunUpgrades, type Known, knownUpgrades, readShards } from './shard-reads.js';
import { pendingTimer } from './timers.js';
import {
  hasEnded,
  isFailed,
  isPending,
  lastEnd,
  type ResourceRow,
  type RolloutReport,
  type RolloutView,
  skipTitle,
  withRows,
} from './views.js';

/** The most upgrades that are looked at one by one to show them; of more, search attributes tell the phase or the outcome. */
const DESCRIBED = 100;
/** Of an upgrade that was begun, or may have been, and of which the server knows nothing any more. */
const GONE = {
  phase: 'Ended',
  reason: 'its history is no longer on the server: retention is over, or it was deleted',
  gone: true,
} as const;

/** The step that an activity is. */
const PHASE_OF: Readonly<Record<string, Phase>> = {
  precheck: 'Precheck',
  submit: 'Submit',
  awaitOperation: 'Await',
  verify: 'Verify',
};

/**
 * Every resource of the latest run's plan, in the plan's order. Works while it runs, after its end, after it was
 * terminated, and without a worker: then from visibility, about a second behind.
 *
 * @throws UnknownRolloutError
 */
export async function rolloutRows(client: Client, rollout: string): Promise<readonly ResourceRow[]> {
  return (await readRows(client, rollout)).rows;
}

export interface ReadRows {
  readonly rows: readonly ResourceRow[];
  /** What the server told of upgrades in flight, as far as they were looked at; by workflow id. */
  readonly runs: ReadonlyMap<string, WorkflowExecutionDescription>;
}

/** With what else was read for them. */
export interface ReadRollout extends ReadRows {
  readonly run: WorkflowExecutionDescription;
  readonly input: RolloutInput;
  /** Where it stands, counted from the rows. */
  readonly view: RolloutView;
}

/**
 * As `rolloutRows`, with what else was read for it.
 *
 * @param of `run`: the end of an earlier run's id; `whole`: of a rollout that has ended, look at every upgrade whose end
 *   only visibility tells, however many they are
 * @throws UnknownRolloutError; UnknownRunError
 */
export async function readRows(
  client: Client,
  rollout: string,
  of: { readonly run?: string | undefined; readonly whole?: boolean } = {},
): Promise<ReadRollout> {
  const run = await describeRollout(client, rollout, of.run);
  const input = await inputOf<RolloutInput>(client, run.workflowId, run.runId);
  // Before its shards: what has ended by now they tell as ended.
  const view = await statusOf(client, run, input);
  const shards = await readShards(client, run, input);
  const known = await knownUpgrades(client, run, input, shards, view);
  const begun = await begunUpgrades(client, shards, view);
  const freezes = hasEnded(view) ? [] : await listFreezes(client, { all: false });
  const found = input.waves.flatMap(({ name }, at) => {
    const ofWave = shards
      .filter(({ wave }) => wave === at)
      .flatMap(({ specs, run: shard }) => {
        const unknown = leftOut(view, at, shard !== null);
        return specs.map((spec) => {
          const base = baseRow(name, at + 1, spec);
          const untold = begun.has(base.workflowId) ? GONE : unknown;
          const row = rowOf(base, known.get(base.workflowId)) ?? { ...base, ...untold };
          const { resource, tags = {} } = spec;
          const freeze = isPending(row) ? freezeOf(freezes, { resource, rollout, tags }) : null;
          return freeze === null ? row : { ...row, freeze, reason: freezeLabel(freeze), nextAt: freeze.until };
        });
      });
    return withRest(ofWave, view, at);
  });
  const looked = await withDetails(
    client,
    withSkips(found, view),
    of.whole === true && hasEnded(view) ? Infinity : DESCRIBED,
  );
  return { ...looked, run, input, view: withRows(view, looked.rows) };
}

/**
 * A rollout with the whole result of every upgrade: prechecks, each mutating call and the cloud's request ids.
 *
 * @param run the end of an earlier run's id; without it, of the latest
 * @throws UnknownRolloutError; UnknownRunError
 */
export async function rolloutReport(client: Client, rollout: string, run?: string): Promise<RolloutReport> {
  const { run: rolloutRun, input, view, rows } = await readRows(client, rollout, { run });
  const freezes = await freezesDuring(client, rolloutRun, input);
  const read = await mapAtOnce(rows, async (row) => {
    if (row.outcome === null || row.runId === null) return { row, result: null };
    const run = await followedRun(client, row);
    return {
      row: run === null ? { ...row, gone: true as const } : { ...row, runId: run.runId },
      result: await resultOf(client, run),
    };
  });
  const seen = read.map(({ row }) => row);
  const results = read.flatMap(({ result }) => result ?? []);
  const told = new Map(
    read.flatMap(({ row, result }) => (result === null ? [] : [[row.runId, result.calls] as const])),
  );
  const calls = await callsOf(client, rolloutRun, input, seen, told);
  const end = lastEnd({ view, rows: seen, results }, Date.now());
  return {
    view,
    rows: seen,
    results,
    calls,
    freezes,
    windows: input.windows === undefined ? [] : calendarTimes(input.windows, Date.parse(view.startedAt), end),
  };
}

/** The whole result of an upgrade that has ended; `null` where there is none to read. */
export async function resultOfRow(
  client: Client,
  row: Pick<ResourceRow, 'workflowId' | 'runId'>,
): Promise<UpgradeResult | null> {
  return resultOf(client, await followedRun(client, row));
}

/** The run of an upgrade; after a reset the one that goes on in its place; `null` once retention has taken it away. */
async function followedRun(
  client: Client,
  { workflowId, runId }: Pick<ResourceRow, 'workflowId' | 'runId'>,
): Promise<WorkflowExecutionDescription | null> {
  const run = runId === null ? null : await describeRun(client, workflowId, runId);
  // A run that had ended by itself is what the rollout counted, whatever a reset makes of it later.
  return run?.status.name === 'TERMINATED' ? resetTo(client, run) : run;
}

async function resultOf(client: Client, run: WorkflowExecutionDescription | null): Promise<UpgradeResult | null> {
  if (run === null || run.status.name === 'RUNNING') return null;
  const end = await endOf<UpgradeResult>(client, run.workflowId, run.runId, FAILURES.upgrade);
  return end.kind === 'result' ? end.value : null;
}

/** Of those whose histories are gone: what the wave had counted, where that leaves but one outcome for them. */
function withRest(rows: readonly ResourceRow[], view: RolloutView, at: number): readonly ResourceRow[] {
  const gone = rows.filter((row) => row.gone === true);
  const known = tally(rows.flatMap(({ outcome }) => outcome ?? []));
  const rest = (Object.entries(view.waves[at]?.counts ?? {}) as [Outcome, number][])
    .map(([outcome, count]) => ({ outcome, count: count - (known[outcome] ?? 0) }))
    .filter(({ count }) => count > 0);
  const [only] = rest;
  if (only === undefined || rest.length > 1 || only.count < gone.length) return rows;
  const left = leftOut(view, at, false);
  return rows.map((row) => {
    if (row.gone !== true) return row;
    const { gone: _begun, ...bare } = row;
    return left.outcome === only.outcome ? { ...bare, ...left } : { ...row, outcome: only.outcome };
  });
}

function baseRow(wave: string, waveIndex: number, { resource, targetLabel, plannedFrom }: UpgradeSpec): ResourceRow {
  return {
    wave,
    waveIndex,
    resourceId: resource.id,
    account: resource.account,
    cloud: resource.cloud,
    service: resource.service,
    region: resource.region,
    workflowId: upgradeWorkflowId(resource),
    runId: null,
    startedAt: null,
    phase: 'Pending',
    outcome: null,
    reason: '',
    from: plannedFrom,
    to: null,
    target: targetLabel,
    percent: null,
    await: null,
    nextAt: null,
  };
}

/**
 * What became of a wave's upgrades that no shard knows: a person left them out, or the rollout ended first. Nothing as long
 * as their turn may come; a shard that is open tells by itself what is left out of it.
 */
function leftOut(
  view: RolloutView,
  at: number,
  isOpen: boolean,
): Partial<Pick<ResourceRow, 'phase' | 'outcome' | 'reason'>> {
  const { name, state, counts } = view.waves[at] ?? { name: '', state: 'NotStarted', counts: {} };
  const skip = view.acts.findLast(({ act, what }) => act === 'skip' && what === `wave ${name}`);
  const isRestSkipped = skip !== undefined && (state === 'Running' ? !isOpen : (counts.Skipped ?? 0) > 0);
  if (state !== 'Skipped' && !isRestSkipped) {
    if (!hasEnded(view)) return {};
    return { phase: 'Ended', outcome: 'NotStarted', reason: 'the rollout ended before its turn' };
  }
  // Of very many acts not all are told.
  return {
    phase: 'Ended',
    outcome: 'Skipped',
    reason: skip === undefined ? `wave ${name} was skipped` : wordsOf(skip),
  };
}

/** What people have left out one by one is told at once, as what is left of a wave is: the turn of its wave may be far. */
function withSkips(rows: readonly ResourceRow[], { acts }: RolloutView): readonly ResourceRow[] {
  const skips = new Map(acts.flatMap((one) => (one.act === 'skip' ? [[one.what, one] as const] : [])));
  if (skips.size === 0) return rows;
  const titles = tallied(rows.map(({ resourceId }) => skipTitle(resourceId)));
  return rows.map((row) => {
    const title = skipTitle(row.resourceId);
    const skip = isPending(row) ? skips.get(title) : undefined;
    // Of two services' resources with one id an act does not say which it meant.
    if (skip === undefined || titles.get(title) !== 1) return row;
    const { freeze: _freeze, ...bare } = row;
    return { ...bare, phase: 'Ended', outcome: 'Skipped', reason: wordsOf(skip), nextAt: null };
  });
}

function tallied(all: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const one of all) counts.set(one, (counts.get(one) ?? 0) + 1);
  return counts;
}

/** `null` for one that nobody knows of. */
function rowOf(base: ResourceRow, known: Known | undefined): ResourceRow | null {
  if (known === undefined) return null;
  if (known.kind === 'ended') {
    const { runId } = known.end;
    return withEnd({ ...base, runId }, known.end);
  }
  if (known.kind === 'waits') return { ...base, reason: known.why, nextAt: known.nextAt };
  const { runId, info } = known;
  if (info === undefined || info.status.name === 'RUNNING') {
    const phase = info?.typedSearchAttributes.get(ATTRIBUTES.phase) as Phase | undefined;
    return { ...base, runId, phase: phase ?? 'Precheck' };
  }
  const outcome = info.typedSearchAttributes.get(ATTRIBUTES.outcome) as Outcome | undefined;
  return outcome === undefined
    ? // As its shard would have judged it: nobody knows here what the cloud does.
      { ...base, runId, phase: 'Ended', outcome: 'Held', reason: `its workflow was ${info.status.name.toLowerCase()}` }
    : { ...base, runId, phase: 'Ended', outcome };
}

/** Looks at what runs, or goes on after a reset, and reads the reasons that visibility does not have. */
async function withDetails(client: Client, rows: readonly ResourceRow[], most: number): Promise<ReadRows> {
  const runs = new Map<string, WorkflowExecutionDescription>();
  let described = 0;
  const chosen = rows.map((row) => {
    const mayGoOn = row.outcome === null || row.outcome === 'Held';
    const lacksReason = isFailed(row.outcome) && row.reason === '';
    const look = row.runId !== null && (mayGoOn || lacksReason) && described < most;
    if (look) described += 1;
    return { row, look };
  });
  const detailedRows = await mapAtOnce(chosen, async ({ row, look }) => {
    const run = look ? await followedRun(client, row) : null;
    if (run === null) return row;
    runs.set(row.workflowId, run);
    return detailed(client, row, run);
  });
  return { rows: detailedRows, runs };
}

async function detailed(client: Client, looked: ResourceRow, run: WorkflowExecutionDescription): Promise<ResourceRow> {
  if (run.status.name !== 'RUNNING') {
    // It ended between its shard's answer and this look, visibility has told its end without a reason, or it was reset.
    const result = await resultOf(client, run);
    return result === null ? looked : withEnd({ ...looked, runId: run.runId }, result);
  }
  const open = { outcome: null, reason: '', runId: run.runId, startedAt: run.startTime.toISOString() };
  const row = { ...looked, ...open };
  const pending = run.raw.pendingActivities?.[0];
  const phase = (run.typedSearchAttributes.get(ATTRIBUTES.phase) as Phase | undefined) ?? 'Precheck';
  if (pending === undefined) {
    const timer = await pendingTimer(client, row);
    return { ...row, phase, reason: timer?.why ?? row.reason };
  }

  const step = PHASE_OF[pending.activityType?.name ?? ''] ?? phase;
  const failure = pending.lastFailure?.message;
  const tries = (pending.attempt ?? 1) > 1 && failure ? `attempt ${pending.attempt}: ${failure}` : '';
  const beat = await decoded(client, pending.heartbeatDetails?.payloads);
  // An overdue or held upgrade goes through the same activities: what a person has to know comes first.
  const shown = phase === 'Held' || (step === 'Await' && (phase === 'Overdue' || phase === 'Stuck')) ? phase : step;
  if (!isAwaitHeartbeat(beat)) return { ...row, phase: shown, reason: tries };
  return { ...row, phase: shown, reason: tries === '' ? beat.state : tries, percent: beat.percent, await: beat };
}

type End = Pick<UpgradeResult, 'outcome' | 'reason' | 'fromVersion' | 'toVersion' | 'unwell'>;

function withEnd(row: ResourceRow, { outcome, reason, fromVersion, toVersion, unwell }: End): ResourceRow {
  const end = { ...row, phase: 'Ended', outcome, reason, from: fromVersion ?? row.from, to: toVersion } as const;
  return unwell === true ? { ...end, unwell } : end;
}

function isAwaitHeartbeat(details: unknown): details is AwaitHeartbeat {
  return typeof details === 'object' && details !== null && 'state' in details && 'polls' in details;
}
