/** The messages of all workflows, typed. Their names stand in contracts/messages.ts. */
import { defineQuery, defineSignal } from '@temporalio/workflow';
import { MESSAGES } from './contracts/messages.js';
import type { RolloutStatus, ShardProgress, ShardStatus } from './contracts/rollout.js';

export const rolloutStatusQuery = defineQuery<RolloutStatus>(MESSAGES.rolloutStatus);
export const shardStatusQuery = defineQuery<ShardStatus>(MESSAGES.shardStatus);
export const shardProgressSignal = defineSignal<[ShardProgress]>(MESSAGES.shardProgress);
