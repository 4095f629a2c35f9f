/** What a shard has room for: what is in use, which places are kept, and who of its queue fits beside them. */
import { patched } from '@temporalio/workflow';
import type { Limits } from './contracts/rollout.js';
import type { UpgradeSpec } from './contracts/upgrade.js';
import { unbound } from './kept-places.js';
import { drawn, type Drawing, drawsOf, groupLimits, holdsOf, RISK, startable } from './limits.js';
import type { ShardEnds } from './shard-ends.js';
import type { ShardGroups } from './shard-groups.js';
import type { Queued, ShardInFlight } from './shard-in-flight.js';
import type { ShardLeases } from './shard-leases.js';

/** One that waits for nothing but room, and what it draws on. */
interface Ready extends Drawing {
  readonly queued: Queued;
}

/** What a shard knows of its upgrades. */
interface Known {
  readonly queue: () => readonly Queued[];
  /** Whether one of the queue waits for nothing but room. */
  readonly isReady: (next: Queued) => boolean;
  readonly inFlight: ShardInFlight;
  readonly ends: ShardEnds;
  readonly leases: ShardLeases<Queued>;
  readonly groups: ShardGroups;
}

export class ShardRoom {
  private readonly known: Known;
  private limits: Limits;
  /** Whether any of its upgrades keeps a place while it waits: asked after every event, and hardly ever so. */
  private keepsPlaces = false;

  /** @param limits of its wave, as they were when the shard began */
  constructor(limits: Limits, known: Known) {
    this.limits = limits;
    this.known = known;
  }

  /** Takes the limits of their groups, once the shard's list was read. */
  measure(specs: readonly UpgradeSpec[]): void {
    this.limits = { ...groupLimits(specs), ...this.limits };
    this.keepsPlaces = specs.some(({ unwellBefore }) => unwellBefore === true);
  }

  /** Those of the queue that may start together now. */
  fitting(granted: Limits): readonly Queued[] {
    return this.roomFor({ ...this.limits, ...granted }, this.inUse()).map(({ queued }) => queued);
  }

  /** What is used, with the places that are kept, and what would be if the wave gave enough. */
  standing(): { readonly uses: Limits; readonly wants: Limits } {
    const inUse = this.inUse();
    // Slots and risk are the wave's to bound.
    const own = Object.fromEntries(Object.entries(this.limits).filter(([name]) => name.includes(':')));
    return { uses: this.usesWith([], inUse), wants: this.usesWith(this.roomFor(own, inUse), inUse) };
  }

  /** Those that wait for nothing and fit some limits, beside the places that others keep while they wait. */
  private roomFor(limits: Limits, inUse: Limits): readonly Ready[] {
    if (this.kept([]).length === 0) return startable(this.ready(), inUse, limits);
    const free = unbound(this.known.queue());
    const ready = [...this.ready()];
    const first = startable(
      ready.filter(({ queued }) => free.has(queued)),
      inUse,
      limits,
    );
    const others = ready.filter(({ queued }) => !free.has(queued));
    return [...first, ...startable(others, this.usesWith(first, inUse), limits)];
  }

  /** What is in use, with the places that are kept, once these have started. */
  private usesWith(starting: readonly Ready[], inUse: Limits): Limits {
    const kept = this.kept(starting.map(({ queued }) => queued));
    return drawn(Object.keys(this.limits), [...starting, ...kept], inUse);
  }

  /** Places of members that serve nobody and wait; one that others upgrade just now has its place by that. */
  private kept(starting: readonly Queued[]): readonly Drawing[] {
    if (!this.keepsPlaces) return [];
    const counted = new Set([...starting, ...this.known.leases.bound]);
    const waiting = this.known.queue().filter((next) => !counted.has(next));
    return holdsOf(waiting.map(({ spec }) => spec));
  }

  private *ready(): Iterable<Ready> {
    const { queue, isReady, leases } = this.known;
    for (const queued of queue()) {
      if (!isReady(queued)) continue;
      // The places of one that others upgrade are taken already.
      yield { queued, draws: leases.isBound(queued) ? drawsOf({ resource: queued.spec.resource }) : queued.draws };
    }
  }

  private inUse(): Limits {
    const { inFlight, ends, leases, groups } = this.known;
    const unsettled = this.unsettled();
    const elsewhere = leases.bound.filter((next) => !unsettled.includes(next));
    const taken = groups.taken(elsewhere.map(({ spec }) => spec));
    const uses = drawn(Object.keys(this.limits), [...inFlight.all, ...unsettled, ...taken]);
    if (!(RISK in uses)) return uses;
    // One that was charged for being overdue can fail the budget no second time.
    const charged = inFlight.all.filter(({ workflowId }) => ends.wasCharged(workflowId)).length;
    return { ...uses, [RISK]: inFlight.size + unsettled.length - charged + ends.failures };
  }

  /** Those that others upgrade may yet fail for it: until then they count as in flight. */
  private unsettled(): readonly Queued[] {
    const conflicts = this.known.leases.unsettled;
    // Shards of older releases gave back what these had drawn.
    return conflicts.length > 0 && patched('conflicts-count') ? conflicts : [];
  }
}
