/** The upgrades of a shard that are under way, and what they are told: to go on after a hold, or to stop. */
import { CancellationScope, getExternalWorkflowHandle } from '@temporalio/workflow';
import type { UpgradeSpec } from './contracts/upgrade.js';
import { goOnSignal } from './messages.js';

export interface Queued {
  readonly spec: UpgradeSpec;
  readonly draws: readonly string[];
  /** As `UpgradeResult.waitedMs`. */
  readonly waitedMs?: number;
}

export interface InFlight extends Queued {
  readonly workflowId: string;
  /** `null` while it is being started. */
  runId: string | null;
  isCalledBack: boolean;
}

export class ShardInFlight {
  private readonly upgrades = new Map<string, InFlight>();
  /** Those that found the rollout on hold right before their send. */
  private readonly heldBack = new Set<string>();

  get size(): number {
    return this.upgrades.size;
  }

  get all(): readonly InFlight[] {
    return [...this.upgrades.values()];
  }

  /** Whether any has been under way but for those that a person holds back. */
  get hasWorked(): boolean {
    return this.size > this.heldBack.size;
  }

  get(workflowId: string): InFlight | undefined {
    return this.upgrades.get(workflowId);
  }

  add(workflowId: string, queued: Queued): InFlight {
    const flying: InFlight = { ...queued, workflowId, runId: null, isCalledBack: false };
    this.upgrades.set(workflowId, flying);
    return flying;
  }

  delete(workflowId: string): void {
    this.upgrades.delete(workflowId);
  }

  isHeldBack(workflowId: string): boolean {
    return this.heldBack.has(workflowId);
  }

  /** It has ended. */
  forgetHeldBack(workflowId: string): void {
    this.heldBack.delete(workflowId);
  }

  holdBack(workflowId: string): void {
    this.heldBack.add(workflowId);
  }

  /** Whoever was held back may send. */
  letGo(): void {
    for (const workflowId of this.heldBack) {
      // One that has ended meanwhile needs no word.
      if (this.get(workflowId)?.runId == null) continue;
      // By its id alone, since an operator may have reset it.
      void getExternalWorkflowHandle(workflowId)
        .signal(goOnSignal)
        .catch(() => undefined);
    }
    this.heldBack.clear();
  }

  /**
   * Asks each of them once to stop: what has sent is followed, the rest ends.
   *
   * @param hasSent those that surely have: they need no word
   */
  callBack(hasSent: (workflowId: string) => boolean): void {
    for (const flying of this.all) {
      const { workflowId, runId } = flying;
      if (runId === null || flying.isCalledBack) continue;
      flying.isCalledBack = true;
      if (hasSent(workflowId)) continue;
      // By its id alone, since an operator may have reset it; one that has ended needs no word.
      void CancellationScope.nonCancellable(() => getExternalWorkflowHandle(workflowId).cancel()).catch(
        () => undefined,
      );
    }
  }
}
