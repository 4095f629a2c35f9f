/** Every `ApplicationFailure.type` there is. Adapters decide what may be retried; workflows only route on these. */
export const FAILURES = {
  /** An upgrade ended otherwise than at its target; `details[0]` is its `UpgradeResult`. */
  upgrade: 'UpgradeFailed',
  /** A rollout ended `Failed`; `details[0]` is its `RolloutResult`. */
  rollout: 'RolloutFailed',
  /** A part of the inventory is no longer on the server. */
  inventory: 'InventoryGone',
  /** A schedule could not create its rollout: the plan comes to nothing that may be started. */
  schedule: 'ScheduleCannotPlan',
  /** A webhook was not told: it may go better next time. */
  notice: 'NoticeUndelivered',
  /** The account, its credentials or its endpoint cannot be used as configured. */
  account: 'AccountUnusable',
  /** This worker is older than the plan; the server tries again until a newer one takes the step. */
  outdated: 'WorkerOutdated',
  /** The cloud says no, and will say so again. */
  refused: 'RefusedByCloud',
  /** A read that may go better next time. */
  transient: 'CloudUnavailable',
} as const;
