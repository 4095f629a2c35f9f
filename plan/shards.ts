/** Which upgrades of a wave share a shard: those that wait for each other must, members of a group should. */
import type { UpgradeSpec } from '../workflows/contracts/upgrade.js';

type Bound = Pick<UpgradeSpec, 'groups' | 'after' | 'provides'>;

/**
 * Upgrades in shards of at most `size`, in their order but for those that belong together, which follow the first of
 * them. A group that is larger than a shard is spread over several, and its limit is then the wave's.
 */
export function inShards<T extends Bound>(upgrades: readonly T[], size: number): T[][] {
  const shards: T[][] = [];
  let open: T[] = [];
  const close = () => {
    if (open.length > 0) shards.push(open);
    open = [];
  };
  for (const some of units(upgrades, size)) {
    if (open.length + some.length > size) close();
    // Only what may be parted is larger than a shard.
    for (let start = 0; start < some.length; start += size) {
      const piece = some.slice(start, start + size);
      if (open.length + piece.length > size) close();
      open.push(...piece);
    }
  }
  close();
  return shards;
}

/** Those that wait for each other, directly or through others, as lists; only lists of more than one. */
export function chains<T extends Bound>(upgrades: readonly T[]): T[][] {
  return connected(upgrades, waits).filter((list) => list.length > 1);
}

/** Names of groups whose members are in more than one of these shards. */
export function partedGroups(shards: readonly (readonly Bound[])[]): Readonly<Record<string, number>> {
  const seenIn = new Map<string, { readonly shards: Set<number>; readonly max: number }>();
  shards.forEach((shard, at) => {
    for (const { groups = {} } of shard) {
      for (const [name, max] of Object.entries(groups)) {
        const known = seenIn.get(name) ?? { shards: new Set(), max };
        known.shards.add(at);
        seenIn.set(name, known);
      }
    }
  });
  const parted = [...seenIn].filter(([, { shards: in_ }]) => in_.size > 1);
  return Object.fromEntries(parted.map(([name, { max }]) => [name, max]));
}

/** Whether all of these wait at the same gate. */
export function haveOneGate(upgrades: readonly Pick<UpgradeSpec, 'gate'>[]): boolean {
  const gates = new Set(upgrades.map(({ gate }) => gate));
  return gates.size === 1 && !gates.has(undefined);
}

/** What is kept together if it fits a shard: first by groups and waits, and what is too large for that by waits alone. */
function units<T extends Bound>(upgrades: readonly T[], size: number): T[][] {
  return connected(upgrades, (one) => [
    ...waits(one),
    ...Object.keys(one.groups ?? {}).map((name) => `g ${name}`),
  ]).flatMap((list) => (list.length <= size ? [list] : connected(list, waits)));
}

function waits({ after = [], provides = [] }: Bound): string[] {
  return [...after, ...provides].map((name) => `w ${name}`);
}

/** Lists of what shares a key, directly or through others; in the order of each list's first. */
function connected<T>(all: readonly T[], keysOf: (one: T) => readonly string[]): T[][] {
  const parent = all.map((_one, at) => at);
  const root = (at: number): number => {
    let top = at;
    while (parent[top] !== top) top = parent[top] ?? top;
    parent[at] = top;
    return top;
  };
  const firstWith = new Map<string, number>();
  all.forEach((one, at) => {
    for (const key of keysOf(one)) {
      const first = firstWith.get(key);
      if (first === undefined) firstWith.set(key, at);
      else {
        const [a, b] = [root(first), root(at)];
        parent[Math.max(a, b)] = Math.min(a, b);
      }
    }
  });
  const lists = new Map<number, T[]>();
  all.forEach((one, at) => {
    const list = lists.get(root(at));
    if (list === undefined) lists.set(root(at), [one]);
    else list.push(one);
  });
  return [...lists.values()];
}
