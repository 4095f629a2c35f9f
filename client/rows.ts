/** Every resource of a rollout and where it stands; and the whole results, for the report. */
import type { Client, WorkflowExecutionDescription, WorkflowExecutionInfo } from '@temporalio/client';
import { wordsOf } from '../workflows/contracts/control.js';
import { FAILURES } from '../workflows/contracts/errors.js';
import { freezeLabel, freezeOf } from '../workflows/contracts/freezes.js';
import { shardWorkflowId, upgradeWorkflowId } from '../workflows/contracts/ids.js';
import { MESSAGES } from '../workflows/contracts/messages.js';
import { hasBegun, tally } from '../workflows/contracts/outcome.js';
import {
  SHARD_SIZE,
  type RolloutInput,
  type ShardResult,
  type ShardStatus,
  type UpgradeEnd,
} from '../workflows/contracts/rollout.js';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import type { AwaitHeartbeat } from '../workflows/contracts/steps.js';
import type { Outcome, Phase, UpgradeResult, UpgradeSpec } from '../workflows/contracts/upgrade.js';
import { describeRollout, rolloutStatus, upgradeRuns } from './rollouts.js';
import { calendarTimes } from './calendar-times.js';
import { callsOf } from './calls.js';
import { freezesDuring, listFreezes } from './freezes.js';
import { partLists } from './inventory.js';
import { carriedOn, childrenOf, inputOf, mapAtOnce } from '../temporal/reads.js';
import { ask, decoded, describeRun, endOf, latestRuns } from './server-reads.js';
import { pendingTimer } from './timers.js';
import {
  endedIn,
  hasEnded,
  isFailed,
  isPending,
  lastEnd,
  type ResourceRow,
  type RolloutReport,
  type RolloutView,
  WAVE_OVER,
  type WaveView,
  withRows,
} from './views.js';

/** How long the worker of a shard may take to answer. */
const PATIENCE_MS = 4_000;
/** The most upgrades in flight that are looked at one by one; of more, the search attribute tells the phase. */
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

/** What is known of one upgrade: its end, or the run that may be asked. */
type Known =
  | { readonly kind: 'ended'; readonly end: UpgradeEnd }
  | { readonly kind: 'started'; readonly runId: string; readonly info?: WorkflowExecutionInfo }
  | { readonly kind: 'waits'; readonly why: string; readonly nextAt: string | null };

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

/**
 * As `rolloutRows`, with what else was read for it: where the rollout stands, counted from them.
 *
 * @throws UnknownRolloutError
 */
export async function readRows(client: Client, rollout: string): Promise<ReadRows & { readonly view: RolloutView }> {
  const run = await describeRollout(client, rollout);
  const input = await inputOf<RolloutInput>(client, run.workflowId, run.runId);
  // Before its shards: what has ended by now they tell as ended.
  const view = await rolloutStatus(client, rollout);
  const shards = await readShards(client, run, input);
  const known = await knownUpgrades(client, run, shards, view);
  const begun = await begunUpgrades(client, shards, view);
  const freezes = hasEnded(view) ? [] : await listFreezes(client, { all: false });
  const rows = input.waves.flatMap(({ name }, at) => {
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
  const looked = await withDetails(client, rows);
  return { ...looked, view: withRows(view, looked.rows) };
}

/**
 * A rollout with the whole result of every upgrade: prechecks, each mutating call and the cloud's request ids.
 *
 * @throws UnknownRolloutError
 */
export async function rolloutReport(client: Client, rollout: string): Promise<RolloutReport> {
  const run = await describeRollout(client, rollout);
  const [{ windows }, { view, rows }, freezes] = await Promise.all([
    inputOf<RolloutInput>(client, run.workflowId, run.runId),
    readRows(client, rollout),
    freezesDuring(client, rollout),
  ]);
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
  const calls = await callsOf(client, run, seen, told);
  const end = lastEnd({ view, rows: seen, results }, Date.now());
  return {
    view,
    rows: seen,
    results,
    calls,
    freezes,
    windows: windows === undefined ? [] : calendarTimes(windows, Date.parse(view.startedAt), end),
  };
}

/** The whole result of an upgrade that has ended; `null` where there is none to read. */
export async function resultOfRow(client: Client, row: ResourceRow): Promise<UpgradeResult | null> {
  return resultOf(client, await followedRun(client, row));
}

/** The run of an upgrade; after a reset the one that goes on in its place; `null` once retention has taken it away. */
async function followedRun(
  client: Client,
  { workflowId, runId }: Pick<ResourceRow, 'workflowId' | 'runId'>,
): Promise<WorkflowExecutionDescription | null> {
  const run = runId === null ? null : await describeRun(client, workflowId, runId);
  // A run that had ended by itself is what the rollout counted, whatever a reset makes of it later.
  return run?.status.name === 'TERMINATED' ? carriedOn(client, run) : run;
}

async function resultOf(client: Client, run: WorkflowExecutionDescription | null): Promise<UpgradeResult | null> {
  if (run === null || run.status.name === 'RUNNING') return null;
  const end = await endOf<UpgradeResult>(client, run.workflowId, run.runId, FAILURES.upgrade);
  return end.kind === 'result' ? end.value : null;
}

/** What a shard tells of its upgrades. */
type ShardTold = Pick<ShardStatus, 'inFlight' | 'ends' | 'waits'>;

interface Shard {
  /** Its wave's place, from 0. */
  readonly wave: number;
  readonly workflowId: string;
  readonly specs: readonly UpgradeSpec[];
  /** `null`: it was not started, or its history is gone. */
  readonly run: WorkflowExecutionDescription | null;
  /** `null` where it tells nothing: it is not there, no worker answers, or it ended without a result. */
  readonly told: ShardTold | null;
}

async function readShards(
  client: Client,
  { runId }: WorkflowExecutionDescription,
  { rollout, waves }: RolloutInput,
): Promise<readonly Shard[]> {
  const lists = await mapAtOnce(waves, (wave) => partLists(client, wave, SHARD_SIZE));
  const planned = lists.flatMap((parts, wave) =>
    parts.map((specs, at) => ({ wave, specs, workflowId: shardWorkflowId(rollout, runId, wave + 1, at + 1) })),
  );
  return mapAtOnce(planned, async (shard) => {
    const run = await describeRun(client, shard.workflowId);
    return { ...shard, run, told: run === null ? null : await shardTold(client, run) };
  });
}

async function shardTold(client: Client, run: WorkflowExecutionDescription): Promise<ShardTold | null> {
  if (run.status.name === 'RUNNING') return ask<ShardStatus>(client, run, MESSAGES.shardStatus, PATIENCE_MS);
  if (run.status.name !== 'COMPLETED') return null;
  const end = await endOf<ShardResult>(client, run.workflowId, run.runId);
  return end.kind === 'result' ? { inFlight: [], ends: end.value.ends } : null;
}

/** What all shards know; what they cannot tell (no worker, terminated, gone) comes from visibility. */
async function knownUpgrades(
  client: Client,
  run: WorkflowExecutionDescription,
  shards: readonly Shard[],
  view: RolloutView,
): Promise<Map<string, Known>> {
  const known = new Map<string, Known>();
  if (
    shards.some(({ told, run: shard, wave }) => told === null && (shard !== null || mayHaveBegun(view.waves[wave])))
  ) {
    for (const [workflowId, info] of latestRuns(await upgradeRuns(client, run))) {
      known.set(workflowId, { kind: 'started', runId: info.runId, info });
    }
  }
  for (const { told } of shards) {
    for (const { workflowId, ...waits } of told?.waits ?? []) known.set(workflowId, { kind: 'waits', ...waits });
    for (const { workflowId, runId } of told?.inFlight ?? []) known.set(workflowId, { kind: 'started', runId });
    for (const end of told?.ends ?? []) known.set(end.workflowId, { kind: 'ended', end });
  }
  return known;
}

/** Whether shards of a wave that is over may have begun something that they do not tell any more. */
function mayHaveBegun(wave: WaveView | undefined): boolean {
  if (wave === undefined || !WAVE_OVER.includes(wave.state)) return false;
  return hasBegun(wave.counts) || endedIn(wave.counts) < wave.total;
}

/**
 * Upgrades of waves that are over that were begun, or may have been, by shards that tell nothing: as far as the histories
 * that are left do not say otherwise.
 */
async function begunUpgrades(
  client: Client,
  shards: readonly Shard[],
  { waves }: RolloutView,
): Promise<ReadonlySet<string>> {
  const silent = shards.filter(
    ({ told, run, wave }) => told === null && run?.status.name !== 'RUNNING' && mayHaveBegun(waves[wave]),
  );
  const opened = await mapAtOnce(waves, async ({ workflowId }, at) => {
    if (!silent.some(({ wave, run }) => wave === at && run === null)) return null;
    const run = await describeRun(client, workflowId);
    return run === null ? null : childrenOf(client, run);
  });
  const begun = await mapAtOnce(silent, async ({ wave, workflowId, specs, run }) => {
    if (run !== null) return [...(await childrenOf(client, run))];
    return opened[wave]?.has(workflowId) === false ? [] : specs.map(({ resource }) => upgradeWorkflowId(resource));
  });
  return new Set(begun.flat());
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

/**
 * How an upgrade that has started stands: its outcome, or `in flight`. `null` while it has not, and where its shard cannot
 * tell.
 */
export async function startedAs(client: Client, shard: string, upgrade: string): Promise<string | null> {
  const run = await describeRun(client, shard);
  const told = run === null ? null : await shardTold(client, run);
  if (told === null) return null;
  const end = told.ends.find(({ workflowId }) => workflowId === upgrade);
  return end?.outcome ?? (told.inFlight.some(({ workflowId }) => workflowId === upgrade) ? 'in flight' : null);
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

/** `null` for one that nobody knows of. */
function rowOf(base: ResourceRow, known: Known | undefined): ResourceRow | null {
  if (known === undefined) return null;
  if (known.kind === 'ended') {
    const { runId, outcome, reason, fromVersion, toVersion } = known.end;
    return { ...base, runId, phase: 'Ended', outcome, reason, from: fromVersion ?? base.from, to: toVersion };
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
async function withDetails(client: Client, rows: readonly ResourceRow[]): Promise<ReadRows> {
  const runs = new Map<string, WorkflowExecutionDescription>();
  let described = 0;
  const chosen = rows.map((row) => {
    const mayGoOn = row.outcome === null || row.outcome === 'Held';
    const lacksReason = isFailed(row.outcome) && row.reason === '';
    const look = row.runId !== null && (mayGoOn || lacksReason) && described < DESCRIBED;
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
    return result === null ? looked : withResult({ ...looked, runId: run.runId }, result);
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

function withResult(row: ResourceRow, result: UpgradeResult): ResourceRow {
  const { outcome, reason, fromVersion, toVersion } = result;
  return { ...row, phase: 'Ended', outcome, reason, from: fromVersion ?? row.from, to: toVersion };
}

function isAwaitHeartbeat(details: unknown): details is AwaitHeartbeat {
  return typeof details === 'object' && details !== null && 'state' in details && 'polls' in details;
}
