/** A rollout's inventory on the server: kept in parts, so that no payload grows with the number of resources. */
import { randomBytes } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { inShards, partedGroups } from '../plan/shards.js';
import { inputOf } from '../temporal/reads.js';
import { inventoryWorkflowId } from '../workflows/contracts/ids.js';
import { QUEUES } from '../workflows/contracts/queues.js';
import {
  SHARD_SIZE,
  type InventoryInput,
  type RolloutInput,
  type WavePart,
  type WavePlan,
} from '../workflows/contracts/rollout.js';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import type { UpgradeSpec } from '../workflows/contracts/upgrade.js';
import { drawn, drawsOf, limitsOf } from '../workflows/limits.js';
import { mapAtOnce } from './server-reads.js';

/** A rollout that was terminated releases nothing; then this ends what it left. */
const KEPT_AT_MOST = '365 days';

/**
 * Puts the upgrades of a rollout that is about to start where any worker can read them: into the inputs of workflows,
 * one for each shard. The rollout's own input then holds references.
 *
 * @param size of a shard; smaller ones are for tests
 */
export async function keepInventory(client: Client, input: RolloutInput, size = SHARD_SIZE): Promise<RolloutInput> {
  const key = randomBytes(4).toString('hex');
  const planned = input.waves.map((wave) => {
    const shards = inShards(wave.upgrades ?? [], size);
    const parted = Object.entries(partedGroups(shards)).map(([name, max]) => [`group:${name}`, max] as const);
    const provides = [...new Set((wave.upgrades ?? []).flatMap((one) => one.provides ?? []))];
    const limits = { ...wave.limits, ...Object.fromEntries(parted) };
    return { wave: { ...wave, limits, ...(provides.length === 0 ? {} : { provides }) }, shards };
  });
  const cuts = planned.flatMap(({ wave, shards }, at) => shards.map((upgrades) => ({ at, wave, upgrades })));
  const parts = await mapAtOnce(cuts, async ({ wave, upgrades }, number): Promise<WavePart> => {
    const workflowId = inventoryWorkflowId(input.rollout, key, number + 1);
    const kept: InventoryInput = { rollout: input.rollout, wave: wave.name, upgrades };
    const { firstExecutionRunId } = await client.workflow.start('inventory', {
      workflowId,
      taskQueue: QUEUES.main,
      args: [kept],
      workflowExecutionTimeout: KEPT_AT_MOST,
      staticSummary: `${wave.name}: the list of ${upgrades.length} upgrades`,
      typedSearchAttributes: [{ key: ATTRIBUTES.rollout, value: input.rollout }],
    });
    const limits = limitsOf({ ...input, ...wave, failuresLeft: input.budget.max, mode: input.budget.mode });
    const drawing = upgrades.map((spec) => ({ draws: drawsOf(spec) }));
    const inventory = { workflowId, runId: firstExecutionRunId };
    return { inventory, total: upgrades.length, draws: drawn(Object.keys(limits), drawing) };
  });
  const waves = planned.map(({ wave }, wanted) => ({
    ...wave,
    upgrades: undefined,
    parts: parts.filter((_part, number) => cuts[number]?.at === wanted),
  }));
  return { ...input, waves };
}

/** Of a rollout that could not be started. */
export async function dropInventory(client: Client, input: RolloutInput): Promise<void> {
  await mapAtOnce(
    input.waves.flatMap(({ parts }) => parts ?? []),
    ({ inventory: { workflowId, runId } }) =>
      client.workflow.getHandle(workflowId, runId).terminate('its rollout was not started'),
  );
}

/** Parts never change: a watch reads each once. */
const seen = new Map<string, Promise<readonly UpgradeSpec[]>>();

/** The upgrades of a wave, in their order. Needs no worker. */
export async function upgradesOf(client: Client, wave: WavePlan): Promise<readonly UpgradeSpec[]> {
  return (await partLists(client, wave, Infinity)).flat();
}

/** The upgrades of each shard of a wave. `size` is that of a shard, where the wave's list came with its input. */
export async function partLists(client: Client, wave: WavePlan, size: number): Promise<(readonly UpgradeSpec[])[]> {
  const { upgrades } = wave;
  if (upgrades !== undefined) {
    const starts = Array.from({ length: Math.ceil(upgrades.length / size) || 1 }, (_, part) => part * size || 0);
    return starts.map((start) => upgrades.slice(start, start + size));
  }
  return mapAtOnce(wave.parts ?? [], ({ inventory: { workflowId, runId } }) => {
    const known = seen.get(runId) ?? inputOf<InventoryInput>(client, workflowId, runId).then((kept) => kept.upgrades);
    seen.set(runId, known);
    known.catch(() => seen.delete(runId));
    return known;
  });
}
