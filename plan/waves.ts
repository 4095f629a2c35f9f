/** Which wave takes which targets. */
import type { FailureBudget, Limits } from '../workflows/contracts/rollout.js';
import type { ResourceRef, UpgradeSpec } from '../workflows/contracts/upgrade.js';
import {
  AwaitedNames,
  drawn,
  drawsOf,
  groupLimits,
  limitsOf,
  lower,
  requirement,
  RISK,
  startable,
} from '../workflows/limits.js';
import type { InputProblem } from './errors.js';
import { suggest } from './problems.js';
import type { LimitsEntry, WaveEntry, WaveSelectEntry } from './schema.js';
import { share } from './schema.js';
import type { Path, Source } from './source.js';

/** What a wave can be told a target by. */
export interface WaveCandidate {
  readonly name: string | null;
  /** Empty of what is not known yet. */
  readonly id: string;
  /** `spec.targets[0]` or `spec.targets[0].ids[2]`, for messages. */
  readonly where: string;
  readonly resource: ResourceRef;
  /** As they were read; none where they were not. */
  readonly tags: Readonly<Record<string, string>>;
}

export interface ResolvedWave<T> {
  readonly name: string;
  readonly concurrency: number;
  readonly targets: readonly T[];
  /** `20 % of 25 = 5`; `null` where the wave was not given as a share. */
  readonly shown: string | null;
}

/**
 * Gives each target to exactly one wave. Problems name the target or the wave.
 *
 * @param mayBeChosen whether a word that names no target may name one at another time
 */
export function resolveWaves<T extends WaveCandidate>(
  source: Source,
  entries: readonly WaveEntry[],
  targets: readonly T[],
  mayBeChosen: (word: string) => boolean = (word) => isEntryName(source, word),
): { waves: ResolvedWave<T>[]; problems: InputProblem[] } {
  const problems: InputProblem[] = [];
  const complain = (path: readonly (string | number)[], message: string, remedy: string, empty = false): void => {
    const problem = source.problem(['spec', 'waves', ...path], message, remedy);
    problems.push(empty ? { ...problem, fromEmptiness: true } : problem);
  };
  const named = new Map<string, number>();
  const takenBy = new Map<T, string>();
  const taken: T[][] = entries.map(() => []);
  const shown = new Map<number, string>();
  const byWord = candidatesByWord(targets);

  entries.forEach((entry, index) => {
    const earlier = named.get(entry.name);
    if (earlier !== undefined) {
      complain([index, 'name'], `"${entry.name}" is the name of spec.waves[${earlier}] too`, 'give it another name');
    }
    named.set(entry.name, index);
    if (entry.rest === true && index < entries.length - 1) {
      complain([index, 'rest'], 'only the last wave can take the rest', 'move this wave to the end');
    }
    entry.targets?.forEach((word, at) => {
      const found = byWord.get(word) ?? [];
      const several = new Set(found.map((target) => (target.name === word ? target.name : target.where))).size > 1;
      if (found.length === 0) {
        complain(
          [index, 'targets', at],
          `${JSON.stringify(word)} is no target of this plan`,
          suggest(word, [...byWord.keys()]),
          mayBeChosen(word),
        );
      } else if (several) {
        const places = found.map((target) => target.where).join(' and ');
        complain([index, 'targets', at], `"${word}" means ${places}`, 'give these targets a `name` each and list that');
      } else {
        for (const target of found) {
          const before = takenBy.get(target);
          if (before !== undefined) {
            complain([index, 'targets', at], `"${word}" is in wave "${before}" already`, 'list each target once');
          } else {
            takenBy.set(target, entry.name);
            taken[index]?.push(target);
          }
        }
      }
    });
  });

  entries.forEach(({ select }, index) => {
    if (select === undefined) return;
    const chosen = targets.filter((target) => !takenBy.has(target) && fitsWave(select, target));
    if (chosen.length === 0) {
      complain([index, 'select'], 'takes nothing: no target that is left fits', 'widen it', true);
    }
    for (const target of chosen) {
      takenBy.set(target, entries[index]?.name ?? '');
      taken[index]?.push(target);
    }
  });

  // Shares come after all lists and selections, so that a later one is never emptied by an earlier share.
  entries.forEach((entry, index) => {
    const free = targets.filter((target) => !takenBy.has(target));
    let wanted = 0;
    if (entry.percent !== undefined) {
      const part = share(entry.percent, targets.length);
      shown.set(index, part.count === 0 ? `${part.shown}, and at least one` : part.shown);
      // Of a schedule's list that has become short, a canary takes one all the same: its soak and its approval hold for the rest.
      wanted = Math.max(part.count, 1);
      if (part.count === 0) {
        complain([index, 'percent'], `takes nothing: ${part.shown}`, 'raise it, or list targets', true);
      }
      if (part.count > free.length) {
        const message = `${part.shown}, and ${free.length} left for it`;
        const problem = source.problem(['spec', 'waves', index, 'percent'], message, 'lower it, or use `rest: true`');
        problems.push({ ...problem, needsAll: true });
      }
    } else if (entry.rest === true) {
      wanted = free.length;
      if (wanted === 0 && problems.length === 0) {
        complain([index, 'rest'], 'nothing is left for this wave', 'remove it', true);
      }
    }
    for (const target of free.slice(0, wanted)) {
      takenBy.set(target, entry.name);
      taken[index]?.push(target);
    }
  });

  if (problems.every(({ fromEmptiness }) => fromEmptiness)) {
    const left = targets.filter((target) => !takenBy.has(target));
    const [first] = left;
    if (first !== undefined) {
      const others = left.length === 1 ? '' : ` and ${left.length - 1} more`;
      const message = `no wave takes ${first.where} (${first.id})${others}`;
      const problem = source.problem(['spec', 'waves'], message, 'add a last wave with `rest: true`');
      problems.push({ ...problem, needsAll: true });
    }
  }

  const waves = entries.map((entry, index) => ({
    name: entry.name,
    concurrency: entry.concurrency ?? 1,
    targets: inOrder(entry.order, taken[index] ?? []),
    shown: shown.get(index) ?? null,
  }));
  return { waves, problems };
}

export interface EffectiveConcurrency {
  /** In flight together, at most. */
  readonly concurrency: number;
  /** What allows no more than that; `null` when nothing does. */
  readonly cause: string | null;
  /** How long the wave takes by the services' usual durations, as it is and as the plan asked; milliseconds. */
  readonly takesMs: number;
  readonly askedMs: number;
}

type Waiting = Pick<UpgradeSpec, 'after' | 'provides'> & { readonly expectedMs: number };

/** How many upgrades of a wave can be in flight together, what allows no more, and what that costs in time. */
export function effectiveConcurrency(
  wave: { readonly concurrency: number; readonly limits: Limits },
  upgrades: readonly (Waiting & Pick<UpgradeSpec, 'resource' | 'groups'>)[],
  budget: FailureBudget,
): EffectiveConcurrency {
  const limits: Limits = {
    ...groupLimits(upgrades),
    ...limitsOf({ ...wave, failuresLeft: budget.max, mode: budget.mode, accountLimits: {} }),
  };
  const all = upgrades.map((upgrade) => ({ ...upgrade, draws: drawsOf(upgrade) }));
  const { turns, longestMs } = inTurns(all);
  const together = (of: Limits) =>
    turns
      .map((turn) => ({ turn, started: startable(turn, {}, of) }))
      .reduce((most, one) => (one.started.length > most.started.length ? one : most), { turn: all, started: [] });
  const asked = Math.min(wave.concurrency, upgrades.length);
  const { turn, started } = together(limits);
  const concurrency = started.length;

  const work = new Map<string, number>();
  for (const { draws, expectedMs } of all) {
    for (const name of draws) work.set(name, (work.get(name) ?? 0) + expectedMs);
  }
  // Each limit by itself: what shares the narrowest one goes on alone once the others have ended.
  const takesMs = Object.entries(limits).reduce(
    (most, [name, limit]) => Math.max(most, (work.get(name) ?? 0) / limit),
    longestMs,
  );
  const longestOne = all.reduce((most, { expectedMs }) => Math.max(most, expectedMs), 0);
  const workOfAll = all.reduce((sum, { expectedMs }) => sum + expectedMs, 0);
  const times = { takesMs, askedMs: Math.max(workOfAll / Math.max(asked, 1), longestOne) };
  if (concurrency === asked) return { concurrency, cause: null, ...times };

  // Only what is used up, and asked for by others, keeps any back.
  const uses = drawn(Object.keys(limits), started);
  const inFlight = new Set(started);
  const others = new Set(all.filter((one) => !inFlight.has(one)).flatMap(({ draws }) => draws));
  const full = [...others].filter((name) => (uses[name] ?? 0) >= (limits[name] ?? Infinity));
  const causes = CAUSES.flatMap(([kind, words]) => {
    const names = full.filter((name) => kindOf(name) === kind);
    if (names.length === 0) return [];
    const without = Object.entries(limits).filter(([name]) => kindOf(name) !== kind);
    const gain = together(Object.fromEntries(without)).started.length;
    return [{ gain, words: words(budget, names.map((name) => name.slice(kind.length + 1)).join(', ')) }];
  });
  const withoutWaits = startable(all, {}, limits).length;
  if (withoutWaits > concurrency || started.length === turn.length) {
    causes.push({ gain: withoutWaits, words: 'because targets wait for each other' });
  }
  // The cause is what would let most others in if it were not there; several where each would, or where none would alone.
  const most = Math.max(...causes.map(({ gain }) => gain));
  const cause = causes.flatMap(({ gain, words }) => (gain === most ? [words] : [])).join(' and ');
  return { concurrency, cause, ...times };
}

const CAUSES: readonly (readonly [kind: string, words: (budget: FailureBudget, names: string) => string])[] = [
  [RISK, ({ max, mode }) => `because ${mode} with max ${max}`],
  ['account', (_budget, names) => `because of the concurrency of account ${names}`],
  ['service', (_budget, names) => `because of the limit of service ${names}`],
  ['region', (_budget, names) => `because of the limit of region ${names}`],
  ['group', () => 'because so few members of a group may be in flight'],
];

function kindOf(limit: string): string {
  return limit.split(':', 1)[0] ?? limit;
}

/**
 * Upgrades that their waits let be in flight together, by turns: each waits for something of the turn before it, or is of
 * an earlier one and nobody waits for it. With the time of the longest chain of waits.
 */
function inTurns<T extends Waiting>(upgrades: readonly T[]): { turns: T[][]; longestMs: number } {
  const awaited = new AwaitedNames([]);
  for (const one of upgrades) awaited.expect(one);
  const ends = new Map<string, number>();
  const waitedFor = new Set(upgrades.flatMap(({ after = [] }) => after));
  const turns: T[][] = [];
  let lingering: readonly T[] = [];
  let longestMs = 0;
  let left = upgrades;
  for (;;) {
    const turn = left.filter((one) => requirement(one, awaited) === 'met');
    const begun = new Set(turn);
    // Also what goes round in a circle, which is a problem of the plan, ends here.
    if (turn.length === 0) return { turns, longestMs };
    left = left.filter((one) => !begun.has(one));
    turns.push([...lingering, ...turn]);
    lingering = [...lingering, ...turn.filter(({ provides = [] }) => !provides.some((name) => waitedFor.has(name)))];
    for (const one of turn) {
      const { after = [], provides = [], expectedMs } = one;
      const end = after.reduce((latest, name) => Math.max(latest, ends.get(name) ?? 0), 0) + expectedMs;
      for (const name of provides) ends.set(name, Math.max(end, ends.get(name) ?? 0));
      longestMs = Math.max(longestMs, end);
      awaited.ended(one, true);
    }
  }
}

/** What a plan limits besides its waves' concurrency, by name; of several limits of one thing the lowest. */
export function resolveLimits(
  source: Source,
  places: readonly { readonly path: Path; readonly entry: LimitsEntry | undefined }[],
  resources: readonly ResourceRef[],
): { limits: Limits; problems: InputProblem[] } {
  const problems: InputProblem[] = [];
  let limits: Limits = {};
  for (const { path, entry = {} } of places) {
    for (const kind of ['account', 'service', 'region'] as const) {
      const known = [...new Set(resources.map((resource) => resource[kind]))];
      const given = entry[kind];
      if (given === undefined) continue;
      const byName = typeof given === 'number' ? Object.fromEntries(known.map((name) => [name, given])) : given;
      for (const [name, limit] of Object.entries(byName)) {
        if (known.includes(name)) limits = lower(limits, { [`${kind}:${name}`]: limit });
        else {
          const message = `no target is of ${kind} ${JSON.stringify(name)}`;
          problems.push({
            ...source.problem([...path, kind, name], message, suggest(name, known)),
            ...(isWritten(source, kind, name) ? { fromEmptiness: true as const } : {}),
          });
        }
      }
    }
  }
  return { limits, problems };
}

/** The targets of a wave in the order in which they start. */
function inOrder<T extends WaveCandidate>(order: WaveEntry['order'], targets: readonly T[]): T[] {
  if (order === 'id') return targets.toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  if (order !== 'spread') return [...targets];
  const turns = new Map<string, number>();
  return targets
    .map((target) => {
      const place = `${target.resource.account} ${target.resource.region}`;
      const turn = turns.get(place) ?? 0;
      turns.set(place, turn + 1);
      return { target, turn };
    })
    .toSorted((a, b) => a.turn - b.turn)
    .map(({ target }) => target);
}

function fitsWave(select: WaveSelectEntry, { resource, tags }: WaveCandidate): boolean {
  const isIn = (words: string | readonly string[] | undefined, value: string) =>
    words === undefined || [words].flat().includes(value);
  return (
    isIn(select.account, resource.account) &&
    isIn(select.service, resource.service) &&
    isIn(select.region, resource.region) &&
    Object.entries(select.tags ?? {}).every(([name, value]) => Object.hasOwn(tags, name) && tags[name] === value)
  );
}

/** Whether an entry of the plan has this name, also one whose selector chooses nothing. */
export function isEntryName(source: Source, word: string): boolean {
  return entriesOf(source).some(({ name }) => name === word);
}

/** A region is the account's: it is not written. */
function isWritten(source: Source, kind: 'account' | 'service' | 'region', name: string): boolean {
  return kind === 'region' || entriesOf(source).some((entry) => entry[kind] === name);
}

function entriesOf({ data }: Source): readonly Readonly<Record<string, unknown>>[] {
  const targets = (data as { spec?: { targets?: unknown } } | null)?.spec?.targets;
  return Array.isArray(targets) ? (targets as unknown[]).map((entry) => ({ ...(entry as object) })) : [];
}

export function candidatesByWord<T extends WaveCandidate>(targets: readonly T[]): Map<string, T[]> {
  const byWord = new Map<string, T[]>();
  for (const target of targets) {
    for (const word of new Set([target.name, target.id])) {
      if (word === null || word === '') continue;
      const known = byWord.get(word);
      if (known === undefined) byWord.set(word, [target]);
      else known.push(target);
    }
  }
  return byWord;
}
