/** Resources that keep failing, as a shard knows them: left out before they start, and told to the ledger at its end. */
import { CancellationScope, isCancellation } from '@temporalio/workflow';
import { signedCommand } from './contracts/commands.js';
import { type Quarantine, quarantineLabel } from './contracts/quarantine.js';
import type { ShardCarried, ShardInput, UpgradeEnd } from './contracts/rollout.js';
import { upgradeWorkflowId } from './contracts/ids.js';
import { type FailureClass, GOOD_OUTCOMES, type UpgradeSpec } from './contracts/upgrade.js';
import { readQuarantine, tellQuarantine } from './steps.js';

export class ShardQuarantine {
  private readonly rollout: string;
  /** `undefined`: the plan has no quarantine, or an older release has started the rollout. */
  private readonly after: number | undefined;
  private known: Quarantine = {};
  private readonly failed: Map<string, string>;
  private readonly recovered: Set<string>;

  constructor({ rollout, quarantineAfter, carried }: Pick<ShardInput, 'rollout' | 'quarantineAfter' | 'carried'>) {
    this.rollout = rollout;
    this.after = quarantineAfter;
    const { failed = [], recovered = [] } = carried?.quarantine ?? {};
    const reasons = new Map(carried?.ends.map(({ workflowId, reason }) => [workflowId, reason]));
    this.failed = new Map(failed.map((workflowId) => [workflowId, reasons.get(workflowId) ?? '']));
    this.recovered = new Set(recovered);
  }

  /** Before the first upgrade starts. */
  async begin(): Promise<void> {
    if (this.after === undefined) return;
    try {
      this.known = await readQuarantine();
    } catch (error) {
      // Stopped meanwhile: nothing is started anyway.
      if (!isCancellation(error)) throw error;
    }
  }

  /** Why it is left out; `null` when it is not. */
  whyOut(spec: UpgradeSpec): string | null {
    if (this.after === undefined) return null;
    const failing = this.known[upgradeWorkflowId(spec.resource)];
    if (failing === undefined || failing.failures < this.after) return null;
    return `${quarantineLabel(failing)}; \`${signedCommand('quarantine', 'release', spec.resource.id)}\` lets it be tried again`;
  }

  /** @param failedIn `null` as well for one that people terminated: that says nothing of the resource */
  ended({ workflowId, outcome, reason }: UpgradeEnd, failedIn: FailureClass | null): void {
    if (failedIn !== null && failedIn !== 'precheck') this.failed.set(workflowId, reason);
    else if (GOOD_OUTCOMES.includes(outcome) && workflowId in this.known) this.recovered.add(workflowId);
  }

  /** For the next run: their reasons stand with their ends. */
  get carried(): ShardCarried['quarantine'] {
    return { failed: [...this.failed.keys()], recovered: [...this.recovered] };
  }

  /** A word for all of its upgrades, and none when there is nothing to tell. */
  async tell(): Promise<void> {
    if (this.after === undefined || this.failed.size + this.recovered.size === 0) return;
    const change = {
      kind: 'ended',
      rollout: this.rollout,
      failed: [...this.failed].map(([workflowId, reason]) => ({ workflowId, reason })),
      recovered: [...this.recovered],
    } as const;
    await CancellationScope.nonCancellable(() => tellQuarantine(change)).catch(() => undefined);
  }
}
