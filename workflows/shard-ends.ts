/** How the upgrades of a shard ended, and which of them the failure budget is charged for. */
import { addFailures, tally } from './contracts/outcome.js';
import { upgradeWorkflowId } from './contracts/ids.js';
import type { Counts, FailureCounts, ShardCarried, UpgradeEnd } from './contracts/rollout.js';
import {
  FAILED_OUTCOMES,
  type FailureClass,
  type Outcome,
  type UpgradeResult,
  type UpgradeSpec,
} from './contracts/upgrade.js';

/** A reason is cut at this length. */
const LONGEST_REASON = 300;

export class ShardEnds {
  readonly all: UpgradeEnd[];
  /** Charged to the budget: those that failed, and those that were overdue, however they ended. */
  failures: number;
  /** Of all that failed, charged or not. */
  byClass: FailureCounts;
  /** Resource and reason of the latest one. */
  lastFailure: string | null;
  private readonly charged: readonly FailureClass[] | undefined;
  /** Past their deadlines while they ran: their end charges nothing more. */
  private readonly overdue = new Set<string>();

  /** @param charged failures of which steps are charged; `undefined` for all */
  constructor(charged: readonly FailureClass[] | undefined, carried?: ShardCarried) {
    this.charged = charged;
    this.all = [...(carried?.ends ?? [])];
    this.failures = carried?.failures ?? 0;
    this.byClass = carried?.byClass ?? {};
    this.lastFailure = carried?.lastFailure ?? null;
  }

  /** For the next run. */
  get carried(): Pick<ShardCarried, 'ends' | 'failures' | 'byClass' | 'lastFailure'> {
    const { all: ends, failures, byClass, lastFailure } = this;
    return { ends, failures, byClass, lastFailure };
  }

  add(end: UpgradeEnd, resourceId: string, failedIn: FailureClass | null): void {
    this.all.push(end);
    if (!FAILED_OUTCOMES.includes(end.outcome)) return;
    const step = failedIn ?? (end.outcome === 'Held' ? 'timeout' : 'upgrade');
    this.byClass = addFailures(this.byClass, { [step]: 1 });
    if (this.isCharged(step) && !this.wasCharged(end.workflowId)) this.failures += 1;
    this.lastFailure = `${resourceId}: ${end.outcome}: ${end.reason}`;
  }

  /** An operation past its deadline is charged once, whatever it comes to; `false` when it was told already. */
  chargeOverdue(workflowId: string, resourceId: string): boolean {
    if (this.overdue.has(workflowId)) return false;
    this.overdue.add(workflowId);
    if (this.isCharged('timeout')) this.failures += 1;
    this.lastFailure = `${resourceId}: overdue, and followed on`;
    return true;
  }

  /** Whether it was charged while it ran: it can fail the budget no second time. */
  wasCharged(workflowId: string): boolean {
    return this.overdue.has(workflowId) && this.isCharged('timeout');
  }

  counts(): Counts {
    return tally(this.all.map(({ outcome }) => outcome));
  }

  private isCharged(step: FailureClass): boolean {
    return this.charged?.includes(step) ?? true;
  }
}

export function endFrom(spec: UpgradeSpec, runId: string, result: UpgradeResult): UpgradeEnd {
  return {
    ...endOf(spec, runId, result.outcome, result.reason),
    fromVersion: result.fromVersion,
    toVersion: result.toVersion,
    ...(result.unwell === true ? { unwell: true } : {}),
  };
}

/** Reasons are cut here, since a shard's answer holds 400 of them; the upgrade's own page has the whole one. */
export function endOf(spec: UpgradeSpec, runId: string | null, outcome: Outcome, reason: string): UpgradeEnd {
  return {
    workflowId: upgradeWorkflowId(spec.resource),
    runId,
    outcome,
    reason: reason.length <= LONGEST_REASON ? reason : `${reason.slice(0, LONGEST_REASON - 1)}…`,
    fromVersion: spec.plannedFrom,
    toVersion: null,
  };
}
