/**
 * The four steps as proxies, one per profile. A time-out here is how long a dead worker goes unnoticed, so each bound is
 * as short as its step allows; all of them shrink with the rollout's scale. None limits attempts: a deploy or a crash
 * uses one up, and what was submitted is followed to its end.
 */
import { ActivityCancellationType, proxyActivities, type ActivityOptions } from '@temporalio/workflow';
import { QUEUES } from './contracts/queues.js';
import type { InventoryRef } from './contracts/rollout.js';
import type { InventorySteps, ReadSteps, SubmitSteps, WaitSteps } from './contracts/steps.js';
import type { UpgradeSpec } from './contracts/upgrade.js';

/** A busy machine may be late with a heartbeat by this much, whatever the scale. */
const SHORTEST_MS = 3_000;
/** Below about a second the server fires no timer. */
const SHORTEST_RETRY_MS = 1_000;

export interface Steps {
  readonly reads: ReadSteps;
  readonly submits: SubmitSteps;
  readonly waits: WaitSteps;
}

export interface Summaries {
  readonly precheck: string;
  readonly submit: string;
  readonly awaitOperation: string;
  readonly verify: string;
}

export function stepsAt(scale: number): (summary: string) => Steps {
  const ms = (atScaleOne: number) => Math.max(atScaleOne * scale, SHORTEST_MS);
  const retry = { initialInterval: SHORTEST_RETRY_MS, maximumInterval: Math.max(60_000 * scale, SHORTEST_RETRY_MS) };

  // A precheck ends with the account's turn to submit, so it may take hours; the heartbeat tells a dead worker in 15 s.
  const read: ActivityOptions = {
    startToCloseTimeout: ms(24 * 3_600_000),
    heartbeatTimeout: ms(15_000),
    // Cancelling is stopping, and nothing has been sent: no need to wait for the step.
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    retry,
  };
  // A submit looks, sends and settles (activities/bounds.ts); its heartbeat is short, since a submit that died with its
  // worker costs a settling time on top of this.
  const submit: ActivityOptions = {
    taskQueue: QUEUES.submit,
    startToCloseTimeout: ms(600_000),
    heartbeatTimeout: ms(10_000),
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry,
  };
  // A wait lasts as long as the operation; it ends itself at the service's deadline, long before this bound.
  const wait: ActivityOptions = {
    taskQueue: QUEUES.wait,
    startToCloseTimeout: ms(24 * 3_600_000),
    heartbeatTimeout: ms(30_000),
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry,
  };
  return (summary) => ({
    reads: proxyActivities<ReadSteps>({ ...read, summary }),
    submits: proxyActivities<SubmitSteps>({ ...submit, summary }),
    waits: proxyActivities<WaitSteps>({ ...wait, summary }),
  });
}

/** One read of the server, of about 100 KB; a bound of its own, since no cloud is asked. */
const inventory = proxyActivities<InventorySteps>({
  startToCloseTimeout: '30s',
  retry: { initialInterval: '1s', maximumInterval: '30s' },
  summary: 'Read the upgrades of this shard',
});

export function readInventory(ref: InventoryRef): Promise<readonly UpgradeSpec[]> {
  return inventory.readInventory(ref);
}
