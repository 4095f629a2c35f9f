import type { Freeze } from './freezes.js';
import type { Json } from './json.js';

/** One graph, engine, cache instance or cluster. Nothing in it is secret: an account is named, never carried. */
export interface ResourceRef {
  /** Name of the account in the accounts file; only activities resolve it. */
  readonly account: string;
  readonly cloud: string;
  /** The API that the resource is reached by, as written in the plan: `ges-v1`, `elasticsearch`, … */
  readonly service: string;
  /** The service without its API version (`ges`): two APIs of one family reach the same resource. */
  readonly family: string;
  readonly region: string;
  readonly id: string;
}

/** One resource and where it shall go. */
export interface UpgradeSpec {
  readonly resource: ResourceRef;
  /** The target in the service's own shape; opaque to workflows, parsed by the adapter on receipt. */
  readonly target: Json;
  /** The target as people read it: `2.4.1`. */
  readonly targetLabel: string;
  /** The version that was read when the rollout was planned; `null` when it was not. */
  readonly plannedFrom: string | null;
  /** Groups of which only so many members may be in flight at a time: `{ 'orders-app': 1 }`. */
  readonly groups?: Readonly<Record<string, number>>;
  /** It starts once everything that provides these names is at its target, and is skipped when something is not. */
  readonly after?: readonly string[];
  /** Names that others wait for. */
  readonly provides?: readonly string[];
  /**
   * What follows when an upgrade that somebody else started was adopted and led elsewhere: ours begins anew (`wait`), or
   * the upgrade has failed (`fail`, also when left out).
   */
  readonly onOtherTarget?: 'wait' | 'fail';
  /** What follows when another rollout upgrades the resource just now: `skip` when left out. */
  readonly onLocked?: 'wait' | 'skip' | 'fail';
  /** The resource as it was planned; left out, only its version is looked at. */
  readonly planned?: Snapshot;
  /** The gate of its rollout that it waits at, by number; left out: it may start at any time. */
  readonly gate?: number;
  /** Of its account when it was planned: its steps run on the queues of this name, not on everybody's. */
  readonly queue?: string;
  /** All tags that it had when it was planned, for freezes by tag. */
  readonly tags?: Readonly<Record<string, string>>;
  /**
   * It failed, or was unhealthy, when it was tried last in what this rollout tries again: at its target it is done only when it
   * is healthy too.
   */
  readonly failedBefore?: true;
  /** It reached its target then, and is here to soak: above its target it is done too. */
  readonly reachedBefore?: true;
  /**
   * A member of groups that served nobody when the rollout ended that this one tries again: until it has reached its target
   * its places are taken, also while it waits.
   */
  readonly unwellBefore?: true;
  /** What follows when it is not so any more, where that is not the default. */
  readonly drift?: Readonly<Partial<Record<DriftField, DriftRule>>>;
}

/** What a plan keeps of a resource, to know it again. */
export interface Snapshot {
  readonly version: string;
  /** The provider's word. */
  readonly status: string;
  /** The provider's word for how large it is; `null` where its API has none. */
  readonly size: string | null;
  /** Those that chose it. */
  readonly tags: Readonly<Record<string, string | null>>;
}

export type DriftField = 'version' | 'status' | 'size' | 'tags';
/** `hold`: waits until it is again as planned, for as long as it would wait for a busy one. */
export type DriftRule = 'proceed' | 'hold' | 'fail';

/** How fast the clockwork turns. */
export interface Timing {
  /**
   * Every bound, interval and settling time is multiplied by it. 1 is production; rehearsals against the simulator,
   * whose operations take seconds, use less.
   */
  readonly scale: number;
}

export interface UpgradeInput {
  /** The rollout's id, as `uplift status` takes it. */
  readonly rollout: string;
  /** The rollout's first run: part of the client token, so that a later run of the same plan has tokens of its own. */
  readonly rolloutRun: string;
  readonly wave: string;
  readonly spec: UpgradeSpec;
  readonly timing: Timing;
  /** Its shard wants to hear when it is stuck. */
  readonly tells?: true;
  /** As `UpgradeResult.waitedMs` of the start before it. */
  readonly waitedMs?: number;
}

/** Where an upgrade stands; kept in the search attribute `UpliftPhase`. */
export type Phase = 'Precheck' | 'Waiting' | 'Submit' | 'Await' | 'Stuck' | 'Overdue' | 'Verify' | 'Held' | 'Ended';

/** How an upgrade ended. */
export type Outcome =
  'Succeeded' | 'AlreadyAtTarget' | 'Adopted' | 'Refused' | 'Failed' | 'RolledBack' | 'Held' | 'Skipped' | 'NotStarted';

/** In which step an upgrade failed; `timeout` is also one that is overdue, or whose truth could not be read. */
export type FailureClass = 'precheck' | 'submit' | 'upgrade' | 'verify' | 'timeout';

/** A person's word on an upgrade that evidence cannot end. */
export interface Resolution {
  /** `not-submitted`: nothing of ours ever arrived at the cloud. */
  readonly as: 'done' | 'failed' | 'not-submitted';
  /** ISO 8601: until when it may be heard. */
  readonly validUntil?: string;
  readonly actor: string;
  readonly reason: string;
}

/** The check by which a finding tells what differs from the plan. */
export const AS_PLANNED = 'asPlanned';

/** One check of a precheck or dry run, with what it found. */
export interface Finding {
  readonly check: string;
  /** The provider's word; anything but `success` blocks. */
  readonly status: string;
  readonly problems: readonly Problem[];
  /** What mends it where the resource is well, and the plan is not; else left out. */
  readonly remedy?: string;
}

export interface Problem {
  readonly type: string;
  readonly code: string;
  readonly message: string;
}

/** A mutating call as it was really sent: the report lists every one. */
export interface SentCall {
  /** ISO 8601, UTC: right before the socket write; of an unheard one, when its operation began or was found. */
  readonly at: string;
  readonly method: string;
  readonly path: string;
  /** One of the seven classes of answers; `unheard` where a worker may have died before it told: its operation was found. */
  readonly answer: string;
  readonly status: number | null;
  /** The cloud's own id of the request; `null` when no answer was read. */
  readonly requestId: string | null;
}

/** What the cloud runs after a submit; `id` is `null` where the API gives none. */
export interface Operation {
  readonly id: string | null;
  /** ISO 8601, UTC: when it was accepted or first seen. */
  readonly since: string;
}

export interface UpgradeResult {
  readonly resource: ResourceRef;
  readonly targetLabel: string;
  readonly outcome: Outcome;
  /** One line for a person: why this outcome. */
  readonly reason: string;
  readonly fromVersion: string | null;
  readonly toVersion: string | null;
  /** The version that its own submit left it at, which is not well at its target: a retry begins there. */
  readonly leftAt?: string;
  readonly operation: Operation | null;
  readonly findings: readonly Finding[];
  readonly calls: readonly SentCall[];
  /** Nothing was sent, since its window had closed or a freeze covers it: it may start again afterwards. */
  readonly again?: boolean;
  /** With `again`: what covers it. */
  readonly freeze?: Freeze;
  /** With `again`: milliseconds that it has waited for a busy resource, in all its starts; what does not may go before it. */
  readonly waitedMs?: number;
  readonly polls: number;
  /** When each phase began, in order; of very many the first and the last ones. */
  readonly phases?: readonly PhaseBegin[];
  /** It was found so that it serves nobody, though nothing was sent: stopped, broken, or at its target and unhealthy. */
  readonly unwell?: true;
  /** `null` when it did not fail. */
  readonly failedIn?: FailureClass | null;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly endedAt: string;
}

export interface PhaseBegin {
  readonly phase: Phase;
  /** ISO 8601, UTC. */
  readonly at: string;
}

/** Outcomes after which the resource is where the plan wants it. */
export const GOOD_OUTCOMES: readonly Outcome[] = ['Succeeded', 'AlreadyAtTarget', 'Adopted'];

/** Outcomes that are charged to the failure budget. */
export const FAILED_OUTCOMES: readonly Outcome[] = ['Refused', 'Failed', 'RolledBack', 'Held'];
