/** What the CLI's exit codes mean: scripts and schedulers decide on them, so none is ever given a second meaning. */
import { isOverBudget, type RolloutView } from './views.js';

export const EXIT = {
  /** Done, or nothing to do. */
  done: 0,
  /** Something is wrong; stderr says what, where and the remedy. */
  error: 1,
  /** The plan would change something. */
  changes: 2,
  /** The rollout ended with failures that its budget tolerates. */
  tolerated: 3,
  /** The rollout ended because more failed than its budget tolerates. */
  budgetExceeded: 4,
  /** The rollout goes on, or waits. */
  waiting: 5,
  /** Reality is not what was planned, or a rollout of this plan is running already. */
  conflict: 6,
  /** The rollout was stopped, cancelled or terminated. */
  stopped: 7,
  /** `watch --timeout` ran out; the rollout goes on. As timeout(1). */
  watchTimedOut: 124,
} as const;

/** The exit code of a rollout as it stands. */
export function exitCodeOf(view: Pick<RolloutView, 'state' | 'charged' | 'budget' | 'reason'>): number {
  switch (view.state) {
    case 'Succeeded':
      return EXIT.done;
    case 'SucceededWithFailures':
      return EXIT.tolerated;
    case 'Failed':
      // Nothing reached its target, yet the budget was not spent: that is an error, not an exceeded budget.
      return isOverBudget(view) ? EXIT.budgetExceeded : EXIT.error;
    case 'Stopped':
    case 'Rejected':
    case 'Terminated':
      return EXIT.stopped;
    case 'Running':
    case 'Paused':
    case 'Waiting':
    case 'Stopping':
      return EXIT.waiting;
  }
}
