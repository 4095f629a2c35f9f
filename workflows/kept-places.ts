/** Places in groups that members keep while they wait, since they serve nobody: pure, so that clients can name them too. */
import { named } from './contracts/named.js';
import type { UpgradeSpec } from './contracts/upgrade.js';

interface Waiting {
  readonly spec: UpgradeSpec;
}

/** A group that has no place for one of its members, since others keep theirs. */
export interface KeptGroup<T extends Waiting> {
  readonly group: string;
  /** Of its members, so many may be unavailable. */
  readonly max: number;
  readonly keepers: readonly T[];
}

/**
 * Those of a queue that no place is kept from by members that wait there and serve nobody: these themselves, and what they
 * wait for, directly or through others.
 */
export function unbound<T extends Waiting>(queue: readonly T[]): ReadonlySet<T> {
  const providers = byName(queue, ({ spec }) => spec.provides ?? []);
  const free = new Set(queue.filter(isKeeper));
  // A set grows while it is gone through.
  for (const { spec } of free) {
    for (const name of spec.after ?? []) {
      for (const one of providers.get(name) ?? []) free.add(one);
      // Thousands may wait for the same.
      providers.delete(name);
    }
  }
  return free;
}

/** The places that members of a queue keep there; made once for many questions, since a queue may be ten thousand. */
export class KeptPlaces<T extends Waiting> {
  private readonly free: ReadonlySet<T>;
  /** By group. */
  private readonly keepers: ReadonlyMap<string, readonly T[]>;

  constructor(queue: readonly T[]) {
    this.free = unbound(queue);
    this.keepers = byName(queue.filter(isKeeper), ({ spec }) => Object.keys(spec.groups ?? {}));
  }

  /** Which of its groups has no place for a member, since others wait themselves and serve nobody; `null` when each has. */
  keptFrom(next: T): KeptGroup<T> | null {
    if (this.free.has(next)) return null;
    for (const [group, max] of Object.entries(next.spec.groups ?? {})) {
      const keepers = this.keepers.get(group) ?? [];
      if (keepers.length >= max) return { group, max, keepers };
    }
    return null;
  }

  /** Why a member waits for others of its group; `null` when it does not. */
  whyKept(next: T): string | null {
    const kept = this.keptFrom(next);
    return kept === null ? null : keptReason(kept);
  }
}

function isKeeper({ spec }: Waiting): boolean {
  return spec.unwellBefore === true;
}

function byName<T>(some: readonly T[], namesOf: (one: T) => readonly string[]): Map<string, T[]> {
  const all = new Map<string, T[]>();
  for (const one of some) {
    for (const name of namesOf(one)) {
      const same = all.get(name);
      if (same === undefined) all.set(name, [one]);
      else same.push(one);
    }
  }
  return all;
}

/** `no more than 1 of group pair may be unavailable, and a, b, c and 4 more ended failed, held or unhealthy before` */
export function keptReason(kept: KeptGroup<Waiting>): string {
  const ids = kept.keepers.map(({ spec }) => spec.resource.id);
  return `${keptLabel(kept)}, and ${named(ids)} ended failed, held or unhealthy before`;
}

/** `no more than 1 of group pair may be unavailable` */
export function keptLabel({ group, max }: Pick<KeptGroup<Waiting>, 'group' | 'max'>): string {
  return `no more than ${max} of group ${group} may be unavailable`;
}
