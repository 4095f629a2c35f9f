/** At most 400 upgrades of a wave, some of them in flight at a time. */
import {
  CancellationScope,
  ChildWorkflowCancellationType,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  startChild,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { rolloutWorkflowId, upgradeWorkflowId } from './contracts/ids.js';
import { allowedInFlight, tally } from './contracts/outcome.js';
import type { Counts, ShardInput, ShardProgress, ShardResult, ShardStatus, UpgradeEnd } from './contracts/rollout.js';
import { ATTRIBUTES } from './contracts/search-attributes.js';
import {
  FAILED_OUTCOMES,
  type Outcome,
  type Phase,
  type UpgradeInput,
  type UpgradeResult,
  type UpgradeSpec,
} from './contracts/upgrade.js';
import { markdown } from './details.js';
import { failedUpgrade, rootReason } from './failures.js';
import { shardProgressSignal, shardStatusQuery, upgradeOverdueSignal } from './messages.js';
import type { upgrade } from './upgrade.js';

/** Words to the rollout per shard: enough for a bar to move, few enough to keep both histories bounded. */
const PROGRESS_STEPS = 10;

export async function shard(input: ShardInput): Promise<ShardResult> {
  const run = new ShardRun(input);
  setHandler(shardStatusQuery, () => run.status());
  setHandler(upgradeOverdueSignal, (workflowId) => {
    run.chargeOverdue(workflowId);
  });

  await run.startAll();
  await run.waitForAll();
  return run.end();
}

class ShardRun {
  private readonly input: ShardInput;
  private readonly queue: UpgradeSpec[];
  private readonly inFlight = new Map<string, { spec: UpgradeSpec; runId: string }>();
  private readonly ends: UpgradeEnd[] = [];
  private failures = 0;
  /** Charged while they ran: their end charges nothing more. */
  private readonly overdue = new Set<string>();
  private stopped = false;
  private lastFailure: string | null = null;
  private readonly running: Promise<void>[] = [];

  constructor(input: ShardInput) {
    this.input = input;
    this.queue = [...input.upgrades];
    this.show();
  }

  /** Starts upgrades as the budget and the limits leave room, until none is left or the shard is stopped. */
  async startAll(): Promise<void> {
    try {
      while (this.queue.length > 0) {
        await condition(() => this.isOverBudget() || this.nextIndex() >= 0);
        if (this.isOverBudget()) break;
        const [spec] = this.queue.splice(this.nextIndex(), 1);
        if (spec !== undefined) await this.start(spec);
      }
    } catch (error) {
      if (!isCancellation(error)) throw error;
      this.stopped = true;
    }
  }

  /** What was submitted is followed to its end, also when the shard was cancelled. */
  async waitForAll(): Promise<void> {
    await CancellationScope.nonCancellable(() => Promise.all(this.running));
  }

  end(): ShardResult {
    const why = this.stopped ? 'the rollout was stopped first' : 'the failure budget was spent first';
    for (const spec of this.queue) this.ends.push(endOf(spec, null, 'NotStarted', why));
    this.show();
    return { ends: this.ends, stopped: this.stopped, failures: this.failures };
  }

  status(): ShardStatus {
    return {
      total: this.input.upgrades.length,
      inFlight: [...this.inFlight].map(([workflowId, { spec, runId }]) => ({
        resourceId: spec.resource.id,
        workflowId,
        runId,
      })),
      ends: this.ends,
    };
  }

  /** An operation past its deadline is charged to the budget once, whatever it comes to in the end. */
  chargeOverdue(workflowId: string): void {
    const upgrade = this.inFlight.get(workflowId);
    if (upgrade === undefined || this.overdue.has(workflowId)) return;
    this.overdue.add(workflowId);
    this.failures += 1;
    this.lastFailure = `${upgrade.spec.resource.id}: overdue, and followed on`;
    this.show();
  }

  private async start(spec: UpgradeSpec): Promise<void> {
    const workflowId = upgradeWorkflowId(spec.resource);
    try {
      const child = await startChild<typeof upgrade>('upgrade', {
        workflowId,
        args: [this.upgradeInput(spec)],
        // A parent that is gone asks its upgrades to stop; it never takes them down (docs/design.md).
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
        cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        staticSummary: `${spec.resource.id} to ${spec.targetLabel}`,
        staticDetails: `${spec.resource.service} in account ${spec.resource.account}, rollout ${this.input.rollout}, ${this.input.wave}`,
        typedSearchAttributes: attributesOf(this.input.rollout, spec),
      });
      this.inFlight.set(workflowId, { spec, runId: child.firstExecutionRunId });
      this.running.push(this.follow(spec, workflowId, child.firstExecutionRunId, () => child.result()));
    } catch (error) {
      if (isCancellation(error)) this.queue.unshift(spec);
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      const reason = `another upgrade of this resource is running: ${workflowId}`;
      await this.add(endOf(spec, null, 'Skipped', reason));
    }
  }

  private async follow(
    spec: UpgradeSpec,
    workflowId: string,
    runId: string,
    result: () => Promise<UpgradeResult>,
  ): Promise<void> {
    let end: UpgradeEnd;
    try {
      end = endFrom(spec, runId, await result());
    } catch (error) {
      const failed = failedUpgrade(error);
      // Terminated or cancelled by hand: what the cloud does is not known here, and the next apply adopts it.
      end =
        failed === null
          ? endOf(spec, runId, 'Held', `its workflow ended without a result: ${rootReason(error)}`)
          : endFrom(spec, runId, failed);
    }
    this.inFlight.delete(workflowId);
    await CancellationScope.nonCancellable(() => this.add(end));
  }

  private async add(end: UpgradeEnd): Promise<void> {
    this.ends.push(end);
    if (FAILED_OUTCOMES.includes(end.outcome)) {
      if (!this.overdue.has(end.workflowId)) this.failures += 1;
      this.lastFailure = `${end.resourceId}: ${end.outcome}: ${end.reason}`;
    }
    this.show();
    const every = Math.ceil(this.input.upgrades.length / PROGRESS_STEPS);
    if (this.ends.length % every !== 0 && this.ends.length !== this.input.upgrades.length) return;
    try {
      const handle = getExternalWorkflowHandle(rolloutWorkflowId(this.input.rollout), this.input.rolloutRun);
      await handle.signal(shardProgressSignal, this.progress());
    } catch (error) {
      // A rollout that is gone needs no progress; the upgrades go on.
      if (isCancellation(error)) throw error;
    }
  }

  private progress(): ShardProgress {
    return {
      wave: this.input.index,
      shard: this.input.shard,
      inFlight: this.inFlight.size,
      counts: this.counts(),
      failures: this.failures,
      failure: this.lastFailure,
    };
  }

  private counts(): Counts {
    return tally(this.ends.map(({ outcome }) => outcome));
  }

  private isOverBudget(): boolean {
    return this.failures > this.input.failuresLeft;
  }

  /** The next upgrade that wave, budget and account have room for; -1 when there is none now. */
  private nextIndex(): number {
    const { concurrency, failuresLeft, mode, accountLimits } = this.input;
    if (this.inFlight.size >= concurrency) return -1;
    // One that is overdue has been charged: it can fail the budget no second time.
    const uncharged = [...this.inFlight.keys()].filter((workflowId) => !this.overdue.has(workflowId)).length;
    if (uncharged >= allowedInFlight(concurrency, failuresLeft, this.failures, mode)) return -1;
    const perAccount = new Map<string, number>();
    for (const { spec } of this.inFlight.values()) {
      perAccount.set(spec.resource.account, (perAccount.get(spec.resource.account) ?? 0) + 1);
    }
    return this.queue.findIndex(
      ({ resource }) => (perAccount.get(resource.account) ?? 0) < (accountLimits[resource.account] ?? Infinity),
    );
  }

  private upgradeInput(spec: UpgradeSpec): UpgradeInput {
    const { rollout, rolloutRun, wave, timing } = this.input;
    return { rollout, rolloutRun, wave, spec, timing };
  }

  private show(): void {
    const { upgrades, wave, concurrency } = this.input;
    setCurrentDetails(
      markdown({
        state: `**${this.ends.length} of ${upgrades.length} ended**, ${this.inFlight.size} in flight, ${this.failures} failed`,
        next: this.queue[0] === undefined ? 'the end of those in flight' : this.queue[0].resource.id,
        why: `wave ${wave} runs up to ${concurrency} at a time`,
        more: this.lastFailure === null ? [] : [['Latest failure:', this.lastFailure]],
      }),
    );
  }
}

function attributesOf(rollout: string, { resource, targetLabel }: UpgradeSpec) {
  return [
    { key: ATTRIBUTES.rollout, value: rollout },
    { key: ATTRIBUTES.cloud, value: resource.cloud },
    { key: ATTRIBUTES.service, value: resource.service },
    { key: ATTRIBUTES.region, value: resource.region },
    { key: ATTRIBUTES.account, value: resource.account },
    { key: ATTRIBUTES.resource, value: resource.id },
    { key: ATTRIBUTES.target, value: targetLabel },
    { key: ATTRIBUTES.phase, value: 'Precheck' satisfies Phase },
  ];
}

function endFrom(spec: UpgradeSpec, runId: string, result: UpgradeResult): UpgradeEnd {
  return {
    ...endOf(spec, runId, result.outcome, result.reason),
    fromVersion: result.fromVersion,
    toVersion: result.toVersion,
  };
}

/** Reasons are cut here, since a shard's answer holds 400 of them; the upgrade's own page has the whole one. */
function endOf(spec: UpgradeSpec, runId: string | null, outcome: Outcome, reason: string): UpgradeEnd {
  return {
    resourceId: spec.resource.id,
    account: spec.resource.account,
    service: spec.resource.service,
    workflowId: upgradeWorkflowId(spec.resource),
    runId,
    outcome,
    reason: reason.length <= 300 ? reason : `${reason.slice(0, 299)}…`,
    fromVersion: spec.plannedFrom,
    toVersion: null,
  };
}
