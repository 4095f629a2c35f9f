/** The messages of all workflows, typed. Their names stand in contracts/messages.ts. */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import { MESSAGES } from './contracts/messages.js';
import type { Grant, RolloutStatus, ShardProgress, ShardStatus, ShardWord } from './contracts/rollout.js';
import type { Resolution } from './contracts/upgrade.js';

export const rolloutStatusQuery = defineQuery<RolloutStatus>(MESSAGES.rolloutStatus);
export const shardStatusQuery = defineQuery<ShardStatus>(MESSAGES.shardStatus);
export const shardProgressSignal = defineSignal<[ShardProgress]>(MESSAGES.shardProgress);
/** To the shard, once per upgrade: its operation is past its deadline. The argument is the upgrade's workflow id. */
export const upgradeOverdueSignal = defineSignal<[string]>(MESSAGES.upgradeOverdue);
/** To an upgrade that is held or overdue: a person says how it ended. */
export const resolveUpdate = defineUpdate<void, [Resolution]>(MESSAGES.resolve);
export const shardWordSignal = defineSignal<[ShardWord]>(MESSAGES.shardWord);
export const grantSignal = defineSignal<[Grant]>(MESSAGES.grant);
export const releaseInventorySignal = defineSignal(MESSAGES.releaseInventory);
