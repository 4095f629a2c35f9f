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

/** Digits of a run's key. */
const KEY_DIGITS = 8;

/** The end of an id that a server or a workflow has made: chance, while a run id's beginning is the time, the same for a minute. */
export function endOfId(id: string): string {
  return id.slice(-KEY_DIGITS);
}

/**
 * What stands for a rollout's run in the ids of its waves, shards and notices, so that a later run of the same plan never
 * meets those of an earlier one. Rollouts that older releases have started have no key, and go by the beginning of their run's id.
 */
export function runKey({
  key,
  rolloutRun,
}: {
  readonly key?: string | undefined;
  readonly rolloutRun: string;
}): string {
  return key ?? rolloutRun.slice(0, KEY_DIGITS);
}

/** @param run its key (`runKey`) */
export function waveWorkflowId(rollout: string, run: string, index: number): string {
  return `wave/${rollout}/${run}/${index}`;
}

/** As the wave's, and one level deeper. */
export function shardWorkflowId(rollout: string, run: string, wave: number, shard: number): string {
  return `shard/${rollout}/${run}/${wave}/${shard}`;
}

/** Whether a workflow is a shard of this run of a rollout. */
export function isShardOf(workflowId: string, rollout: string, run: string): boolean {
  return workflowId.startsWith(`shard/${rollout}/${run}/`);
}

/** One section of what outlives rollouts. */
export function ledgerWorkflowId(section: string): string {
  return `ledger/${section}`;
}

/** A notice's id: stable, so that whoever gets it twice can drop it. `number` counts those of its kind. */
export function noticeId(rollout: string, run: string, kind: string, number: number): string {
  return `${rollout}/${run}/${kind}/${number}`;
}

export function noticeWorkflowId(id: string): string {
  return `notice/${id}`;
}

/** Of a schedule, among the schedules of a namespace. */
export function scheduleId(name: string): string {
  return `schedule/${name}`;
}

/** One run of a schedule; the server appends the run's instant. */
export function occurrenceWorkflowId(schedule: string): string {
  return `occurrence/${schedule}`;
}

/** `patching-2026-12-12`: the rollout that a schedule creates for an occurrence. */
export function scheduledRolloutId(schedule: string, occurrence: string): string {
  return `${schedule}-${occurrence}`;
}

/** Whether a rollout's id is one that this schedule, or a retry of what it created, has. */
export function isOfSchedule(rollout: string, schedule: string): boolean {
  return rollout.startsWith(`${schedule}-`) && /^\d{4}-\d{2}-\d{2}(-|$)/.test(rollout.slice(schedule.length + 1));
}

/** One part of a rollout's inventory; `key` is another at every start, since targets are pinned anew. */
export function inventoryWorkflowId(rollout: string, key: string, part: number): string {
  return `inventory/${rollout}/${key}/${part}`;
}
