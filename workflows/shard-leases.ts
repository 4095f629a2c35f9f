/** Leases that others hold on the resources of a shard: each waits, is skipped or fails, as its plan says. */
import { isCancellation, patched, sleep } from '@temporalio/workflow';
import type { Timing, UpgradeSpec } from './contracts/upgrade.js';
import { upgradeWorkflowId } from './contracts/ids.js';
import { lockedLabel } from './contracts/leases.js';
import type { ShardCarried } from './contracts/rollout.js';
import { growing, pauseAt, type Growing } from './pauses.js';
import { lockOwners } from './steps.js';

/** Between two looks at leases that others hold. */
const LOOK_MS: Growing = { first: 30_000, longest: 30 * 60_000 };

interface Leased {
  readonly spec: UpgradeSpec;
}

export interface Judged<T> {
  readonly next: T;
  /** `again`: the owner has ended meanwhile, or is waited for. */
  readonly verdict: 'again' | 'fail' | 'skip';
  readonly reason: string;
}

export class ShardLeases<T extends Leased> {
  private readonly scale: number;
  private readonly news: () => void;
  private readonly isOver: () => boolean;
  private readonly members: () => readonly T[];
  /** Found to be upgraded by others, and not judged yet. */
  private readonly conflicts = new Set<T>();
  /** Those that wait for others, and why. */
  private readonly locked = new Map<T, string>();
  /** Those whose groups others keep a place of, also when their own plan does not let them wait. */
  private readonly binding = new Set<T>();
  private watches = false;
  private latestLookAt = -Infinity;
  private isAhead = false;
  private isJudging = false;
  /** ISO 8601: when it is looked who holds them; `null` while nobody waits. */
  nextLook: string | null = null;

  /**
   * @param news called when leases have been looked at
   * @param isOver nothing more is started in this run, so nobody need look
   * @param members those that are queued and take their places in groups while others upgrade them
   */
  constructor({ scale }: Timing, news: () => void, isOver: () => boolean, members: () => readonly T[]) {
    this.scale = scale;
    this.news = news;
    this.isOver = isOver;
    this.members = members;
  }

  /** As an earlier run has found one. */
  recall(next: T, { locked, binding }: ShardCarried['leases']): void {
    const reason = locked[leaseOf(next)];
    if (reason !== undefined) this.locked.set(next, reason);
    if (binding.includes(leaseOf(next))) this.binding.add(next);
  }

  /** For the next run. */
  get carried(): ShardCarried['leases'] {
    const locked = [...this.locked].map(([next, reason]) => [leaseOf(next), reason]);
    return { locked: Object.fromEntries(locked), binding: this.bound.map(leaseOf) };
  }

  /** @param binds while others upgrade it, it takes its place in its groups */
  conflict(next: T, binds: boolean): void {
    this.conflicts.add(next);
    if (binds) this.binding.add(next);
  }

  /** Those whose places in their groups others have. */
  get bound(): readonly T[] {
    return [...this.binding];
  }

  /** Why a member of a group waits for the end of another member, which others upgrade; `null` when it does not. */
  whyBound(next: T): string | null {
    const { groups = {} } = next.spec;
    const isOther = (one: T) => one !== next && Object.keys(one.spec.groups ?? {}).some((name) => name in groups);
    const other = this.bound.find(isOther);
    const why = other === undefined ? undefined : this.locked.get(other);
    return why === undefined ? null : `waits for a member of its group: ${why}`;
  }

  isBound(next: T): boolean {
    return this.binding.has(next);
  }

  /** Why it waits for somebody else; `undefined` when it does not, or is skipped or fails when its turn has come. */
  whyLocked(next: T): string | undefined {
    return next.spec.onLocked === 'wait' ? this.locked.get(next) : undefined;
  }

  /** Nobody else is known to upgrade it any more. */
  free(next: T): void {
    this.locked.delete(next);
    this.binding.delete(next);
  }

  /** Why each of those waits that wait for others. */
  get reasons(): readonly string[] {
    return [...this.locked.values()];
  }

  /** It does not wait any more. */
  forget(next: T): void {
    if (!this.binding.has(next)) this.locked.delete(next);
  }

  /** Those that were found held, and of which it is not settled yet what follows. */
  get unsettled(): readonly T[] {
    return [...this.conflicts];
  }

  /** What follows has begun. */
  settle(next: T): void {
    this.conflicts.delete(next);
  }

  /** Looks who holds what was found held, and names the owners. Each is to be settled. */
  async judge(): Promise<Judged<T>[]> {
    const conflicts = this.unsettled;
    // Shards of older releases skipped them without a look.
    const owners = patched('lock-owners') ? await this.ownersOf(conflicts) : [];
    return conflicts.map((next, at) => {
      const owner = owners[at];
      // It has ended meanwhile.
      if (owner === null) {
        this.binding.delete(next);
        return { next, verdict: 'again', reason: '' };
      }
      const reason = lockedLabel(leaseOf(next), owner);
      const { onLocked } = next.spec;
      if (onLocked === 'wait' || this.binding.has(next)) this.locked.set(next, reason);
      if (onLocked !== 'wait') return { next, verdict: onLocked === 'fail' ? 'fail' : 'skip', reason };
      return { next, verdict: 'again', reason };
    });
  }

  private async ownersOf(conflicts: readonly T[]) {
    this.isJudging = true;
    try {
      return await lockOwners(conflicts.map(leaseOf));
    } finally {
      this.isJudging = false;
    }
  }

  /** Whether it is long ago that anybody looked who upgrades members of groups. */
  get isLookDue(): boolean {
    return Date.now() - this.latestLookAt >= pauseAt(this.scale, LOOK_MS.longest);
  }

  /** Whether time has passed since anybody looked. */
  get areOld(): boolean {
    return Date.now() > this.latestLookAt;
  }

  /** Whether nothing starts before the server has told who has some leases. */
  get isLooking(): boolean {
    return this.isAhead || this.isJudging;
  }

  /** Begins a look before members of groups start, unless one is under way. */
  lookAhead(): void {
    if (this.isAhead) return;
    this.isAhead = true;
    void this.look()
      .catch((error: unknown) => {
        if (!isCancellation(error)) throw error;
      })
      .finally(() => {
        this.isAhead = false;
      });
  }

  /** Looks who holds what is waited for, and members of groups before their turn. */
  async look(waiting: readonly T[] = [...this.locked.keys()]): Promise<void> {
    const asked = [...new Set([...waiting, ...this.members()])];
    const owners = await lockOwners(asked.map(leaseOf));
    this.latestLookAt = Date.now();
    const members = new Set(this.members());
    for (const [at, next] of asked.entries()) {
      const owner = owners[at];
      // Some may have been started or left out meanwhile.
      if (owner === undefined || !(members.has(next) || this.locked.has(next))) continue;
      if (owner === null) this.free(next);
      else {
        if (members.has(next)) this.binding.add(next);
        this.locked.set(next, lockedLabel(leaseOf(next), owner));
      }
    }
    this.news();
  }

  /** Watches the leases that are waited for, if any are. */
  watch(): void {
    if (this.locked.size > 0 && !this.watches) void this.lookAgainAndAgain();
  }

  /** Looks at all leases together, less and less often, so that weeks of waiting keep the history short. */
  private async lookAgainAndAgain(): Promise<void> {
    this.watches = true;
    try {
      for (let look = 0; this.locked.size > 0 && !this.isOver(); look += 1) {
        const waiting = [...this.locked.keys()];
        const wait = pauseAt(this.scale, growing(LOOK_MS, look));
        this.nextLook = new Date(Date.now() + wait).toISOString();
        await sleep(wait, { summary: `${waiting.length} resources are upgraded by others` });
        await this.look(waiting);
      }
    } catch (error) {
      if (!isCancellation(error)) throw error;
    } finally {
      this.watches = false;
      this.nextLook = null;
    }
  }
}

function leaseOf({ spec }: Leased): string {
  return upgradeWorkflowId(spec.resource);
}
