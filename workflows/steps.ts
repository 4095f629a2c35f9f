/**
 * The four steps as proxies, one per profile. A time-out here is how long a dead worker goes unnoticed, so each bound is
 * as short as its step allows; all of them shrink with the rollout's scale. None limits attempts: a deploy or a crash
 * uses one up, and what was submitted is followed to its end.
 */
import { ActivityCancellationType, proxyActivities, type ActivityOptions } from '@temporalio/workflow';
import type { Durations } from './contracts/durations.js';
import { QUEUES, queueOf } from './contracts/queues.js';
import type { Freeze } from './contracts/freezes.js';
import type { LockOwner } from './contracts/leases.js';
import type { NoticeSteps, OpeningSteps } from './contracts/notices.js';
import type { Quarantine } from './contracts/quarantine.js';
import type { InventoryRef } from './contracts/rollout.js';
import type { PlanningSteps, ScheduleSteps } from './contracts/schedule.js';
import type { SoakInput, SoakResult, SoakSteps } from './contracts/soak.js';
import type {
  FreezeSteps,
  FreezeWaits,
  GatesInput,
  GateSteps,
  InventorySteps,
  LearningSteps,
  LockSteps,
  QuarantineSteps,
  ReadSteps,
  SubmitSteps,
  WaitSteps,
} from './contracts/steps.js';
import type { UpgradeSpec } from './contracts/upgrade.js';

/**
 * How long a dead worker goes unnoticed, in milliseconds at scale 1; docs/worker-life.md says what follows from them. A
 * worker beats at a third of a time-out or more often (a verify at two thirds), and the SDK passes a beat on at four fifths
 * of it at the latest.
 */
export const STEP_BOUNDS = {
  /** Nothing hangs on it but the time: short, since a precheck may wait for its account's turn for hours. */
  precheckHeartbeatMs: 15_000,
  /** The shortest, since a submit that died with its worker costs a settling time on top of it. */
  submitHeartbeatMs: 10_000,
  /** Longest, since there are thousands and an operation takes minutes: one beat in 48 s reaches the server. */
  waitHeartbeatMs: 60_000,
  /** There is one for a rollout, and whoever waives or stops it waits for what it saw last. */
  soakHeartbeatMs: 15_000,
  /** From a noticed death to the next attempt: the least that a server keeps to. */
  firstRetryMs: 1_000,
  /** Of a step that fails again and again, as on workers without credentials. */
  longestRetryMs: 60_000,
} as const;

/** A busy machine may be late with a heartbeat by this much, whatever the scale. */
const SHORTEST_MS = 3_000;
/** Below about a second the server fires no timer. */
const SHORTEST_RETRY_MS = 1_000;

export interface Steps {
  readonly reads: ReadSteps;
  readonly submits: SubmitSteps;
  readonly waits: WaitSteps;
}

function boundsAt(scale: number) {
  const interval = (atScaleOne: number) => Math.max(atScaleOne * scale, SHORTEST_RETRY_MS);
  return {
    ms: (atScaleOne: number) => Math.max(atScaleOne * scale, SHORTEST_MS),
    retry: {
      initialInterval: interval(STEP_BOUNDS.firstRetryMs),
      maximumInterval: interval(STEP_BOUNDS.longestRetryMs),
    },
  };
}

/** A wait lasts as long as what it waits for; it ends itself, long before this bound. */
function waitAt(scale: number): ActivityOptions {
  const { ms, retry } = boundsAt(scale);
  return {
    taskQueue: QUEUES.wait,
    startToCloseTimeout: ms(24 * 3_600_000),
    heartbeatTimeout: ms(STEP_BOUNDS.waitHeartbeatMs),
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry,
  };
}

/** @param queue of the account, where it has queues of its own */
export function stepsAt(scale: number, queue?: string): (summary: string) => Steps {
  const { ms, retry } = boundsAt(scale);

  // A precheck ends with the account's turn to submit, so it may take hours.
  const read: ActivityOptions = {
    ...(queue === undefined ? {} : { taskQueue: queueOf('main', queue) }),
    startToCloseTimeout: ms(24 * 3_600_000),
    heartbeatTimeout: ms(STEP_BOUNDS.precheckHeartbeatMs),
    // Cancelling is stopping, and nothing has been sent: no need to wait for the step.
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    retry,
  };
  // A submit looks, sends and settles (activities/bounds.ts).
  const submit: ActivityOptions = {
    taskQueue: queueOf('submit', queue),
    startToCloseTimeout: ms(600_000),
    heartbeatTimeout: ms(STEP_BOUNDS.submitHeartbeatMs),
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry,
  };
  const wait: ActivityOptions = { ...waitAt(scale), taskQueue: queueOf('wait', queue) };
  return (summary) => ({
    reads: proxyActivities<ReadSteps>({ ...read, summary }),
    submits: proxyActivities<SubmitSteps>({ ...submit, summary }),
    waits: proxyActivities<WaitSteps>({ ...wait, summary }),
  });
}

/**
 * Cancelled, it answers what it saw last, as far as a worker hears of it within a heartbeat's time-out.
 *
 * @param queue of the accounts that it reads, where they have one in common
 * @param answersCancelled `false` in rollouts of older releases, which did not wait for the worker
 */
export function observeSoak(
  input: SoakInput,
  { queue, summary, answersCancelled }: { queue: string | undefined; summary: string; answersCancelled: boolean },
): Promise<SoakResult> {
  return proxyActivities<SoakSteps>({
    ...waitAt(input.scale),
    taskQueue: queueOf('wait', queue),
    heartbeatTimeout: boundsAt(input.scale).ms(STEP_BOUNDS.soakHeartbeatMs),
    cancellationType: answersCancelled
      ? ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
      : ActivityCancellationType.TRY_CANCEL,
    summary,
  }).soak(input);
}

/** One read of the server, of about 100 KB; a bound of its own, since no cloud is asked. */
const inventory = proxyActivities<InventorySteps>({
  startToCloseTimeout: '30s',
  retry: { initialInterval: '1s', maximumInterval: '30s' },
  summary: 'Read the upgrades of this shard',
});

/** The end of a rollout waits for it, so it has an end. */
const releasing = proxyActivities<InventorySteps>({
  startToCloseTimeout: '30s',
  scheduleToCloseTimeout: '2m',
  retry: { initialInterval: '1s', maximumInterval: '30s' },
  summary: 'Let go of the lists of upgrades',
});

const locks = proxyActivities<LockSteps>({
  startToCloseTimeout: '30s',
  retry: { initialInterval: '1s', maximumInterval: '30s' },
  summary: 'Who upgrades these resources just now',
});

/** As `LockSteps`. */
export function lockOwners(workflowIds: readonly string[]): Promise<readonly (LockOwner | null)[]> {
  return locks.lockOwners(workflowIds);
}

/** One read of the server, and one answer for all that waits. Who cannot ask waits on. */
const gates = proxyActivities<GateSteps>({
  startToCloseTimeout: '30s',
  retry: { initialInterval: '1s', maximumInterval: '60s' },
  summary: 'Ask whether the windows are open',
});

const openings = proxyActivities<OpeningSteps>({
  startToCloseTimeout: '30s',
  retry: { initialInterval: '1s', maximumInterval: '60s' },
  summary: 'When the windows open and close, to tell people',
});

export function nextOpening(
  ...asked: Parameters<OpeningSteps['nextOpening']>
): ReturnType<OpeningSteps['nextOpening']> {
  return openings.nextOpening(...asked);
}

/** To a webhook, for a day: by then what it had to say is of no use. Tries cost the history nothing. */
export function noticeSteps(scale: number, text: string): NoticeSteps {
  const ms = (atScaleOne: number) => Math.max(atScaleOne * scale, SHORTEST_RETRY_MS);
  return proxyActivities<NoticeSteps>({
    taskQueue: QUEUES.wait,
    startToCloseTimeout: '20s',
    scheduleToCloseTimeout: ms(24 * 3_600_000),
    retry: { initialInterval: ms(5_000), backoffCoefficient: 2, maximumInterval: ms(600_000) },
    summary: text.slice(0, 100),
  });
}

/** Of a schedule's run. */
export const scheduleSteps = proxyActivities<ScheduleSteps>({
  startToCloseTimeout: '30s',
  retry: { initialInterval: '1s', maximumInterval: '60s' },
  summary: "The schedule's next instants, and whether the last rollout has ended",
});

/**
 * Planning reads clouds, which may be away for a while: it is tried for a quarter of an hour, and then a person has to look.
 *
 * @param queue of the accounts that it reads, where they have one in common
 */
export function planningSteps(scale: number, queue?: string): PlanningSteps {
  const ms = (atScaleOne: number) => Math.max(atScaleOne * scale, SHORTEST_RETRY_MS);
  return proxyActivities<PlanningSteps>({
    taskQueue: queueOf('wait', queue),
    startToCloseTimeout: '6 hours',
    heartbeatTimeout: '20s',
    retry: { initialInterval: ms(30_000), backoffCoefficient: 2, maximumInterval: ms(240_000), maximumAttempts: 6 },
    summary: 'Choose and precheck the resources afresh',
  });
}

export function readGates(input: GatesInput): ReturnType<GateSteps['readGates']> {
  return gates.readGates(input);
}

/** Nobody waits for it for long: what is not told is learned from the next ones. */
const learning = proxyActivities<LearningSteps>({
  startToCloseTimeout: '15s',
  scheduleToCloseTimeout: '2m',
  retry: { initialInterval: '1s', maximumInterval: '10s', maximumAttempts: 5 },
  summary: 'Tell the ledger how long upgrades took',
});

export function learnDurations(durations: Durations): Promise<void> {
  return learning.learnDurations(durations);
}

const quarantine = proxyActivities<QuarantineSteps>({
  startToCloseTimeout: '30s',
  retry: { initialInterval: '1s', maximumInterval: '60s' },
  summary: 'Which resources keep failing',
});

/** As `QuarantineSteps`. */
export function readQuarantine(): Promise<Quarantine> {
  return quarantine.readQuarantine();
}

/** As `QuarantineSteps`; the shard's end waits for it, so it has an end. */
const telling = proxyActivities<QuarantineSteps>({
  startToCloseTimeout: '15s',
  scheduleToCloseTimeout: '10m',
  retry: { initialInterval: '1s', maximumInterval: '30s' },
  summary: 'Tell the ledger what failed',
});

export function tellQuarantine(...told: Parameters<QuarantineSteps['tellQuarantine']>): Promise<void> {
  return telling.tellQuarantine(...told);
}

export function readInventory(ref: InventoryRef): Promise<readonly UpgradeSpec[]> {
  return inventory.readInventory(ref);
}

/** As `InventorySteps`. */
export function releaseInventories(refs: readonly InventoryRef[]): Promise<void> {
  return releasing.releaseInventories(refs);
}

const freezes = proxyActivities<FreezeSteps>({
  startToCloseTimeout: '30s',
  retry: { initialInterval: '1s', maximumInterval: '60s' },
  summary: 'Ask whether anything is frozen',
});

/** As `FreezeSteps`. */
export function readFreezes(): Promise<readonly Freeze[]> {
  return freezes.readFreezes();
}

/** As long as a freeze lasts; a dead worker is noticed as in a wait, and nothing hangs on it but the time. */
const freezeWaits = proxyActivities<FreezeWaits>({
  taskQueue: QUEUES.wait,
  startToCloseTimeout: '400d',
  heartbeatTimeout: STEP_BOUNDS.waitHeartbeatMs,
  cancellationType: ActivityCancellationType.TRY_CANCEL,
  retry: { initialInterval: '1s', maximumInterval: '60s' },
  summary: 'Wait for the end of a freeze',
});

/** As `FreezeWaits`. */
export function freezesEnded(ids: readonly string[]): Promise<readonly Freeze[]> {
  return freezeWaits.freezesEnded(ids);
}
