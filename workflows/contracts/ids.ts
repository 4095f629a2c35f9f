/** Every workflow id is built here. */
import type { ResourceRef } from './upgrade.js';

/**
 * The upgrade's id is the lease on its resource: one running upgrade per resource within a namespace. Without API
 * version or account, since both GES APIs and every account of a project reach the same graph.
 */
export function upgradeWorkflowId(resource: Pick<ResourceRef, 'cloud' | 'family' | 'region' | 'id'>): string {
  return `upgrade/${resource.cloud}/${resource.family}/${resource.region}/${resource.id}`;
}

export function rolloutWorkflowId(rollout: string): string {
  return `rollout/${rollout}`;
}

/** Carries the rollout's run, so that a later run of the same plan never meets the waves of an earlier one. */
export function waveWorkflowId(rollout: string, rolloutRun: string, index: number): string {
  return `wave/${rollout}/${rolloutRun.slice(0, 8)}/${index}`;
}

/** As the wave's, and one level deeper. */
export function shardWorkflowId(rollout: string, rolloutRun: string, wave: number, shard: number): string {
  return `shard/${rollout}/${rolloutRun.slice(0, 8)}/${wave}/${shard}`;
}

/** One section of what outlives rollouts. */
export function ledgerWorkflowId(section: string): string {
  return `ledger/${section}`;
}

/** One part of a rollout's inventory; `key` is another at every start, since targets are pinned anew. */
export function inventoryWorkflowId(rollout: string, key: string, part: number): string {
  return `inventory/${rollout}/${key}/${part}`;
}
