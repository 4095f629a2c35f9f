/** One run of a schedule: creates a rollout for an opening, and stays until that has ended. The windows decide the rest. */
import {
  ApplicationFailure,
  CancellationScope,
  ChildWorkflowCancellationType,
  isCancellation,
  ParentClosePolicy,
  setCurrentDetails,
  startChild,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
  type ChildWorkflowHandle,
  uuid4,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { FAILURES } from './contracts/errors.js';
import { endOfId } from './contracts/ids.js';
import type { RolloutInput } from './contracts/rollout.js';
import {
  OCCURRENCE_MEMO,
  type OccurrenceBegin,
  type OccurrenceInput,
  type OccurrenceNote,
} from './contracts/schedule.js';
import { ATTRIBUTES, SCHEDULED_FOR } from './contracts/search-attributes.js';
import { startOptions } from './contracts/start.js';
import { markdown } from './details.js';
import { failedRollout, rootReason } from './failures.js';
import { releaseInventory } from './release-inventory.js';
import type { rollout } from './rollout.js';
import { planningSteps, scheduleSteps } from './steps.js';

export async function occurrence(input: OccurrenceInput): Promise<OccurrenceNote> {
  const run = new OccurrenceRun(input);
  const begin = await run.begin();
  if (begin.verdict !== 'plan') return run.end(begin.verdict === 'skipped' ? 'Skipped' : 'Missed', begin.reason);
  const plan = await run.plan(begin);
  if (plan.input === null) return run.end('NothingToDo', plan.reason);
  const child = await run.create(plan.input);
  return child === null ? run.end('Skipped', 'the rollout runs already') : run.follow(child);
}

class OccurrenceRun {
  private readonly input: OccurrenceInput;
  private note: OccurrenceNote = { state: 'Planning', rollout: null, opens: null, closes: null, reason: 'begins' };

  constructor(input: OccurrenceInput) {
    this.input = input;
  }

  /** Which opening it is for, and whether the last rollout has ended. */
  async begin(): Promise<OccurrenceBegin> {
    const { startTime, typedSearchAttributes } = workflowInfo();
    const due = typedSearchAttributes.get(SCHEDULED_FOR) ?? startTime;
    const begin = await scheduleSteps.beginOccurrence({ due: due.toISOString() });
    const { rollout, opens, closes, reason } = begin;
    this.tell({ state: 'Planning', rollout, opens, closes, reason });
    return begin;
  }

  /**
   * @throws ApplicationFailure when the plan cannot be made: the schedule is paused before, where that is asked for. Who
   *   triggered it sees it, and what keeps them from it need not keep the regular runs.
   */
  async plan(begin: OccurrenceBegin) {
    try {
      return await planningSteps(this.input.timing.scale, begin.queue).planOccurrence(begin);
    } catch (error) {
      if (isCancellation(error)) throw error;
      const reason = rootReason(error);
      this.tell({ ...this.note, state: 'Failed', reason });
      if (this.input.triggeredBy === undefined) {
        await this.pause(`no rollout could be created for ${begin.opens}: ${reason}`);
      }
      throw ApplicationFailure.create({ type: FAILURES.schedule, message: reason, nonRetryable: true });
    }
  }

  /** `null` when a rollout of this id runs already. Whatever becomes of this run, the rollout goes on. */
  async create(planned: RolloutInput): Promise<ChildWorkflowHandle<typeof rollout> | null> {
    try {
      const child = await startChild<typeof rollout>('rollout', {
        ...startOptions(planned),
        // A reset that comes here again starts another run of the rollout.
        args: [{ ...planned, key: endOfId(uuid4()) }],
        parentClosePolicy: ParentClosePolicy.ABANDON,
        cancellationType: ChildWorkflowCancellationType.ABANDON,
      });
      upsertSearchAttributes([{ key: ATTRIBUTES.rollout, value: planned.rollout }]);
      this.tell({ ...this.note, state: 'Created', reason: 'the rollout runs' });
      return child;
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      await releaseInventory(planned);
      return null;
    }
  }

  /** The rollout's end is this run's: so the server knows how long the one before lasts. */
  async follow(child: ChildWorkflowHandle<typeof rollout>): Promise<OccurrenceNote> {
    try {
      const { outcome, reason } = await child.result();
      return this.end(outcome, reason);
    } catch (error) {
      // Cancelled is this run, not the rollout.
      if (CancellationScope.current().consideredCancelled) throw error;
      const failed = failedRollout(error);
      const [state, reason] =
        failed === null ? (['Terminated', rootReason(error)] as const) : [failed.outcome, failed.reason];
      await this.pause(`rollout ${this.note.rollout} ended as ${state}: ${reason}`);
      return this.end(state, reason);
    }
  }

  end(state: OccurrenceNote['state'], reason: string): OccurrenceNote {
    this.tell({ ...this.note, state, reason });
    return this.note;
  }

  private async pause(note: string): Promise<void> {
    if (!this.input.pauseOnFailure) return;
    await scheduleSteps.pauseSchedule({ schedule: this.input.schedule, note: note.slice(0, 500) });
  }

  private tell(note: OccurrenceNote): void {
    this.note = note;
    upsertMemo({ [OCCURRENCE_MEMO]: note });
    const { state, rollout, opens, closes, reason } = note;
    setCurrentDetails(
      markdown({
        state: `**${state}**: ${reason}`,
        next: rollout === null ? 'nothing' : `rollout ${rollout}`,
        why: `schedule ${this.input.schedule}, opening ${opens ?? 'unknown'} to ${closes ?? 'no end'}`,
      }),
    );
  }
}
