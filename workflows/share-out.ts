/** What each shard of a wave is granted of its limits, so that they hold across all of them while messages are under way. */
import type { Grant, Limits, ShardWord } from './contracts/rollout.js';
import { RISK, SLOTS } from './limits.js';

/** One shard as its wave knows it. */
export interface Sharing {
  /** Before its first word: all that it could ever use. */
  readonly word: Omit<ShardWord, 'shard'>;
  /** Grants that it may be acting on: the latest that it has heard, and those after. Empty before its start. */
  readonly grants: readonly Given[];
}

/** A grant, and the least that the words which it does not answer have wanted: so much of it binds (`ShardShare.limits`). */
interface Given {
  readonly grant: Grant;
  readonly leastWants: Limits;
}

/** The most that a shard may be using of each limit, whatever is still under way. */
function mostInUse({ word, grants }: Sharing, names: readonly string[]): Limits {
  return Object.fromEntries(
    names.map((name) => {
      const used = word.uses[name] ?? 0;
      return [name, Math.max(used, ...grants.map((given) => effective(given, name)))];
    }),
  );
}

/** What a grant lets a shard use. */
function effective({ grant, leastWants }: Given, name: string): number {
  return Math.min(grant.limits[name] ?? 0, leastWants[name] ?? Infinity);
}

/** What a shard may use once it has heard everything. */
export function granted({ grants }: Sharing, names: readonly string[]): Limits {
  const latest = grants.at(-1);
  return Object.fromEntries(names.map((name) => [name, latest === undefined ? 0 : effective(latest, name)]));
}

/**
 * What each shard shall be granted, first come, first served, so that upgrades start in the wave's order. What is granted
 * together with what others may still be using never exceeds a limit.
 */
export function shareOut(limits: Limits, shards: readonly Sharing[], full: readonly string[]): Limits[] {
  const names = Object.keys(limits);
  // Whoever lacks what nobody gets any more has to hear of it, and needs a slot for the rest.
  const scarce = names.filter((name) => !full.includes(name));
  const bounds = shards.map((shard) => mostInUse(shard, names));
  const next = shards.map((shard) => ({ ...granted(shard, names) }));
  const free: Record<string, number> = {};
  for (const name of names) {
    free[name] = (limits[name] ?? 0) - sum(bounds.map((of) => of[name] ?? 0));
    // A limit that was lowered meanwhile is taken from the last ones first.
    let excess = sum(next.map((of) => of[name] ?? 0)) - (limits[name] ?? 0);
    for (const of of next.toReversed()) {
      const cut = Math.min(Math.max(excess, 0), of[name] ?? 0);
      of[name] = (of[name] ?? 0) - cut;
      excess -= cut;
    }
  }

  shards.forEach(({ word }, at) => {
    const [mine, bound] = [next[at], bounds[at]];
    if (mine === undefined || bound === undefined) return;
    const reach = (name: string) =>
      Math.max(mine[name] ?? 0, Math.min(word.wants[name] ?? 0, (bound[name] ?? 0) + Math.max(free[name] ?? 0, 0)));
    const take = (name: string, amount: number) => {
      const raised = Math.max(mine[name] ?? 0, Math.min(amount, reach(name)));
      free[name] = (free[name] ?? 0) - Math.max(raised - (bound[name] ?? 0), 0);
      mine[name] = raised;
    };
    for (const name of names) if (name !== SLOTS && name !== RISK) take(name, Infinity);
    // Slots that a shard could not fill, for want of something else, are another's.
    let usable = Math.min(reach(SLOTS), (word.wants[SLOTS] ?? 0) - shortage(scarce, word.wants, mine));
    if (names.includes(RISK)) usable = Math.min(usable, reach(RISK) - word.failures);
    take(SLOTS, usable);
    if (names.includes(RISK)) {
      // Some to spare, so that a failure needs no word before the next upgrade.
      const needed = word.failures + usable;
      const spare = Math.floor(Math.max(free[RISK] ?? 0, 0) / (2 * shards.length));
      take(RISK, (mine[RISK] ?? 0) > needed ? 0 : needed + Math.min(spare, usable));
    }
    // And what it could not use for want of slots is another's: two shards never wait for each other.
    const slots = mine[SLOTS] ?? 0;
    for (const name of names) {
      const most = name === RISK ? (slots === 0 ? word.failures : Infinity) : slots;
      const idle = Math.max((mine[name] ?? 0) - most, 0);
      const notYetUsed = Math.max((mine[name] ?? 0) - (bound[name] ?? 0), 0);
      mine[name] = (mine[name] ?? 0) - idle;
      free[name] = (free[name] ?? 0) + Math.min(idle, notYetUsed);
    }
  });
  return next;
}

/** How many of the wanted slots lack something else, by the kind of limit that is shortest. */
function shortage(names: readonly string[], wants: Limits, given: Limits): number {
  const short = new Map<string, number>();
  for (const name of names) {
    if (name === SLOTS || name === RISK) continue;
    const kind = name.split(':')[0] ?? '';
    short.set(kind, (short.get(kind) ?? 0) + Math.max((wants[name] ?? 0) - (given[name] ?? 0), 0));
  }
  return Math.max(0, ...short.values());
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
