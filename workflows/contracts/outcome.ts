/** How ends become outcomes: pure, so that every case stands in a table of tests. */
import type { AwaitResult, VerifyResult } from './steps.js';
import type { Counts, FailureBudget, FailureCounts, RolloutOutcome } from './rollout.js';
import { FAILED_OUTCOMES, GOOD_OUTCOMES, type FailureClass, type Outcome } from './upgrade.js';

/**
 * The outcome of an upgrade that was submitted and ended. The resource decides, not the job: a job that reports
 * success over the old version was rolled back.
 */
export function upgradeOutcome(
  verified: Pick<VerifyResult, 'verdict' | 'version'>,
  end: Pick<AwaitResult, 'providerSays'>,
  adopted: boolean,
  fromVersion: string | null,
): Outcome {
  switch (verified.verdict) {
    case 'at-target':
      return adopted ? 'Adopted' : 'Succeeded';
    case 'not-at-target':
      // An upgrade that was adopted may have gone to another version: that is no rollback of ours.
      if (adopted) return 'Failed';
      // Another's upgrade may have been taken for ours, or a part of the target reached: nothing went back to what was.
      if (fromVersion !== null && verified.version !== fromVersion) return 'Failed';
      return end.providerSays === 'rolled-back' || end.providerSays === 'succeeded' ? 'RolledBack' : 'Failed';
    case 'unhealthy':
      return 'Failed';
    case 'still-running':
    case 'unreadable':
      return 'Held';
  }
}

/** The step that an upgrade failed in; `null` for one that did not fail. */
export function failureClass(
  outcome: Outcome,
  wasSent: boolean,
  verified: VerifyResult['verdict'] | null,
): FailureClass | null {
  switch (outcome) {
    case 'Refused':
      return wasSent ? 'submit' : 'precheck';
    case 'Failed':
    case 'RolledBack':
      return verified === 'unhealthy' ? 'verify' : 'upgrade';
    case 'Held':
      return 'timeout';
    case 'Succeeded':
    case 'AlreadyAtTarget':
    case 'Adopted':
    case 'Skipped':
    case 'NotStarted':
      return null;
  }
}

/** Whether anything of these was under way: what was left out or came too late was not. */
export function hasBegun(counts: Counts): boolean {
  const { Skipped = 0, NotStarted = 0 } = counts;
  return countOf(counts) > Skipped + NotStarted;
}

/** Adds two tallies of failures. */
export function addFailures(a: FailureCounts, b: FailureCounts): FailureCounts {
  const sum: Partial<Record<FailureClass, number>> = { ...a };
  for (const [name, count] of Object.entries(b) as [FailureClass, number][]) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}

export interface RolloutEnd {
  readonly total: number;
  readonly counts: Counts;
  /** Charged to the budget: some of what failed may not be, and what was overdue is, even if it went well. */
  readonly failures: number;
  readonly budget: FailureBudget;
  readonly stopped: boolean;
  /** Somebody who was asked for an approval said no. */
  readonly rejected?: boolean;
  /** A wave that exceeded a budget of its own. */
  readonly overWave?: { readonly name: string; readonly max: number } | null;
  /** With fewer than so many at their targets it has failed. */
  readonly minSuccess?: number | undefined;
  /** Waves whose healthy time was neither reached nor waived. */
  readonly unsoaked?: readonly string[];
}

/**
 * The outcome of a rollout: only a rollout that has resources, of which every one is at its target, and whose every soak was
 * reached or waived, has `Succeeded`.
 */
export function rolloutOutcome(end: RolloutEnd): { outcome: RolloutOutcome; reason: string } {
  const good = countOf(end.counts, GOOD_OUTCOMES);
  const failed = countOf(end.counts, FAILED_OUTCOMES);
  const charged = end.failures === failed ? '' : `, ${end.failures} charged to the budget`;
  const skipped = countOf(end.counts, ['Skipped']);
  const leftOut = skipped === 0 ? '' : `, ${skipped} skipped`;
  const score = `${good} of ${end.total} at target, ${failed} failed${charged}${leftOut}`;
  if (end.failures > end.budget.max) {
    return { outcome: 'Failed', reason: `failure budget of ${end.budget.max} exceeded: ${score}` };
  }
  if (end.overWave) {
    const { name, max } = end.overWave;
    return { outcome: 'Failed', reason: `failure budget of ${max} of wave ${name} exceeded: ${score}` };
  }
  const [unsoaked] = end.unsoaked ?? [];
  if (good > 0 && good === end.total && unsoaked === undefined) return { outcome: 'Succeeded', reason: score };
  if (end.rejected === true) return { outcome: 'Rejected', reason: `rejected: ${score}` };
  if (end.stopped) {
    const before = unsoaked === undefined ? '' : `, and wave ${unsoaked} has not soaked`;
    return { outcome: 'Stopped', reason: `stopped: ${score}${before}` };
  }
  if (good === 0) return { outcome: 'Failed', reason: score };
  if (good < (end.minSuccess ?? 0)) {
    return { outcome: 'Failed', reason: `fewer than the ${end.minSuccess} that had to succeed: ${score}` };
  }
  return { outcome: 'SucceededWithFailures', reason: score };
}

/** Adds two tallies. */
export function addCounts(a: Counts, b: Counts): Counts {
  const sum: Partial<Record<Outcome, number>> = { ...a };
  for (const [outcome, count] of Object.entries(b) as [Outcome, number][]) sum[outcome] = (sum[outcome] ?? 0) + count;
  return sum;
}

/** How many upgrades had one of `outcomes`; all of them when none are named. */
export function countOf(counts: Counts, outcomes = Object.keys(counts) as readonly Outcome[]): number {
  return outcomes.reduce((sum, outcome) => sum + (counts[outcome] ?? 0), 0);
}

/** Outcomes as a tally. */
export function tally(outcomes: readonly Outcome[]): Counts {
  return outcomes.reduce<Counts>((sum, outcome) => addCounts(sum, { [outcome]: 1 }), {});
}

/** How many upgrades may be in flight now, so that a strict budget is never exceeded by more than one. */
export function allowedInFlight(
  concurrency: number,
  failuresLeft: number,
  failures: number,
  mode: FailureBudget['mode'],
): number {
  if (failures > failuresLeft) return 0;
  return mode === 'strict' ? Math.min(concurrency, failuresLeft + 1 - failures) : concurrency;
}
