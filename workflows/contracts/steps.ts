/** The four steps of an upgrade as the workflow sees them: what each activity is given and what it answers. */
import type { GateState } from './calendar.js';
import type { Durations } from './durations.js';
import type { Freeze } from './freezes.js';
import type { LockOwner } from './leases.js';
import type { Quarantine, QuarantineChange } from './quarantine.js';
import type { InventoryRef } from './rollout.js';
import type { Finding, Operation, SentCall, Timing, UpgradeSpec } from './upgrade.js';

export interface StepInput {
  readonly rollout: string;
  readonly rolloutRun: string;
  readonly spec: UpgradeSpec;
  readonly timing: Timing;
}

/** Why nothing may be sent to a resource before its window opens again, or a freeze ends. */
export interface Closure {
  readonly reason: string;
  /** No window opens for it any more. */
  readonly over: boolean;
  /** What covers it. */
  readonly freeze?: Freeze;
}

export interface PrecheckResult {
  readonly verdict: 'clear' | 'already-at-target' | 'upgrading' | 'busy' | 'refused';
  readonly reason: string;
  /** With `refused` or `busy`: it serves nobody as it is, stopped, broken, or at its target and unhealthy. */
  readonly unwell?: true;
  /** With `busy`: why the rollout is on hold. Its time counts for no upgrade's patience. */
  readonly held?: string;
  /** With `busy`: its window has closed meanwhile, or a freeze covers it, so that it need not wait in flight. */
  readonly closure?: Closure;
  readonly version: string | null;
  readonly status: string | null;
  readonly findings: readonly Finding[];
  /** Ids, or where there is none beginnings, of the resource's operations that the cloud knew before anything was sent: never evidence of a submit. */
  readonly knownOperations: readonly string[];
  /** ISO 8601: a run of this upgrade was terminated a moment ago, and what it sent may still show. As in `SubmitInput`. */
  readonly unresolvedSince?: string | null;
}

export interface SubmitInput extends StepInput {
  /** The version the precheck read; a resource that no longer has it is not what was planned. */
  readonly expectedVersion: string | null;
  /** Advances only on a proven end or a proven non-acceptance; part of the client token. */
  readonly submission: number;
  /** ISO 8601: set when an earlier send's outcome is still unknown. Then evidence or a settling time comes first. */
  readonly unresolvedSince: string | null;
  readonly knownOperations: readonly string[];
  /** ISO 8601: when the upgrade began. Operations that began before it are not its own. */
  readonly startedAt: string;
}

export interface SubmitResult {
  /**
   * `submitted`: this upgrade's own submit was accepted. `adopted`: an upgrade that we did not submit is running.
   * `busy`/`deferred`: not sent, try again later. `held-back`: not sent, and the rollout is on hold.
   * `closed`: not sent, since no window is open for it, a freeze covers it, or its rollout has ended. `unknown`: sent, and the truth could not be read yet.
   */
  readonly verdict:
    | 'submitted'
    | 'adopted'
    | 'held-back'
    | 'closed'
    | 'already-at-target'
    | 'refused'
    | 'drifted'
    | 'busy'
    | 'deferred'
    | 'unknown';
  readonly reason: string;
  readonly operation: Operation | null;
  /** The version that the last look read. */
  readonly version: string | null;
  readonly calls: readonly SentCall[];
  /** Differences from the plan that it lets pass, as the look right before the send found them; left out where no look let it send. */
  readonly findings?: readonly Finding[];
  /** With `refused` or `busy`: as in the precheck's result. */
  readonly unwell?: true;
  /** With `drifted`: only its version is another one, which the plan lets pass, or wait; a precheck may judge it. */
  readonly anew?: true;
  /** With `deferred`: after how many milliseconds at scale 1 another try makes sense. */
  readonly retryInMs: number;
  /** With `closed`: what covers it. */
  readonly freeze?: Freeze;
  /** With `closed`: no window opens for it any more, or its rollout has ended. */
  readonly over?: boolean;
  /** With `closed`: the resource was busy as well. */
  readonly busy?: true;
  /** The number that the next send has to carry. */
  readonly submission: number;
  /** As in the input, for the next try. */
  readonly unresolvedSince: string | null;
}

export interface AwaitInput extends StepInput {
  readonly operation: Operation;
  /** People know already that it is stuck: followed on to its deadline. */
  readonly stuck?: boolean;
  /** Past its deadline: polled at a slow interval. */
  readonly overdue: boolean;
  /** Whoever asks goes on to verify without writing that phase down where people filter by it. */
  readonly throughVerify?: boolean;
}

/** What a `precheck` or a `submit` beats to the server while it waits for something. */
export interface StepWait {
  /** For what: one line. */
  readonly waits: string;
  /** ISO 8601, UTC: when that ends; `null` where nobody can tell. */
  readonly until: string | null;
}

/** What a `submit` beats: where the next attempt goes on, should its worker die, with the calls that were sent. */
export interface SubmitHeartbeat extends StepWait {
  readonly calls: readonly SentCall[];
}

/** What an `await` beats to the server: shown under Pending Activities, and where the next attempt goes on. */
export interface AwaitHeartbeat {
  readonly state: string;
  readonly percent: number | null;
  readonly polls: number;
  /** Reads in a row that failed. */
  readonly failedReads: number;
  readonly lastPolledAt: string;
  /** When `state` or `percent` was last another than before: without news for long, it is stuck. */
  readonly changedAt?: string;
}

export interface AwaitResult {
  /** `false`: the operation still runs, past its deadline or, with `stuck`, without news for too long. */
  readonly ended: boolean;
  readonly stuck?: boolean;
  /** What the provider's job or records say. Never the outcome by itself: verify reads the resource. */
  readonly providerSays: 'succeeded' | 'failed' | 'rolled-back' | 'vanished' | 'running';
  readonly reason: string;
  readonly polls: number;
  /** As it was asked for: so the history tells which way its upgrade goes on, and needs no marker for it. */
  readonly throughVerify?: boolean;
}

export interface VerifyResult {
  readonly verdict: 'at-target' | 'not-at-target' | 'unhealthy' | 'still-running' | 'unreadable';
  readonly version: string | null;
  readonly status: string | null;
  readonly health: string | null;
  readonly reason: string;
}

export interface VerifyInput extends StepInput {
  readonly operation: Operation;
}

/** Short reads: seconds, safe to repeat. */
export interface ReadSteps {
  precheck(input: StepInput): Promise<PrecheckResult>;
}

/** The only step that changes anything at a cloud. */
export interface SubmitSteps {
  submit(input: SubmitInput): Promise<SubmitResult>;
}

/** Long waits: minutes to hours, heartbeating. */
export interface WaitSteps {
  awaitOperation(input: AwaitInput): Promise<AwaitResult>;
  verify(input: VerifyInput): Promise<VerifyResult>;
}

export interface LockSteps {
  /** The owners of these upgrades' leases, in the same order; `null` for one that is free. */
  lockOwners(workflowIds: readonly string[]): Promise<readonly (LockOwner | null)[]>;
}

/** Writes to the ledger. */
export interface LearningSteps {
  /** How long upgrades took, by class. */
  learnDurations(durations: Durations): Promise<void>;
}

export interface GatesInput {
  readonly rollout: string;
  readonly rolloutRun: string;
  /** Numbers: `UpgradeSpec.gate`. */
  readonly gates: readonly number[];
  /** Whether anything of the rollout has been under way. */
  readonly hasStarted: boolean;
}

/** The rollout's windows, asked: by the number of the gate. */
export interface GateSteps {
  readGates(input: GatesInput): Promise<Readonly<Record<string, GateState>>>;
}

/** Reads of the ledger. */
export interface FreezeSteps {
  /** The freezes that hold now, whatever they cover. */
  readFreezes(): Promise<readonly Freeze[]>;
}

export interface FreezeWaits {
  /** As `readFreezes`, as soon as one of these holds no more: it has ended, or was lifted. */
  freezesEnded(ids: readonly string[]): Promise<readonly Freeze[]>;
}

export interface QuarantineSteps {
  /** Resources whose latest upgrades failed, once or more. */
  readQuarantine(): Promise<Quarantine>;
  tellQuarantine(change: Extract<QuarantineChange, { kind: 'ended' }>): Promise<void>;
}

/** The lists that are kept in Temporal itself. */
export interface InventorySteps {
  /** The upgrades of one shard. */
  readInventory(ref: InventoryRef): Promise<readonly UpgradeSpec[]>;
  /** Ends what keeps them. */
  releaseInventories(refs: readonly InventoryRef[]): Promise<void>;
}
