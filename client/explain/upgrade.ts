/** What an upgrade in flight does, or waits for: each kind of cause is one function, and `null` where it does not hold. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { optionalTsToMs } from '@temporalio/common/lib/time.js';
import { resolveCommand } from '../../workflows/contracts/commands.js';
import type { StepWait } from '../../workflows/contracts/steps.js';
import { decoded } from '../server-reads.js';
import { pendingTimer, type Timer } from '../timers.js';
import type { ResourceRow } from '../views.js';
import type { Cause } from './scene.js';

type Pending = NonNullable<WorkflowExecutionDescription['raw']['pendingActivities']>[number];

/** An upgrade as the server has it. */
interface Look {
  readonly row: ResourceRow;
  /** The step that is open, and what it beat last. */
  readonly pending: Pending | null;
  readonly beat: unknown;
  readonly timer: Timer | null;
  /** ISO 8601: when it is expected to end. */
  readonly expected: string | null;
}

type Told = Omit<Cause, 'who'>;

/** The first that holds is told. */
const KINDS: readonly ((look: Look) => Told | null)[] = [
  pausedStep,
  failedAttempt,
  waitsInStep,
  operation,
  step,
  timer,
  between,
];

export async function upgradeCause(
  client: Client,
  row: ResourceRow,
  run: WorkflowExecutionDescription | null,
  expected: string | null,
): Promise<Cause> {
  const pending = run?.raw.pendingActivities?.[0] ?? null;
  const look: Look = {
    row,
    pending,
    beat: await decoded(client, pending?.heartbeatDetails?.payloads),
    timer: pending === null ? await pendingTimer(client, row) : null,
    expected,
  };
  const told = KINDS.map((kind) => kind(look)).find((one) => one !== null);
  const { what, nextAt, changes } = told ?? between(look);
  return { who: row.resourceId, what: `${row.phase}: ${what}`, nextAt, changes };
}

/** An operator has paused the step at the server: whatever it was about, no attempt of it begins. */
function pausedStep({ pending }: Look): Told | null {
  if (pending?.paused !== true) return null;
  const { identity, reason } = pending.pauseInfo?.manual ?? {};
  const by = identity ? ` by ${identity}` : '';
  const why = reason ? `: ${reason}` : '';
  return {
    what: `${nameOf(pending)} is paused at the server${by}${why}`,
    nextAt: null,
    changes: 'temporal activity unpause',
  };
}

/** The step fails, and is tried again. */
function failedAttempt({ pending }: Look): Told | null {
  const retryAt = optionalTsToMs(pending?.nextAttemptScheduleTime);
  const failure = pending?.lastFailure?.message;
  if (retryAt === undefined || !failure) return null;
  const what = `attempt ${pending?.attempt} of ${nameOf(pending)} failed: ${failure}`;
  return { what, nextAt: iso(retryAt), changes: 'the next attempt' };
}

/** It waits inside of a step: for the account's rate, the end of a throttling, or a service that answers no submit. */
function waitsInStep({ beat, pending }: Look): Told | null {
  if (typeof beat === 'string' && beat !== '') return { what: beat, nextAt: null, changes: nameOf(pending) };
  if (!isStepWait(beat)) return null;
  return { what: beat.waits, nextAt: beat.until, changes: beat.until === null ? nameOf(pending) : 'then it goes on' };
}

/** The cloud works. */
function operation({ row, expected }: Look): Told | null {
  if (row.await === null) return null;
  const { state, polls, failedReads, lastPolledAt } = row.await;
  const failed = failedReads > 0 ? `, ${failedReads} reads in a row failed` : '';
  const what = `${state}; ${polls} polls, the last at ${lastPolledAt}${failed}`;
  return { what, nextAt: expected, changes: `the operation's end${expected === null ? '' : ', expected then'}` };
}

function step({ pending }: Look): Told | null {
  if (pending === null) return null;
  const isTaken = pending.lastStartedTime != null;
  return isTaken
    ? { what: `${nameOf(pending)} is under way`, nextAt: null, changes: nameOf(pending) }
    : { what: `${nameOf(pending)} waits for a worker`, nextAt: null, changes: 'a worker' };
}

/** It waits between two steps: for a resource that is busy, a hold, a try that got nowhere, a truth that cannot be read. */
function timer({ row, timer: waits }: Look): Told | null {
  if (waits === null) return null;
  return {
    what: waits.why || row.reason || 'waits',
    nextAt: iso(waits.firesAt),
    changes:
      row.phase === 'Held' ? `then it looks again; ${resolveCommand(row.resourceId)} ends it` : 'then it looks again',
  };
}

function between({ row }: Look): Told {
  return { what: row.reason || 'between two steps', nextAt: null, changes: 'a worker' };
}

function nameOf(pending: Pending | null): string {
  return pending?.activityType?.name ?? 'a step';
}

function isStepWait(beat: unknown): beat is StepWait {
  return typeof beat === 'object' && beat !== null && 'waits' in beat && 'until' in beat;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
