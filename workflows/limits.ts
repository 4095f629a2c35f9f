/** Which upgrades may start next: pure, so that every case stands in a table of tests. */
import type { FailureBudget, Limits, WavePlan } from './contracts/rollout.js';
import type { UpgradeSpec } from './contracts/upgrade.js';

/** The wave's concurrency. */
export const SLOTS = 'slots';
/**
 * The strict budget: each upgrade in flight takes one of N + 1, and a failure keeps it. So failures never exceed N + 1,
 * however they fall together.
 */
export const RISK = 'risk';
/** Before the name of an exclusivity group. */
export const GROUP = 'group:';

/** The limits that one upgrade in flight draws on, one each. */
export function drawsOf({ resource, groups }: Pick<UpgradeSpec, 'resource' | 'groups'>): string[] {
  return [
    SLOTS,
    RISK,
    `account:${resource.account}`,
    `service:${resource.service}`,
    `region:${resource.region}`,
    ...groupsOf({ groups }),
  ];
}

/** Of these, its groups. */
export function groupsOf({ groups = {} }: { readonly groups?: UpgradeSpec['groups'] | undefined }): string[] {
  return Object.keys(groups).map((name) => `${GROUP}${name}`);
}

/** The places that are taken before these start: those of members that serve nobody. */
export function holdsOf(upgrades: Iterable<Pick<UpgradeSpec, 'groups' | 'unwellBefore'>>): Drawing[] {
  return [...upgrades].flatMap((spec) => (spec.unwellBefore === true ? [{ draws: groupsOf(spec) }] : []));
}

/** The limits of the groups that some upgrades are members of. */
export function groupLimits(upgrades: Iterable<Pick<UpgradeSpec, 'groups'>>): Limits {
  const limits = [...upgrades].flatMap(({ groups = {} }) =>
    Object.entries(groups).map(([name, max]) => [`${GROUP}${name}`, max] as const),
  );
  return Object.fromEntries(limits);
}

/** Names that others wait for: of what is still open, and of what did not reach its target. */
export interface Awaited {
  readonly open: ReadonlyMap<string, number>;
  readonly missed: ReadonlySet<string>;
}

/** Keeps what is awaited, as upgrades end. */
export class AwaitedNames implements Awaited {
  readonly open = new Map<string, number>();
  readonly missed: Set<string>;

  constructor(missed: readonly string[]) {
    this.missed = new Set(missed);
  }

  expect({ provides = [] }: Pick<UpgradeSpec, 'provides'>): void {
    for (const name of provides) this.open.set(name, (this.open.get(name) ?? 0) + 1);
  }

  ended({ provides = [] }: Pick<UpgradeSpec, 'provides'>, isAtTarget: boolean): void {
    for (const name of provides) {
      this.open.set(name, (this.open.get(name) ?? 1) - 1);
      if (!isAtTarget) this.missed.add(name);
    }
  }

  /** What an upgrade waits for. */
  openOf({ after = [] }: Pick<UpgradeSpec, 'after'>): string[] {
    return after.filter((name) => (this.open.get(name) ?? 0) > 0);
  }
}

/** Whether what an upgrade waits for has come: `met`, still `open`, or the name that was `missed`. */
export function requirement(
  { after = [] }: Pick<UpgradeSpec, 'after'>,
  { open, missed }: Awaited,
): 'met' | 'open' | { readonly missed: string } {
  const name = after.find((one) => missed.has(one));
  if (name !== undefined) return { missed: name };
  return after.some((one) => (open.get(one) ?? 0) > 0) ? 'open' : 'met';
}

/** The limits of a wave, by name. */
export function limitsOf(wave: {
  readonly concurrency: number;
  readonly failuresLeft: number;
  readonly mode: FailureBudget['mode'];
  readonly accountLimits: Limits;
  readonly limits?: Limits | undefined;
}): Limits {
  const risk: Limits = wave.mode === 'strict' ? { [RISK]: wave.failuresLeft + 1 } : {};
  return { [SLOTS]: wave.concurrency, ...risk, ...lower(ofAccounts(wave.accountLimits), wave.limits ?? {}) };
}

/**
 * The limits of accounts, services and regions that let in fewer of some wave than may be in flight in it, by name: the lowest
 * first. Of one that differs between the waves there are several.
 */
export function tighterLimits(
  waves: readonly { readonly plan: Pick<WavePlan, 'limits' | 'parts' | 'upgrades'>; readonly allowed: number }[],
  accountLimits: Limits,
): Map<string, readonly number[]> {
  const found = waves.flatMap(({ plan: wave, allowed }) => {
    const limits = lower(ofAccounts(accountLimits), wave.limits ?? {});
    const names = Object.keys(limits).filter((name) => !name.startsWith(GROUP));
    const own = drawn(names, wave.upgrades?.map((spec) => ({ draws: drawsOf(spec) })) ?? []);
    return names.flatMap((name) => {
      const [limit, wants] = [limits[name] ?? 0, sumOf([own, ...(wave.parts ?? []).map(({ draws }) => draws)], name)];
      return limit < Math.min(allowed, wants) ? [{ name, limit }] : [];
    });
  });
  const tighter = new Map<string, readonly number[]>();
  for (const { name, limit } of found.toSorted((a, b) => a.limit - b.limit)) {
    tighter.set(name, [...new Set([...(tighter.get(name) ?? []), limit])]);
  }
  return tighter;
}

function sumOf(draws: readonly Limits[], name: string): number {
  return draws.reduce((sum, one) => sum + (one[name] ?? 0), 0);
}

function ofAccounts(accountLimits: Limits): Limits {
  return Object.fromEntries(Object.entries(accountLimits).map(([name, limit]) => [`account:${name}`, limit]));
}

export interface Drawing {
  readonly draws: readonly string[];
}

/**
 * Those of a queue, in its order, that may start together beside what is in use. A limit that is not named is none. Of
 * the queue no more is taken than there are slots for: a shard asks after every event.
 */
export function startable<T extends Drawing>(queue: Iterable<T>, uses: Limits, limits: Limits): T[] {
  const left = new Map(Object.entries(limits).map(([name, limit]) => [name, limit - (uses[name] ?? 0)]));
  const isSpent = () => (left.get(SLOTS) ?? 1) <= 0 || (left.get(RISK) ?? 1) <= 0;
  const chosen: T[] = [];
  if (isSpent()) return chosen;
  for (const one of queue) {
    if (one.draws.some((name) => (left.get(name) ?? 1) <= 0)) continue;
    for (const name of one.draws) {
      const rest = left.get(name);
      if (rest !== undefined) left.set(name, rest - 1);
    }
    chosen.push(one);
    if (isSpent()) break;
  }
  return chosen;
}

/** What some upgrades draw on the named limits, added up. */
export function drawn(names: Iterable<string>, upgrades: Iterable<Drawing>, base: Limits = {}): Limits {
  const sum = new Map([...names].map((name) => [name, base[name] ?? 0]));
  for (const { draws } of upgrades) {
    for (const name of draws) {
      const before = sum.get(name);
      if (before !== undefined) sum.set(name, before + 1);
    }
  }
  return Object.fromEntries(sum);
}

/** The lower of two sets of limits, name by name. */
export function lower(a: Limits, b: Limits): Limits {
  const both = { ...a, ...b };
  return Object.fromEntries(
    Object.keys(both).map((name) => [name, Math.min(a[name] ?? Infinity, b[name] ?? Infinity)]),
  );
}
