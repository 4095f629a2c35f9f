/** Places in groups that members keep while they wait, since they serve nobody: pure, so that clients can name them too. */
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
  const keepers = queue.filter(({ spec }) => spec.unwellBefore === true);
  const free = new Set(keepers);
  // A set grows while it is gone through.
  for (const { spec } of free) {
    const { after = [] } = spec;
    if (after.length === 0) continue;
    for (const one of queue) if (one.spec.provides?.some((name) => after.includes(name)) === true) free.add(one);
  }
  return free;
}

/** Which of its groups has no place for a member, since others wait themselves and serve nobody; `null` when each has. */
export function keptFrom<T extends Waiting>(next: T, queue: readonly T[]): KeptGroup<T> | null {
  const { groups = {} } = next.spec;
  for (const [group, max] of Object.entries(groups)) {
    const keepers = queue.filter(({ spec }) => spec.unwellBefore === true && spec.groups?.[group] !== undefined);
    if (keepers.length >= max && !unbound(queue).has(next)) return { group, max, keepers };
  }
  return null;
}

/** Why a member waits for others of its group; `null` when it does not. */
export function whyKept<T extends Waiting>(next: T, queue: readonly T[]): string | null {
  const kept = keptFrom(next, queue);
  if (kept === null) return null;
  const who = kept.keepers.map(({ spec }) => spec.resource.id).join(', ');
  return `${keptLabel(kept)}, and ${who} ended failed, held or unhealthy before`;
}

/** `no more than 1 of group pair may be unavailable` */
export function keptLabel({ group, max }: Pick<KeptGroup<Waiting>, 'group' | 'max'>): string {
  return `no more than ${max} of group ${group} may be unavailable`;
}
