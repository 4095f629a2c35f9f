/** A person's word on an upgrade that evidence cannot end. */
import { allHandlersFinished, CancellationScope, condition } from '@temporalio/workflow';
import { whyUnsigned } from './contracts/control.js';
import type { Operation, Outcome, Phase, Resolution } from './contracts/upgrade.js';
import { summaryOf } from './pauses.js';
import { mustBeInTime } from './timely.js';
import { nameOf } from './upgrade-details.js';

const OUTCOMES = { done: 'Succeeded', failed: 'Failed', 'not-submitted': 'NotStarted' } as const;

export class UpgradeResolution {
  private readonly shielded: CancellationScope;
  private given: Resolution | null = null;
  /** What it ends. */
  private wait: CancellationScope | null = null;

  /** @param shielded a scope that nothing cancels */
  constructor(shielded: CancellationScope) {
    this.shielded = shielded;
  }

  get isGiven(): boolean {
    return this.given !== null;
  }

  /** @throws Error saying why a person's word is not taken now */
  mustBeFitting(
    { as, reason, actor, ...timely }: Resolution,
    upgrade: { readonly phase: Phase; readonly operation: Operation | null },
  ): void {
    mustBeInTime(timely);
    // Anybody may send anything.
    if (typeof as !== 'string' || !Object.hasOwn(OUTCOMES, as)) throw new Error(`unknown resolution ${String(as)}`);
    const unsigned = whyUnsigned({ actor, reason });
    if (unsigned !== null) throw new Error(unsigned);
    if (this.given !== null) throw new Error(`resolved already as ${this.given.as} by ${this.given.actor}`);
    const { phase, operation } = upgrade;
    if (phase !== 'Held' && phase !== 'Overdue') {
      throw new Error(`the upgrade is in phase ${phase}: only one that is Held or Overdue is ended by a person`);
    }
    if (as === 'not-submitted' && operation !== null) {
      throw new Error(`its submit was accepted (${nameOf(operation)}): resolve it as done or failed`);
    }
  }

  /** The wait under way ends with it, once whoever spoke has the answer. */
  give(resolution: Resolution): void {
    this.given = resolution;
    void this.shielded
      .run(() => condition(allHandlersFinished))
      .then(() => {
        // Unless evidence came at the same moment.
        if (this.given !== null) this.wait?.cancel();
      });
  }

  /** Evidence came after all: it counts for more than a word that was given for lack of it. */
  withdraw(): void {
    this.given = null;
  }

  /** How the upgrade ends by it; `null` while nobody has spoken. */
  endBy(lastSeen: string): { readonly outcome: Outcome; readonly reason: string } | null {
    if (this.given === null) return null;
    const { as, actor, reason } = this.given;
    return { outcome: OUTCOMES[as], reason: `resolved as ${as} by ${actor}: ${reason}; last seen: ${lastSeen}` };
  }

  /** What the step comes to; `null` when a person ends the upgrade meanwhile: then nobody waits for it any more. */
  async unlessGiven<T>(step: () => Promise<T>): Promise<T | null> {
    const wait = new CancellationScope();
    this.wait = wait;
    try {
      const running = wait.run(step);
      // It may have come while nothing was waited for.
      if (this.isGiven) wait.cancel();
      const end = await running;
      return this.isGiven ? null : end;
    } catch (error) {
      if (!this.isGiven) throw error;
      return null;
    } finally {
      this.wait = null;
    }
  }

  /** Resolves when it is given, or after so many milliseconds. */
  async orAfter(ms: number, reason: string): Promise<void> {
    await condition(() => this.isGiven, ms, { summary: summaryOf(reason) });
  }
}
