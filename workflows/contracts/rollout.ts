import type { Outcome, Timing, UpgradeSpec } from './upgrade.js';

/** The most upgrades one shard holds: its history stays near 3,000 events (7 a child, measured). */
export const SHARD_SIZE = 400;

/** How many failures are tolerated. The rollout stops when they exceed `max`; 0 stops at the first. */
export interface FailureBudget {
  readonly max: number;
  /** `strict`: never more in flight than could still be tolerated, so that failures never exceed `max` + 1. */
  readonly mode: 'strict' | 'loose';
}

export interface WavePlan {
  readonly name: string;
  readonly concurrency: number;
  readonly upgrades: readonly UpgradeSpec[];
}

export interface RolloutInput {
  readonly rollout: string;
  readonly planDigest: string;
  readonly startedBy: string;
  readonly waves: readonly WavePlan[];
  readonly budget: FailureBudget;
  /** The most upgrades in flight per account; an account that is not named has no limit of its own. */
  readonly accountLimits: Readonly<Record<string, number>>;
  readonly timing: Timing;
}

/** What a wave and its shards are given: the rollout's identity and what is left of its budget. */
export interface WaveInput {
  readonly rollout: string;
  readonly rolloutRun: string;
  readonly wave: WavePlan;
  /** 1-based position of the wave in the plan. */
  readonly index: number;
  readonly failuresLeft: number;
  readonly mode: FailureBudget['mode'];
  readonly accountLimits: Readonly<Record<string, number>>;
  readonly timing: Timing;
}

export type ShardInput = Omit<WaveInput, 'wave'> & {
  readonly wave: string;
  readonly shard: number;
  readonly concurrency: number;
  readonly upgrades: readonly UpgradeSpec[];
};

/** One upgrade as its shard saw it end: short, since a shard answers with up to 400 of them. */
export interface UpgradeEnd {
  readonly resourceId: string;
  readonly account: string;
  readonly service: string;
  readonly workflowId: string;
  /** `null` when its workflow was never started. */
  readonly runId: string | null;
  readonly outcome: Outcome;
  readonly reason: string;
  readonly fromVersion: string | null;
  readonly toVersion: string | null;
}

export type Counts = Readonly<Partial<Record<Outcome, number>>>;

export interface ShardResult {
  readonly ends: readonly UpgradeEnd[];
  readonly stopped: boolean;
  /** Upgrades charged to the budget: those that failed, and those that were overdue, however they ended. */
  readonly failures?: number;
}

export interface WaveResult {
  readonly counts: Counts;
  readonly failures: number;
  readonly stopped: boolean;
}

/** Nothing reports "completed" at 0 %: `Succeeded` needs every resource at its target. */
export type RolloutOutcome = 'Succeeded' | 'SucceededWithFailures' | 'Failed' | 'Stopped';

export interface RolloutResult {
  readonly outcome: RolloutOutcome;
  readonly reason: string;
  readonly counts: Counts;
  readonly failures: number;
  readonly budget: FailureBudget;
}

/** Answer of the query `rolloutStatus`. */
export interface RolloutStatus {
  readonly rollout: string;
  readonly planDigest: string;
  readonly state: 'Running' | 'Stopping' | RolloutOutcome;
  readonly reason: string;
  readonly budget: FailureBudget;
  readonly failures: number;
  readonly waves: readonly WaveStatus[];
}

export interface WaveStatus {
  readonly name: string;
  readonly workflowId: string;
  readonly state: 'Pending' | 'Running' | 'Done' | 'Stopped' | 'NotStarted';
  readonly total: number;
  readonly counts: Counts;
}

/**
 * A shard's word to its rollout, so that the rollout's page shows progress: sent about ten times a shard, however many
 * upgrades it has.
 */
export interface ShardProgress {
  readonly wave: number;
  readonly shard: number;
  readonly inFlight: number;
  readonly counts: Counts;
  /** As `ShardResult.failures`, so far. */
  readonly failures?: number;
  /** The latest failure: resource and reason. */
  readonly failure: string | null;
}

/** Answer of the query `shardStatus`. */
export interface ShardStatus {
  readonly total: number;
  readonly inFlight: readonly { readonly resourceId: string; readonly workflowId: string; readonly runId: string }[];
  readonly ends: readonly UpgradeEnd[];
}
