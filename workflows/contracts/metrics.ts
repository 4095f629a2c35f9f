/** What Uplift measures, by the names that Prometheus has it under. Counters end in `_total` there. */

export interface Metric {
  readonly name: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly about: string;
  /** Labels, each with few values: never a resource. */
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
}

export const METRICS = {
  upgradesEnded: {
    name: 'uplift_upgrades_ended',
    kind: 'counter',
    about: 'Upgrades that ended.',
    labels: ['service', 'outcome'],
  },
  phasesBegun: {
    name: 'uplift_phases_begun',
    kind: 'counter',
    about: 'Phases that upgrades came to.',
    labels: ['service', 'phase'],
  },
  polls: {
    name: 'uplift_upgrade_polls',
    kind: 'histogram',
    about: 'Polls of an upgrade until its operation ended.',
    labels: ['service'],
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000],
  },
  submitAnswers: {
    name: 'uplift_submit_answers',
    kind: 'counter',
    about: "Submits by what the cloud's answer came to.",
    labels: ['service', 'account', 'answer'],
  },
  throttled: {
    name: 'uplift_throttled',
    kind: 'counter',
    about: 'Answers by which a cloud asked for fewer calls.',
    labels: ['account'],
  },
  detectionDelay: {
    name: 'uplift_detection_delay_seconds',
    kind: 'histogram',
    about: 'From the last look that saw an operation run to the one that saw it ended: it was noticed within that.',
    labels: ['service'],
    buckets: [0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600],
  },
  upgradesIn: {
    name: 'uplift_upgrades_in_phase',
    kind: 'gauge',
    about: 'Upgrades that are in a phase which lasts, now.',
    labels: ['phase'],
  },
  rolloutsRunning: {
    name: 'uplift_rollout_running',
    kind: 'gauge',
    about: '1 while the rollout runs, 0 after its end.',
    labels: ['rollout'],
  },
  rolloutsWaiting: {
    name: 'uplift_rollout_waiting_approval',
    kind: 'gauge',
    about: '1 while the rollout waits for an approval.',
    labels: ['rollout'],
  },
  budgetLeft: {
    name: 'uplift_failure_budget_left',
    kind: 'gauge',
    about: 'Failures that the rollout still tolerates; below 0 it has failed.',
    labels: ['rollout'],
  },
  windowOverruns: {
    name: 'uplift_window_overruns',
    kind: 'gauge',
    about: 'Upgrades of the rollout that are under way at a cloud though all of its windows are shut.',
    labels: ['rollout'],
  },
} as const satisfies Readonly<Record<string, Metric>>;
