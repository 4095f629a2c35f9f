/** Which wave takes which targets. */
import { allowedInFlight } from '../workflows/contracts/outcome.js';
import type { FailureBudget } from '../workflows/contracts/rollout.js';
import type { InputProblem } from './errors.js';
import { suggest } from './problems.js';
import type { WaveEntry } from './schema.js';
import { share } from './schema.js';
import type { Source } from './source.js';

/** What a wave can be told a target by. */
export interface WaveCandidate {
  readonly name: string | null;
  readonly id: string;
  /** `spec.targets[0]` or `spec.targets[0].ids[2]`, for messages. */
  readonly where: string;
}

export interface ResolvedWave<T> {
  readonly name: string;
  readonly concurrency: number;
  readonly targets: readonly T[];
  /** `20 % of 25 = 5`; `null` where the wave was not given as a share. */
  readonly shown: string | null;
}

/** Gives each target to exactly one wave. Problems name the target or the wave. */
export function resolveWaves<T extends WaveCandidate>(
  source: Source,
  entries: readonly WaveEntry[],
  targets: readonly T[],
): { waves: ResolvedWave<T>[]; problems: InputProblem[] } {
  const problems: InputProblem[] = [];
  const complain = (path: readonly (string | number)[], message: string, remedy: string): void => {
    problems.push(source.problem(['spec', 'waves', ...path], message, remedy));
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

  // Shares come after all lists, so that a later list is never emptied by an earlier share.
  entries.forEach((entry, index) => {
    const free = targets.filter((target) => !takenBy.has(target));
    let wanted = 0;
    if (entry.percent !== undefined) {
      const part = share(entry.percent, targets.length);
      shown.set(index, part.shown);
      wanted = part.count;
      if (part.count === 0) complain([index, 'percent'], `takes nothing: ${part.shown}`, 'raise it, or list targets');
      if (part.count > free.length) {
        complain([index, 'percent'], `${part.shown}, and ${free.length} left for it`, 'lower it, or use `rest: true`');
      }
    } else if (entry.rest === true) {
      wanted = free.length;
      if (wanted === 0 && problems.length === 0) {
        complain([index, 'rest'], 'nothing is left for this wave', 'remove it');
      }
    }
    for (const target of free.slice(0, wanted)) {
      takenBy.set(target, entry.name);
      taken[index]?.push(target);
    }
  });

  if (problems.length === 0) {
    const left = targets.filter((target) => !takenBy.has(target));
    const [first] = left;
    if (first !== undefined) {
      const others = left.length === 1 ? '' : ` and ${left.length - 1} more`;
      complain([], `no wave takes ${first.where} (${first.id})${others}`, 'add a last wave with `rest: true`');
    }
  }

  const waves = entries.map((entry, index) => ({
    name: entry.name,
    concurrency: entry.concurrency ?? 1,
    targets: taken[index] ?? [],
    shown: shown.get(index) ?? null,
  }));
  return { waves, problems };
}

/** How many upgrades of a wave can be in flight at its start, and what allows no more; `null` when nothing does. */
export function effectiveConcurrency(
  wave: { readonly concurrency: number; readonly accounts: readonly string[] },
  budget: FailureBudget,
  accountLimits: Readonly<Record<string, number>>,
): { readonly concurrency: number; readonly cause: string | null } {
  const perAccount = new Map<string, number>();
  for (const account of wave.accounts) perAccount.set(account, (perAccount.get(account) ?? 0) + 1);
  const inAccounts = [...perAccount].reduce(
    (sum, [name, count]) => sum + Math.min(count, accountLimits[name] ?? count),
    0,
  );

  const asked = Math.min(wave.concurrency, wave.accounts.length);
  const budgeted = allowedInFlight(asked, budget.max, 0, budget.mode);
  const concurrency = Math.min(budgeted, inAccounts);
  if (concurrency === asked) return { concurrency, cause: null };
  return budgeted <= inAccounts
    ? { concurrency, cause: `because ${budget.mode} with max ${budget.max}` }
    : { concurrency, cause: `because of the concurrency of account ${[...perAccount.keys()].join(', ')}` };
}

function candidatesByWord<T extends WaveCandidate>(targets: readonly T[]): Map<string, T[]> {
  const byWord = new Map<string, T[]>();
  for (const target of targets) {
    for (const word of new Set([target.name, target.id])) {
      if (word === null) continue;
      const known = byWord.get(word);
      if (known === undefined) byWord.set(word, [target]);
      else known.push(target);
    }
  }
  return byWord;
}
