/** What a wave has brought to its target, as its shards' own inputs and results on the server tell. */
import { Context } from '@temporalio/activity';
import { inputOf, isNotFound } from '../temporal/reads.js';
import { runKey, shardWorkflowId, upgradeWorkflowId } from '../workflows/contracts/ids.js';
import type { InventoryInput, ShardInput, ShardResult } from '../workflows/contracts/rollout.js';
import type { SoakInput } from '../workflows/contracts/soak.js';
import { GOOD_OUTCOMES, type UpgradeSpec } from '../workflows/contracts/upgrade.js';

export type UpgradedOf = (
  wave: Pick<SoakInput, 'rollout' | 'rolloutRun' | 'key' | 'wave' | 'shards'>,
) => Promise<readonly UpgradeSpec[]>;

/** @throws the server's error, also for a shard whose history is gone: the next attempt may know more */
export const upgradedOnServer: UpgradedOf = async ({ rollout, wave, shards, ...run }) => {
  const { client } = Context.current();
  const upgraded: UpgradeSpec[] = [];
  for (let shard = 1; shard <= shards; shard += 1) {
    const workflowId = shardWorkflowId(rollout, runKey(run), wave, shard);
    let runId: string;
    try {
      ({ runId } = await client.workflow.getHandle(workflowId).describe());
    } catch (error) {
      // One that was never opened, since the rest of its wave was left out.
      if (isNotFound(error)) continue;
      throw error;
    }
    const { upgrades, inventory } = await inputOf<ShardInput>(client, workflowId, runId);
    const { ends } = (await client.workflow.getHandle(workflowId, runId).result()) as ShardResult;
    const good = new Set(ends.filter(({ outcome }) => GOOD_OUTCOMES.includes(outcome)).map((end) => end.workflowId));
    const all =
      inventory === undefined
        ? (upgrades ?? [])
        : (await inputOf<InventoryInput>(client, inventory.workflowId, inventory.runId)).upgrades;
    upgraded.push(...all.filter(({ resource }) => good.has(upgradeWorkflowId(resource))));
  }
  return upgraded;
};
