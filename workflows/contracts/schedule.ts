/** Schedules: what they run, and what a run tells. */
import type { Calendar } from './calendar.js';
import type { RolloutInput, RolloutOutcome } from './rollout.js';
import type { Timing } from './upgrade.js';

/** The opening that a rollout was created for. Instants are ISO 8601, UTC. */
export interface Scheduled {
  readonly name: string;
  readonly opens: string;
  /** `null`: its window has no end within ten years. */
  readonly closes: string | null;
  /** Who asked for it out of turn: they may not approve it, any more than who made the schedule. */
  readonly triggeredBy?: string;
}

/** A plan that can be read anywhere. */
export interface PlanText {
  /** As the user named it, for messages. */
  readonly file: string;
  readonly text: string;
  /** What its `.ics` files hold, by the names that it gives them. */
  readonly files: Readonly<Record<string, string>>;
}

/** What a schedule runs with, and so its whole definition besides when it runs. */
export interface OccurrenceInput {
  readonly schedule: string;
  readonly plan: PlanText;
  /** Its openings are the occurrences. */
  readonly calendar: Calendar;
  /** Names of the windows that it goes by; none: all of the plan's. */
  readonly windows: readonly string[];
  /** So long before an opening its rollout is created. */
  readonly leadMs: number;
  /** At most so much later, by chance. */
  readonly jitterMs: number;
  /** Who made it, or changed it last: nobody approves rollouts of a schedule of their own. */
  readonly startedBy: string;
  /** Of a run that a person asked for. */
  readonly triggeredBy?: string;
  /** Whether it stops creating rollouts when one fails or cannot be created. */
  readonly pauseOnFailure: boolean;
  readonly timing: Timing;
}

/**
 * What came of one run. `Skipped`: the last rollout still runs. `Missed`: the opening was over when a worker came to it.
 * `NothingToDo`: everything is at its target.
 */
export type OccurrenceState =
  'Planning' | 'Created' | 'Skipped' | 'Missed' | 'NothingToDo' | 'Failed' | RolloutOutcome | 'Terminated';

/** In the run's memo, where it is read without a worker, and at the end its result. */
export interface OccurrenceNote {
  readonly state: OccurrenceState;
  /** The rollout that it is about; of a skipped run, the one that it would have created. */
  readonly rollout: string | null;
  readonly opens: string | null;
  readonly closes: string | null;
  /** One line for a person. */
  readonly reason: string;
}

/** Key of the run's memo. */
export const OCCURRENCE_MEMO = 'upliftOccurrence';

export interface BeginInput {
  /** ISO 8601: the instant that the schedule ran for. */
  readonly due: string;
}

/** What a run is for, and whether it may go on. */
export interface OccurrenceBegin {
  readonly verdict: 'plan' | 'skipped' | 'missed';
  readonly rollout: string | null;
  readonly opens: string | null;
  readonly closes: string | null;
  readonly reason: string;
  /** The queue that all accounts of its plan have in common: who serves it makes the plan. Left out: they have none. */
  readonly queue?: string;
}

/** The rollout to be started; `null`: nothing has to be done. */
export interface OccurrencePlan {
  readonly input: RolloutInput | null;
  readonly reason: string;
}

/** The steps of a schedule's run. They read the definition from the run's own input. */
export interface ScheduleSteps {
  /** Renews the instants of the schedule, finds what this run is for, and whether the last rollout still runs. */
  beginOccurrence(input: BeginInput): Promise<OccurrenceBegin>;
  /** Ends a schedule's creating of rollouts until a person resumes it. */
  pauseSchedule(input: { readonly schedule: string; readonly note: string }): Promise<void>;
}

/** Long: reads and prechecks every resource. */
export interface PlanningSteps {
  planOccurrence(input: OccurrenceBegin): Promise<OccurrencePlan>;
}
