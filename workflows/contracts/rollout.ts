import type { GateState, RolloutWindows, Shut } from './calendar.js';
import type { Durations, Usual } from './durations.js';
import type { Act, Approval, ApprovalState, SkipOrder } from './control.js';
import type { NoticeRule } from './notices.js';
import type { Scheduled } from './schedule.js';
import type { SoakPlan, SoakStatus } from './soak.js';
import type { FailureClass, Outcome, Timing, UpgradeSpec } from './upgrade.js';

/** The most upgrades one shard holds: its history stays near 3,000 events (7 a child, measured). */
export const SHARD_SIZE = 400;

/** How many failures are tolerated. The rollout stops when they exceed `max`; 0 stops at the first. */
export interface FailureBudget {
  readonly max: number;
  /** As the plan has it, where it gives a share of all upgrades: `5%`. A retry makes its own `max` of it. */
  readonly share?: string;
  /** `strict`: never more in flight than could still be tolerated, so that failures never exceed `max` + 1. */
  readonly mode: 'strict' | 'loose';
  /** Failures of which steps are charged; all when left out. */
  readonly counts?: readonly FailureClass[];
}

/** How many may be in flight at a time, by what is limited: `slots`, `account:prod`, `service:dcs`. */
export type Limits = Readonly<Record<string, number>>;

/** Where a part of the inventory is kept: a workflow whose input it is (docs/design.md). */
export interface InventoryRef {
  readonly workflowId: string;
  readonly runId: string;
}

/** The upgrades of one shard, by reference. */
export interface WavePart {
  readonly inventory: InventoryRef;
  readonly total: number;
  /** How many of its upgrades draw on each limit that the wave has. */
  readonly draws: Limits;
  /** Of these, places that are taken before any of its upgrades starts (`UpgradeSpec.unwellBefore`); else left out. */
  readonly holds?: Limits;
  /** Those of the wave's `provides` that upgrades of this part provide; an older release left it out. */
  readonly provides?: readonly string[];
}

export interface WavePlan {
  readonly name: string;
  readonly concurrency: number;
  /** What is limited besides: `account:prod`, `service:dcs`, `region:eu`, and groups whose members are in several shards. */
  readonly limits?: Limits;
  /** How many of this wave may fail, where it has a budget of its own. */
  readonly maxFailures?: number;
  /** As `FailureBudget.share`, of the wave. */
  readonly maxFailuresShare?: string;
  /** Whose approval it needs before it begins. */
  readonly approval?: Approval;
  /** Healthy time before the next wave begins, or the rollout ends. */
  readonly soak?: SoakPlan;
  /** The queue that all of its accounts have in common: who serves it observes the soak. Left out: they have none. */
  readonly queue?: string;
  /** Names that later waves wait for. */
  readonly provides?: readonly string[];
  /** All its upgrades wait at the same gate, so that its shards are shut together. */
  readonly oneGate?: boolean;
  /** Either its parts, in order, or the upgrades themselves where they are few. */
  readonly parts?: readonly WavePart[];
  readonly upgrades?: readonly UpgradeSpec[];
}

export interface RetryOf {
  readonly rollout: string;
  readonly runId: string;
  readonly reason: string;
  /** Who started it, and what it tried again in turn: they may approve no retry either. */
  readonly startedBy?: readonly string[];
}

export interface RolloutInput {
  readonly rollout: string;
  /** Of this run, in the ids of what belongs to it (`runKey`); another at every start. Older releases gave none. */
  readonly key?: string | undefined;
  readonly planDigest: string;
  readonly startedBy: string;
  readonly waves: readonly WavePlan[];
  readonly budget: FailureBudget;
  /** The most upgrades in flight per account; an account that is not named has no limit of its own. */
  readonly accountLimits: Readonly<Record<string, number>>;
  readonly timing: Timing;
  /** Whose approval it needs before it begins. */
  readonly approval?: Approval;
  /** With fewer than so many at their targets it has failed. */
  readonly minSuccess?: number;
  /** A resource is left out after so many failures in a row; left out: whatever has failed is tried. */
  readonly quarantineAfter?: number;
  /** When its upgrades may start; left out: at any time. */
  readonly windows?: RolloutWindows;
  /** Who is told what happens to it; left out: nobody. */
  readonly notify?: readonly NoticeRule[];
  /** The schedule that created it, and for which opening. */
  readonly schedule?: Scheduled;
  /** How long upgrades of a service take, by the plan or the cloud's documents: for forecasts. */
  readonly usual?: Readonly<Record<string, Usual>>;
  /** The run whose failed or skipped upgrades this one tries again. */
  readonly retryOf?: RetryOf;
}

/** What an inventory workflow keeps: it is read from the workflow's input, so that no worker is needed. */
export interface InventoryInput {
  readonly rollout: string;
  readonly wave: string;
  readonly upgrades: readonly UpgradeSpec[];
}

/** How many upgrades a wave has. */
export function sizeOf(wave: Pick<WavePlan, 'parts' | 'upgrades'>): number {
  return wave.upgrades?.length ?? (wave.parts ?? []).reduce((sum, { total }) => sum + total, 0);
}

/** Where the lists of a rollout are kept, of all its waves. */
export function inventoriesOf({ waves }: RolloutInput): readonly InventoryRef[] {
  return waves.flatMap(({ parts = [] }) => parts.map(({ inventory }) => inventory));
}

/** What a wave and its shards are given: the rollout's identity and what is left of its budget. */
export interface WaveInput {
  readonly rollout: string;
  readonly rolloutRun: string;
  /** As `runKey`; older releases gave none. */
  readonly key?: string | undefined;
  readonly wave: WavePlan;
  /** 1-based position of the wave in the plan. */
  readonly index: number;
  readonly failuresLeft: number;
  readonly mode: FailureBudget['mode'];
  readonly accountLimits: Readonly<Record<string, number>>;
  readonly timing: Timing;
  /** Failures of which steps are charged; all when left out. */
  readonly counts?: readonly FailureClass[] | undefined;
  /** As the rollout's. */
  readonly quarantineAfter?: number | undefined;
  /** People are told what happens, so failures and edges of windows are worth a word at once. */
  readonly tells?: true;
  /** Names that others wait for and that something of an earlier wave did not reach. */
  readonly missed?: readonly string[];
  /** Why nothing is started for now; a person's hold. */
  readonly hold?: string | null;
  /** Upgrades that a person has left out before they could start. */
  readonly skips?: readonly SkipOrder[];
  /** Whether anything of the rollout has been under way; left out where no `startBy` bounds it. */
  readonly hasStarted?: boolean;
}

export interface ShardInput extends Omit<WaveInput, 'wave'> {
  readonly wave: string;
  readonly shard: number;
  readonly concurrency: number;
  readonly limits?: Limits | undefined;
  /** As `WavePlan.oneGate`. */
  readonly oneGate?: boolean | undefined;
  /** Either the upgrades themselves, or where they are kept. */
  readonly upgrades?: readonly UpgradeSpec[] | undefined;
  readonly inventory?: InventoryRef | undefined;
  /** What it may use of the wave's limits; a shard that was started by an older release is alone and has none. */
  readonly share?: Share;
  /** What its earlier runs knew; left out in its first one. */
  readonly carried?: ShardCarried;
}

/**
 * What a shard's run hands on to the next one, when its history has no room for the rest: all that cannot be read again.
 * Nothing is in flight then. The latest grant and the skips that it was told stand in the next run's `share` and `skips`;
 * the inventory, freezes and the quarantine are read anew. Upgrades are named by their workflows' ids.
 */
export interface ShardCarried {
  /** What has ended stands in no queue any more. */
  readonly ends: readonly UpgradeEnd[];
  /** As `ShardResult`. */
  readonly failures: number;
  readonly byClass: FailureCounts;
  readonly lastFailure: string | null;
  /** As `ShardProgress`; `null` while none was. */
  readonly stuck: ShardProgress['stuck'] | null;
  /** How long those took that went well: the ledger is told at the shard's end. */
  readonly durations: Durations;
  /** Those that failed, and those known for failing that went well: the ledger is told at the shard's end. */
  readonly quarantine: { readonly failed: readonly string[]; readonly recovered: readonly string[] };
  /** Places in groups that ends keep for good. */
  readonly lostPlaces: readonly { readonly id: string; readonly draws: readonly string[] }[];
  /** Leases of others: why each that waits for one does, and those whose places in their groups others keep. */
  readonly leases: { readonly locked: Readonly<Record<string, string>>; readonly binding: readonly string[] };
  /** The freeze that an upgrade found right before its send, by its tags of then. */
  readonly frozen: Readonly<Record<string, string>>;
  /** `UpgradeResult.waitedMs` of those that were sent back, which go last; left out where none were. */
  readonly waited?: Readonly<Record<string, number>>;
  /** The windows as they were asked last, for people: nothing starts before they are asked again. */
  readonly gates: Readonly<Record<string, GateState>>;
  /** What it has told its wave, and not been answered. */
  readonly talk: ShardTalk;
  /** How much it has told its rollout, of which it tells less and less. */
  readonly told: ShardTold;
}

/** How far a shard's talk with its wave is. */
export interface ShardTalk {
  readonly last: Omit<ShardWord, 'shard'>;
  readonly unanswered: readonly { readonly number: number; readonly wants: Limits }[];
  readonly owesAnswer: boolean;
  readonly hasToldStart: boolean;
}

export interface ShardTold {
  /** Words to the rollout; left out by a run of an older release. */
  readonly words?: number;
  /** Words at the edges of windows. */
  readonly edges: number;
  /** News of the windows: the latest, how many, and when, in epoch milliseconds. */
  readonly windows: string;
  readonly editions: number;
  readonly latestEditionAt: number;
  /** A failure, or one seen stuck, is yet to be told. */
  readonly hasMore: boolean;
}

/** What a shard is given by its wave at its start. */
export interface Share {
  readonly grant: Grant;
  /** Words to the wave that are worth their events: a change of this much, in upgrades; `null` when it is alone. */
  readonly step: number | null;
}

/**
 * A wave's word to a shard: how much of each shared limit it may use. What a limit leaves out here is the shard's own.
 */
export interface Grant {
  /** 1, 2, 3, … for each shard. */
  readonly number: number;
  /** The latest word of the shard that it answers; 0 before the first. */
  readonly answers: number;
  readonly limits: Limits;
  /** After so many failures that were not told yet, a word is due. */
  readonly tellAfter: number;
  /** Why nothing more may be started; `null` while things may. */
  readonly stop: string | null;
  /** With `stop`: what is not started was skipped by a person. */
  readonly skipped?: boolean;
  /** With `skipped`: the failure budget is spent as well, so that what has started and not sent ends too. */
  readonly spent?: boolean;
  /** Limits of which no place is left for good: ends of some shards keep them all. */
  readonly full?: readonly string[];
  /** Why nothing is started for now. */
  readonly hold?: string | null;
  /** As `WaveInput.hasStarted`, by now. */
  readonly hasStarted?: boolean;
}

/**
 * A shard's word to its wave. Until a grant answers it, the shard binds itself to what it wants, so that the rest can
 * go to another shard at once.
 */
export interface ShardWord {
  readonly shard: number;
  /** 1, 2, 3, … */
  readonly number: number;
  /** The latest grant that it has heard. */
  readonly heard: number;
  readonly wants: Limits;
  readonly uses: Limits;
  /** Failures so far. */
  readonly failures: number;
  /** Something of it has been under way. */
  readonly hasStarted?: boolean;
  /** Of `uses`, places that ends keep for good. */
  readonly lost?: Limits;
}

/** One upgrade as its shard saw it end: short, since a shard answers with up to 400 of them. */
export interface UpgradeEnd {
  readonly workflowId: string;
  /** `null` when its workflow was never started. */
  readonly runId: string | null;
  readonly outcome: Outcome;
  readonly reason: string;
  readonly fromVersion: string | null;
  readonly toVersion: string | null;
  /** As in its result. */
  readonly unwell?: true;
}

export type FailureCounts = Readonly<Partial<Record<FailureClass, number>>>;

export type Counts = Readonly<Partial<Record<Outcome, number>>>;

export interface ShardResult {
  readonly ends: readonly UpgradeEnd[];
  readonly stopped: boolean;
  /** Upgrades charged to the budget: those that failed, and those that were overdue, however they ended. */
  readonly failures?: number;
  /** Of all that failed, charged or not. */
  readonly byClass?: FailureCounts;
  /** Names that others wait for and that were not reached. */
  readonly missed?: readonly string[];
}

export interface WaveResult {
  readonly counts: Counts;
  readonly failures: number;
  readonly byClass?: FailureCounts;
  readonly missed?: readonly string[];
  readonly stopped: boolean;
}

/** Nothing reports "completed" at 0 %: `Succeeded` needs every resource at its target. */
export type RolloutOutcome = 'Succeeded' | 'SucceededWithFailures' | 'Failed' | 'Stopped' | 'Rejected';

export interface RolloutResult {
  readonly outcome: RolloutOutcome;
  readonly reason: string;
  readonly counts: Counts;
  readonly failures: number;
  /** Of all that failed, charged or not: prechecks' refusals are seen apart. */
  readonly byClass?: FailureCounts;
  readonly budget: FailureBudget;
  /** In the plan's order. */
  readonly waves?: readonly WaveStatus[];
  /** What people did to it, oldest first; of very many the latest, and earlier ones that go on to matter. */
  readonly acts?: readonly Act[];
  /** How many others there were; left out while there are none. */
  readonly actsLeftOut?: number;
}

/** Answer of the query `rolloutStatus`. */
export interface RolloutStatus {
  readonly rollout: string;
  readonly planDigest: string;
  readonly state: 'Running' | 'Waiting' | 'Paused' | 'Stopping' | RolloutOutcome;
  readonly reason: string;
  readonly budget: FailureBudget;
  readonly failures: number;
  readonly waves: readonly WaveStatus[];
  /** While it waits for one. */
  readonly approval?: ApprovalState | null;
  /** What people did to it, oldest first; of very many the latest, and earlier ones that go on to matter. */
  readonly acts?: readonly Act[];
  /** How many others there were; left out while there are none. */
  readonly actsLeftOut?: number;
  /** The latest notice that somebody was not told, and why. */
  readonly undelivered?: string;
}

export interface WaveStatus {
  readonly name: string;
  readonly workflowId: string;
  readonly state: 'Pending' | 'Running' | 'Done' | 'Stopped' | 'NotStarted' | 'Skipped';
  /** As it is now: a person may have changed it. */
  readonly concurrency?: number;
  readonly total: number;
  readonly counts: Counts;
  /** Charged to the budget so far; left out where nobody knows. */
  readonly failures?: number;
  /** Left out where the plan has none. */
  readonly soak?: SoakStatus;
}

/**
 * A shard's word to its rollout, so that the rollout's page shows progress: sent about ten times a shard, however many
 * upgrades it has.
 */
export interface ShardProgress {
  readonly wave: number;
  readonly shard: number;
  /** 1, 2, 3, … for each shard, in all of its runs; shards of older releases do not count. */
  readonly number?: number;
  readonly inFlight: number;
  readonly counts: Counts;
  /** As `ShardResult.failures`, so far. */
  readonly failures?: number;
  /** The latest failure: resource and reason. */
  readonly failure: string | null;
  /** How many have not started. */
  readonly queued?: number;
  /** What a freeze keeps from starting; left out while none does. */
  readonly frozen?: { readonly count: number; readonly why: string };
  /** How many were seen stuck so far, and the latest of them. */
  readonly stuck?: { readonly count: number; readonly latest: string };
  /** Nothing is in flight, and what is left waits for its window: until when (ISO 8601), and why; else left out. */
  readonly shut?: Shut;
  /** Its gates as they were asked last, by number; left out where it has none. */
  readonly gates?: Readonly<Record<string, GateState>>;
}

/** Answer of the query `shardStatus`. */
export interface ShardStatus {
  readonly total: number;
  readonly inFlight: readonly { readonly workflowId: string; readonly runId: string }[];
  readonly ends: readonly UpgradeEnd[];
  /** What has not started because of others: why, and when (ISO 8601) it is looked again. */
  readonly waits?: readonly { readonly workflowId: string; readonly why: string; readonly nextAt: string | null }[];
}
