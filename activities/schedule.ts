/** The steps of a schedule's run: what it is for, whether the last rollout still runs, and the plan, resolved afresh. */
import { Context } from '@temporalio/activity';
import { type Client, ScheduleNotFoundError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { occurrenceOf } from '../calendar/occurrences.js';
import { InputError } from '../plan/errors.js';
import { accountsNamed } from '../plan/plan.js';
import { parseSource } from '../plan/source.js';
import { readLedger } from '../temporal/ledger.js';
import { inputOf } from '../temporal/reads.js';
import { renewSchedule } from '../temporal/schedules.js';
import { FAILURES } from '../workflows/contracts/errors.js';
import {
  endOfId,
  isOfSchedule,
  rolloutWorkflowId,
  scheduledRolloutId,
  scheduleId,
} from '../workflows/contracts/ids.js';
import { commonQueue } from '../workflows/contracts/queues.js';
import { SHARD_SIZE, type RolloutInput } from '../workflows/contracts/rollout.js';
import type {
  OccurrenceBegin,
  OccurrenceInput,
  OccurrencePlan,
  PlanningSteps,
  Scheduled,
  ScheduleSteps,
} from '../workflows/contracts/schedule.js';
import { iso } from './clock.js';
import { keepInventory } from './inventory.js';
import { hasChanges, planProblems, preparePlan, resolvePlan, toRolloutInput } from './planner.js';
import { beating, ownRun, type StepDeps } from './step.js';

/** A plan is read for minutes. */
const BEAT_MS = 5_000;
/** A failure's message names so many problems. */
const MOST_PROBLEMS = 3;

export function scheduleSteps({ clock, accounts }: Pick<StepDeps, 'clock' | 'accounts'>): ScheduleSteps {
  return {
    beginOccurrence: async ({ due }) => {
      const { client } = Context.current();
      const input = await ownInput(client);
      const now = clock.now();
      await renewSchedule(client, input.schedule, now);
      const occurrence = occurrenceOf(input.calendar, Date.parse(due), input);
      if (occurrence === null) {
        return { verdict: 'missed', rollout: null, opens: null, closes: null, reason: 'no opening is left' };
      }
      const { opens, closes, name } = occurrence;
      const rollout = scheduledRolloutId(input.schedule, name);
      const begin = (verdict: OccurrenceBegin['verdict'], reason: string): OccurrenceBegin => ({
        verdict,
        rollout,
        opens,
        closes,
        reason,
      });
      if (closes !== null && Date.parse(closes) <= now) {
        return begin('missed', `its opening was over at ${closes}, before a worker came to it at ${iso(now)}`);
      }
      const last = await runningRollout(client, input.schedule);
      if (last !== null) return begin('skipped', `rollout ${last.rollout} still runs, since ${last.since}`);
      const queue = readerQueue(input, accounts);
      return { ...begin('plan', `its opening begins at ${opens}`), ...(queue === undefined ? {} : { queue }) };
    },

    pauseSchedule: async ({ schedule, note }) => {
      try {
        await Context.current().client.schedule.getHandle(scheduleId(schedule)).pause(note);
      } catch (error) {
        // One that has been deleted meanwhile creates nothing more.
        if (!(error instanceof ScheduleNotFoundError)) throw error;
      }
    },
  };
}

/** Of the accounts that the plan names, for its targets or its windows. */
function readerQueue({ plan: { file, text, files } }: OccurrenceInput, accounts: StepDeps['accounts']) {
  return commonQueue(accountsNamed(parseSource(text, file, files)).map((name) => accounts?.get(name)?.queue));
}

export function planningSteps(deps: StepDeps): PlanningSteps {
  return {
    planOccurrence: (begin) =>
      beating(
        BEAT_MS,
        () => null,
        () => planOccurrence(deps, begin),
      ),
  };
}

/**
 * @throws ApplicationFailure naming what is wrong. Unless that lasts it may be retried: a cloud may be back, another worker
 *   may know more.
 */
async function planOccurrence(deps: StepDeps, begin: OccurrenceBegin): Promise<OccurrencePlan> {
  const { client } = Context.current();
  const input = await ownInput(client);
  try {
    const prepared = await prepare(deps, input, begin);
    const { counts, plan } = prepared;
    if (plan.waves.length === 0) return { input: null, reason: 'its selectors choose nothing: nothing lags behind' };
    if (!hasChanges(prepared)) {
      if (counts.blocked > 0) throw new InputError(planProblems(prepared, ['blocked']));
      return { input: null, reason: `every one of ${counts['no-change']} resources is at its target` };
    }
    const learned = await readLedger(client, 'durations');
    const rollout = withSchedule(toRolloutInput(prepared, { ...input, learned }), input, begin);
    // By the run's own key: another attempt replaces what this one has kept.
    const key = endOfId(ownRun().runId);
    return { input: await keepInventory(client, rollout, SHARD_SIZE, key), reason: `${counts.upgrade} to be upgraded` };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const nonRetryable = error.problems.some(({ lasts }) => lasts === true);
    throw ApplicationFailure.create({ type: FAILURES.schedule, message: firstOf(error), nonRetryable });
  }
}

async function prepare(deps: StepDeps, { plan: { file, text, files } }: OccurrenceInput, { queue }: OccurrenceBegin) {
  const { apis, sessions, clock, accounts = new Map() } = deps;
  // A worker close to an account tells nobody anything, and need not know how.
  const checksWebhooks = deps.webhooks !== undefined && queue === undefined;
  const webhooks = checksWebhooks ? { webhooks: [...deps.webhooks.keys()] } : {};
  const { cancellationSignal: signal } = Context.current();
  const reading = { apis, sessions, clock, accounts, ...webhooks, signal, mayBeEmpty: true };
  return preparePlan({ ...reading, plan: await resolvePlan(parseSource(text, file, files), reading) });
}

/** It begins with its own opening, and goes on in those that follow. */
function withSchedule(
  planned: RolloutInput,
  { schedule, triggeredBy }: OccurrenceInput,
  begin: OccurrenceBegin,
): RolloutInput {
  const { rollout, opens, closes } = begin;
  if (rollout === null || opens === null || planned.windows === undefined) throw new Error('no opening to plan for');
  const scheduled: Scheduled = { name: schedule, opens, closes, ...(triggeredBy === undefined ? {} : { triggeredBy }) };
  return {
    ...planned,
    rollout,
    schedule: scheduled,
    windows: { ...planned.windows, since: opens, notBefore: opens },
  };
}

function ownInput(client: Client): Promise<OccurrenceInput> {
  const { workflowId, runId } = ownRun();
  return inputOf<OccurrenceInput>(client, workflowId, runId);
}

/** A rollout of this schedule, or a retry of one, that has not ended. Visibility lags, so each is asked itself. */
async function runningRollout(
  client: Client,
  schedule: string,
): Promise<{ readonly rollout: string; readonly since: string } | null> {
  const query = `WorkflowType = 'rollout' AND ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH '${rolloutWorkflowId(schedule)}-'`;
  for await (const { workflowId } of client.workflow.list({ query })) {
    const rollout = workflowId.slice(rolloutWorkflowId('').length);
    if (!isOfSchedule(rollout, schedule)) continue;
    const { status, startTime } = await client.workflow.getHandle(workflowId).describe();
    if (status.name === 'RUNNING' || status.name === 'PAUSED') return { rollout, since: startTime.toISOString() };
  }
  return null;
}

function firstOf({ problems, message }: InputError): string {
  const lines = message.split('\n').slice(0, MOST_PROBLEMS);
  const more = problems.length - lines.length;
  return more > 0 ? `${lines.join('; ')}; and ${more} more` : lines.join('; ');
}
