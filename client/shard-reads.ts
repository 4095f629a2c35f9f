/** What the shards of a rollout tell of its upgrades, and what the server knows where they tell nothing. */
import type { Client, WorkflowExecutionDescription, WorkflowExecutionInfo } from '@temporalio/client';
import { childrenOf, mapAtOnce } from '../temporal/reads.js';
import { shardWorkflowId, upgradeWorkflowId } from '../workflows/contracts/ids.js';
import { MESSAGES } from '../workflows/contracts/messages.js';
import { hasBegun } from '../workflows/contracts/outcome.js';
import {
  SHARD_SIZE,
  type RolloutInput,
  type ShardResult,
  type ShardStatus,
  type UpgradeEnd,
} from '../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../workflows/contracts/upgrade.js';
import { partLists } from './inventory.js';
import { keyOfRun, upgradeRuns } from './runs.js';
import { ask, describeRun, endOf, latestRuns } from './server-reads.js';
import { endedIn, type RolloutView, WAVE_OVER } from './views.js';

/** How long the worker of a shard may take to answer. */
const PATIENCE_MS = 4_000;

/** What is known of one upgrade: its end, or the run that may be asked. */
export type Known =
  | { readonly kind: 'ended'; readonly end: UpgradeEnd }
  | { readonly kind: 'started'; readonly runId: string; readonly info?: WorkflowExecutionInfo }
  | { readonly kind: 'waits'; readonly why: string; readonly nextAt: string | null };

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

export async function readShards(
  client: Client,
  run: WorkflowExecutionDescription,
  input: RolloutInput,
): Promise<readonly Shard[]> {
  const { rollout, waves } = input;
  const key = keyOfRun(input, run);
  const lists = await mapAtOnce(waves, (wave) => partLists(client, wave, SHARD_SIZE));
  const planned = lists.flatMap((parts, wave) =>
    parts.map((specs, at) => ({ wave, specs, workflowId: shardWorkflowId(rollout, key, wave + 1, at + 1) })),
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
export async function knownUpgrades(
  client: Client,
  run: WorkflowExecutionDescription,
  input: RolloutInput,
  shards: readonly Shard[],
  view: RolloutView,
): Promise<Map<string, Known>> {
  const known = new Map<string, Known>();
  const untold = untoldWaves(shards, view);
  if (shards.some(({ told, run: shard, wave }) => told === null && (shard !== null || untold.has(wave)))) {
    for (const [workflowId, info] of latestRuns(await upgradeRuns(client, run, input))) {
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

/** Places of the waves whose shards may have begun something that they do not tell any more. */
function untoldWaves(shards: readonly Shard[], { waves }: RolloutView): ReadonlySet<number> {
  const places = waves.flatMap(({ state, counts, total }, at) => {
    if (WAVE_OVER.includes(state)) return hasBegun(counts) || endedIn(counts) < total ? [at] : [];
    if (state !== 'Running') return [];
    // While it runs, shards open one after the other, and tell every end that the rollout has heard of.
    const own = shards.filter(({ wave }) => wave === at);
    const latest = own.findLastIndex(({ run }) => run !== null);
    const ends = own.reduce((sum, { told }) => sum + (told?.ends.length ?? 0), 0);
    return own.slice(0, latest).some(({ run }) => run === null) || endedIn(counts) > ends ? [at] : [];
  });
  return new Set(places);
}

/**
 * Upgrades that were begun, or may have been, by shards that tell nothing any more: as far as the histories that are left do
 * not say otherwise.
 */
export async function begunUpgrades(
  client: Client,
  shards: readonly Shard[],
  view: RolloutView,
): Promise<ReadonlySet<string>> {
  const untold = untoldWaves(shards, view);
  const silent = shards.filter(
    ({ told, run, wave }) => told === null && run?.status.name !== 'RUNNING' && untold.has(wave),
  );
  const opened = await mapAtOnce(view.waves, async ({ workflowId }, at) => {
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
