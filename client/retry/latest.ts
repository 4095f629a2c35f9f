/** What a retry knows beyond its parent: what that tried again itself, and what has become of resources since. */
import type { Client } from '@temporalio/client';
import { inputOf, isNotFound, mapAtOnce } from '../../temporal/reads.js';
import { rolloutWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import type { RolloutInput } from '../../workflows/contracts/rollout.js';
import type { UpgradeInput, UpgradeResult, UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { upgradesOf } from '../inventory.js';
import { resultOfRow } from '../rows.js';
import { describeRun } from '../server-reads.js';
import type { ResourceRow } from '../views.js';
import { triedIn } from './others.js';

/** An upgrade that is later than the one that a rollout had. */
export interface Later {
  /** Of the rollout that is tried again in the end, or of a retry of it. */
  readonly isOwn: boolean;
  /** What it was started with. */
  readonly input: Pick<UpgradeInput, 'rollout' | 'spec'> | undefined;
  readonly isRunning: boolean;
  /** `null` while it runs, and where it ended without one. */
  readonly result: UpgradeResult | null;
}

/** What a rollout tries to bring to its targets, be it a retry or not. */
export interface Origin {
  /** With the plan's own limits. */
  readonly specs: readonly UpgradeSpec[];
  readonly begunAt: Date;
}

/**
 * Of the first of a rollout's ancestors that the server still knows; of one that is no retry, its own.
 *
 * @throws the server's error
 */
export async function originOf(client: Client, { retryOf }: RolloutInput, own: Origin): Promise<Origin> {
  if (retryOf === undefined) return own;
  try {
    const run = await client.workflow.getHandle(rolloutWorkflowId(retryOf.rollout), retryOf.runId).describe();
    const input = await inputOf<RolloutInput>(client, run.workflowId, run.runId);
    const lists = await mapAtOnce(input.waves, (wave) => upgradesOf(client, wave));
    return await originOf(client, input, { specs: lists.flat(), begunAt: run.startTime });
  } catch (error) {
    if (isNotFound(error)) return own;
    throw error;
  }
}

/**
 * By workflow id: the latest upgrade of each resource that has a later one than its row tells.
 *
 * @param of the rollout that is tried again in the end, and when it began: what was before that, its plan knew
 * @throws the server's error
 */
export async function latestOf(
  client: Client,
  specs: readonly UpgradeSpec[],
  rowOf: (spec: UpgradeSpec) => Pick<ResourceRow, 'runId'> | undefined,
  of: { readonly rollout: string; readonly begunAt: Date },
): Promise<ReadonlyMap<string, Later>> {
  const each = new Map(specs.map((spec) => [upgradeWorkflowId(spec.resource), spec]));
  const found = await mapAtOnce([...each], async ([workflowId, spec]): Promise<[string, Later][]> => {
    const run = await describeRun(client, workflowId);
    if (run === null || run.runId === rowOf(spec)?.runId || run.startTime < of.begunAt) return [];
    const isRunning = run.closeTime == null;
    const input = await inputOf<UpgradeInput | undefined>(client, workflowId, run.runId);
    const isOwn = input !== undefined && triedIn(input.rollout) === of.rollout;
    return [[workflowId, { isOwn, input, isRunning, result: isRunning ? null : await resultOfRow(client, run) }]];
  });
  return new Map(found.flat());
}
