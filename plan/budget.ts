/** How many may fail, and how many have to succeed: given as numbers or shares, resolved to numbers. */
import type { FailureBudget } from '../workflows/contracts/rollout.js';
import type { InputProblem } from './errors.js';
import { type BudgetEntry, share } from './schema.js';
import type { Source } from './source.js';

/** A number, and how it came about: `5 % of 25 = 1`, or the number itself. */
export interface Resolved {
  readonly count: number;
  readonly shown: string;
  /** Where it was given as one: `5%`. */
  readonly share?: string;
}

export function resolveBudget(entry: BudgetEntry, total: number): { budget: FailureBudget; shown: string } {
  const mode = entry.mode ?? 'strict';
  const { count, shown, share: given } = resolveMax(entry.max ?? 0, total);
  const counts = entry.counts === undefined ? {} : { counts: [...new Set(entry.counts)] };
  return { budget: { max: count, ...(given === undefined ? {} : { share: given }), mode, ...counts }, shown };
}

/** Rounded down: a share tolerates no more than it says. */
export function resolveMax(max: number | string, total: number): Resolved {
  return typeof max === 'number' ? { count: max, shown: String(max) } : { ...share(max, total), share: max };
}

/** Rounded up: a share asks for no less than it says. */
export function resolveMinSuccess(
  source: Source,
  entry: number | string | undefined,
  total: number,
): { readonly resolved: Resolved | null; readonly problems: readonly InputProblem[] } {
  if (entry === undefined) return { resolved: null, problems: [] };
  const resolved = typeof entry === 'number' ? { count: entry, shown: String(entry) } : share(entry, total, Math.ceil);
  const complain = (message: string, remedy: string) => source.problem(['spec', 'minSuccess'], message, remedy);
  if (resolved.count === 0 && total > 0) {
    return { resolved: null, problems: [complain('asks for nothing', 'raise it, or remove it')] };
  }
  if (resolved.count > total) {
    const problem = complain(`asks for ${resolved.count} of ${total} targets`, 'lower it: a share of them is "80%"');
    // Where selectors may choose fewer than usual, all of them have to succeed.
    const all = total === 0 ? null : { count: total, shown: `${entry}, and there are ${total}` };
    return { resolved: all, problems: [{ ...problem, fromEmptiness: true }] };
  }
  return { resolved, problems: [] };
}
