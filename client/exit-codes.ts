/** What the CLI's exit codes mean: scripts and schedulers decide on them, so none is ever given a second meaning. */
import { isOverBudget, type RolloutView } from './views.js';

export const EXIT = {
  done: 0,
  error: 1,
  changes: 2,
  tolerated: 3,
  budgetExceeded: 4,
  waiting: 5,
  conflict: 6,
  stopped: 7,
  /** As timeout(1). */
  watchTimedOut: 124,
} as const;

/** For people; the reference is made of it. */
export const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  done: 'Done, or nothing to do.',
  error:
    'Something is wrong; stderr says what, where and the remedy. Of a rollout: it failed within its failure budget, as its reason says.',
  changes: 'The plan would change something.',
  tolerated: 'The rollout ended within its budget, and not every resource reached its target.',
  budgetExceeded: 'The rollout ended because more failed than its budget tolerates.',
  waiting: 'The rollout goes on, or waits.',
  conflict: 'Reality is not what was planned, or a rollout of this plan is running already.',
  stopped: 'The rollout was stopped, cancelled, rejected or terminated.',
  watchTimedOut: '`--timeout` ran out; what was waited for goes on.',
};

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
