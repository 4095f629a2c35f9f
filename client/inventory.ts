/** A rollout's inventory, as the server keeps it. */
import type { Client } from '@temporalio/client';
import { inputOf, mapAtOnce } from '../temporal/reads.js';
import type { InventoryInput, WavePlan } from '../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../workflows/contracts/upgrade.js';

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
