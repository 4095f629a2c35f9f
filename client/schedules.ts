/** The typed client of schedules: recurring rollouts, each created ahead of its opening. */
import {
  type Client,
  ScheduleAlreadyRunning,
  type ScheduleDescription,
  ScheduleNotFoundError,
  type ScheduleOptions,
  ScheduleOverlapPolicy,
  type WorkflowExecutionInfo,
} from '@temporalio/client';
import type { Occurrence } from '../calendar/occurrences.js';
import { certainApprovals } from '../plan/approvals.js';
import { InputError } from '../plan/errors.js';
import { roughly } from '../plan/plan.js';
import { parseSource, type Source } from '../plan/source.js';
import { filesOf, scheduleCalendar } from '../plan/windows.js';
import { mapAtOnce } from '../temporal/reads.js';
import { editSchedule } from '../temporal/schedule-edits.js';
import { createdAt, INSTANTS, nextOccurrences, renewSchedule, scheduleSpec } from '../temporal/schedules.js';
import { whyNoQuorum } from '../workflows/contracts/control.js';
import { occurrenceWorkflowId, scheduledRolloutId, scheduleId } from '../workflows/contracts/ids.js';
import { QUEUES } from '../workflows/contracts/queues.js';
import { OCCURRENCE_MEMO, type OccurrenceInput, type OccurrenceNote } from '../workflows/contracts/schedule.js';
import { ScheduleTakenError, UsageError } from './errors.js';
import { describeRun, findRuns, quoted } from './server-reads.js';
import { NotTakenError } from './upgrades.js';

const HOUR_MS = 3_600_000;
const USUAL_LEAD_MS = 24 * HOUR_MS;
/** The server takes a shorter one for this. */
const LEAST_CATCH_UP_MS = 10_000;
/** It stands in the schedule and in the input of each of its runs; the server takes 2 MB. */
const MOST_BYTES = 1_000_000;
/** Runs that are shown of a schedule: the server tells no more. */
const RUNS = 10;

/** How a schedule is meant to be; what is left out keeps its default, or on an update what it was. */
export interface ScheduleWish {
  /** Names of windows that it goes by; all of the plan's when left out. */
  readonly windows?: readonly string[];
  readonly leadMs?: number;
  readonly jitterMs?: number;
  readonly catchUpMs?: number;
  readonly pauseOnFailure?: boolean;
}

/** A schedule as it is now. Instants are ISO 8601, UTC. */
export interface ScheduleView {
  readonly name: string;
  readonly plan: string;
  readonly startedBy: string;
  readonly windows: readonly string[];
  readonly paused: boolean;
  /** Why it is paused, or what was last said of it. */
  readonly note: string | null;
  readonly leadMs: number;
  readonly jitterMs: number;
  readonly catchUpMs: number;
  readonly pauseOnFailure: boolean;
  /** Starts that the server let pass, since it was down for longer than the catch-up window. */
  readonly missedStarts: number;
  readonly next: readonly NextOccurrence[];
  /** Whether the server would start what `next` says; not so while it is paused or out of instants. */
  readonly agrees: boolean;
  /** The latest first. */
  readonly runs: readonly ScheduleRun[];
}

export interface NextOccurrence extends Occurrence {
  readonly rollout: string;
  /** When it is created. */
  readonly at: string;
}

export interface ScheduleRun extends OccurrenceNote {
  readonly workflowId: string;
  readonly at: string;
}

/** There is no schedule of this name on this server and namespace. */
class UnknownScheduleError extends Error {
  override readonly name = 'UnknownScheduleError';

  constructor(schedule: string, namespace: string) {
    super(
      `there is no schedule ${schedule} in namespace ${namespace} (\`uplift schedule list\` shows those there are)`,
    );
  }
}

/**
 * What a schedule runs with.
 *
 * @throws InputError for a plan that no schedule can go by; UsageError for a lead or a catch-up that does not fit it
 */
export function scheduleOf(
  schedule: string,
  source: Source,
  wish: ScheduleWish & { readonly startedBy: string },
  now = Date.now(),
): { readonly input: OccurrenceInput; readonly catchUpMs: number } {
  const windows = wish.windows ?? [];
  const calendar = scheduleCalendar(source, windows);
  const plan = { file: source.file, text: source.text, files: filesOf(source) };
  const bytes = Buffer.byteLength(JSON.stringify(plan));
  if (bytes > MOST_BYTES) {
    throw new UsageError(
      `${source.file}: with its .ics files it is ${Math.round(bytes / 1000)} kB, and a schedule keeps at most ${MOST_BYTES / 1000} (choose resources by selectors, and export fewer years)`,
    );
  }
  const jitterMs = wish.jitterMs ?? 0;
  const draft = {
    schedule,
    plan,
    calendar,
    windows,
    leadMs: 0,
    jitterMs,
    startedBy: wish.startedBy,
    pauseOnFailure: wish.pauseOnFailure ?? false,
    timing: { scale: timeScaleOf(source) },
  };
  const due = nextOccurrences(draft, now, INSTANTS + 1);
  if (due.length === 0) throw new InputError([source.problem(['spec', 'windows'], 'never open again', 'correct them')]);
  const leadMs = leadFor(due, wish.leadMs, jitterMs);
  return { input: { ...draft, leadMs }, catchUpMs: catchUpFor(due, wish.catchUpMs) };
}

/** As the plan has it, whose form is checked elsewhere. */
function timeScaleOf({ data }: Source): number {
  const scale = (data as { spec?: { timeScale?: unknown } } | null)?.spec?.timeScale;
  return typeof scale === 'number' ? scale : 1;
}

/** Ahead of an opening, and after the end of the one before: so that a rollout may end before the next one is created. */
function leadFor(due: readonly Occurrence[], asked: number | undefined, jitterMs: number): number {
  const gaps = due.slice(1).map(({ opens }, at) => Date.parse(opens) - Date.parse(due[at]?.closes ?? opens));
  const shortest = Math.min(...gaps, Infinity);
  const lead = asked ?? Math.min(USUAL_LEAD_MS, Math.floor(shortest / 2 / 1000) * 1000);
  if (lead > shortest) {
    throw new UsageError(
      `--lead ${roughly(lead)}: each rollout would be created while the opening before is not over, since ${roughly(shortest)} lie between two (use at most that)`,
    );
  }
  if (jitterMs > lead)
    throw new UsageError(`--jitter ${roughly(jitterMs)} is longer than the lead of ${roughly(lead)} (shorten it)`);
  return lead;
}

function catchUpFor(due: readonly Occurrence[], asked: number | undefined): number {
  const lengths = due.flatMap(({ opens, closes }) => (closes === null ? [] : [Date.parse(closes) - Date.parse(opens)]));
  const shortest = Math.min(...lengths, USUAL_LEAD_MS);
  if (asked !== undefined && asked > shortest) {
    throw new UsageError(
      `--catch-up ${roughly(asked)} is longer than an opening of ${roughly(shortest)} (use at most that)`,
    );
  }
  return Math.max(asked ?? shortest, LEAST_CATCH_UP_MS);
}

/** What a schedule runs with, and how late a run may still be started after an outage. */
type Made = ReturnType<typeof scheduleOf>;

/** @throws ScheduleTakenError when the name is taken */
export async function createSchedule(
  client: Client,
  { input, catchUpMs }: Made,
  { paused }: { readonly paused: boolean },
): Promise<void> {
  try {
    await client.schedule.create({
      ...definition(input, catchUpMs),
      scheduleId: scheduleId(input.schedule),
      state: { paused },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    throw new ScheduleTakenError(input.schedule);
  }
}

/**
 * Changes a schedule: what it is from now on. A rollout that it has created goes on as it was.
 *
 * @param change is given what the schedule runs with now, again for each try: others may have changed it meanwhile
 * @throws UnknownScheduleError; what `change` throws
 */
export async function updateSchedule(client: Client, name: string, change: (was: Made) => Made): Promise<void> {
  await known(client, name, () =>
    editSchedule(client, name, (previous) => {
      const { input, catchUpMs } = change(madeOf(previous));
      return { ...definition(input, catchUpMs), state: previous.state };
    }),
  );
}

function definition(input: OccurrenceInput, catchUpMs: number): Pick<ScheduleOptions, 'spec' | 'action' | 'policies'> {
  return {
    spec: scheduleSpec(input, Date.now()),
    action: { type: 'startWorkflow', workflowType: 'occurrence', ...runOptions(input) },
    // A run finds out by itself whether the last rollout has ended, and says so; the platform would skip it in silence.
    policies: { overlap: ScheduleOverlapPolicy.ALLOW_ALL, catchupWindow: catchUpMs, pauseOnFailure: false },
  };
}

function runOptions(input: OccurrenceInput) {
  return {
    workflowId: occurrenceWorkflowId(input.schedule),
    taskQueue: QUEUES.main,
    args: [input] as [OccurrenceInput],
    staticSummary: `${input.schedule}: create the rollout of the next opening`,
  };
}

/** What a schedule runs with now. @throws UnknownScheduleError */
export async function scheduleInput(client: Client, name: string): Promise<Made> {
  return madeOf(await known(client, name, (handle) => handle.describe()));
}

function madeOf({ action, policies }: ScheduleDescription): Made {
  return { input: inputIn(action), catchUpMs: policies.catchupWindow };
}

/** @throws UnknownScheduleError */
export async function pauseSchedule(client: Client, name: string, note: string): Promise<void> {
  await known(client, name, (handle) => handle.pause(note));
}

/** Goes on with the openings that are still to come. @throws UnknownScheduleError */
export async function resumeSchedule(client: Client, name: string, note: string): Promise<void> {
  await known(client, name, async (handle) => {
    await renewSchedule(client, name, Date.now());
    await handle.unpause(note);
  });
}

/**
 * Runs it now, for the opening that is open or comes next. The server's own trigger would not tell the run who asked for
 * it, so it is started beside the schedule.
 *
 * @returns the run, as it stands when it is asked
 * @throws UnknownScheduleError
 * @throws NotTakenError when too few would be left who may approve its rollout, whatever its selectors choose; else the run tells
 */
export async function triggerSchedule(
  client: Client,
  name: string,
  actor: string,
): Promise<() => Promise<ScheduleRun>> {
  const { input } = await scheduleInput(client, name);
  const { file, text, files } = input.plan;
  for (const approval of certainApprovals(parseSource(text, file, files))) {
    const why = whyNoQuorum(approval, input.startedBy, [actor], 'who triggers it');
    if (why !== null) throw new NotTakenError(`${why}: let somebody else trigger it`);
  }
  const at = new Date().toISOString();
  const options = runOptions({ ...input, triggeredBy: actor });
  const { workflowId, firstExecutionRunId } = await client.workflow.start('occurrence', {
    ...options,
    workflowId: `${options.workflowId}-${at}`,
  });
  return async () => ({ workflowId, at, ...(await noteOf(client, workflowId, firstExecutionRunId)) });
}

/** Those that people asked for: the schedule itself does not know of them. */
async function triggeredRuns(client: Client, name: string): Promise<readonly WorkflowExecutionInfo[]> {
  const prefix = `${occurrenceWorkflowId(name)}-`;
  const runs = await findRuns(
    client,
    `WorkflowType = 'occurrence' AND WorkflowId STARTS_WITH ${quoted(prefix)} AND TemporalScheduledById IS NULL`,
  );
  // Another schedule's name may begin as this one's run.
  return runs.filter(({ workflowId }) => /^\d{4}-\d\d-\d\dT/.test(workflowId.slice(prefix.length)));
}

/** Rollouts that it has created go on. @throws UnknownScheduleError */
export async function deleteSchedule(client: Client, name: string): Promise<void> {
  await known(client, name, (handle) => handle.delete());
}

/** By name. */
export async function listSchedules(client: Client): Promise<ScheduleView[]> {
  const names: string[] = [];
  const prefix = scheduleId('');
  for await (const { scheduleId: id } of client.schedule.list()) {
    if (id.startsWith(prefix)) names.push(id.slice(prefix.length));
  }
  const views = await mapAtOnce(names.toSorted(), (name) =>
    // The list lags behind: one of it may be gone.
    describeSchedule(client, name, 1).catch((error: unknown) => {
      if (error instanceof UnknownScheduleError) return null;
      throw error;
    }),
  );
  return views.filter((view) => view !== null);
}

/**
 * @param next so many occurrences
 * @throws UnknownScheduleError
 */
export async function describeSchedule(client: Client, name: string, next = INSTANTS): Promise<ScheduleView> {
  const { action, policies, state, info } = await known(client, name, (handle) => handle.describe());
  const input = inputIn(action);
  const due = nextOccurrences(input, Date.now(), Math.max(next, 1));
  const runs = [
    ...info.recentActions.map(({ takenAt: at, action: { workflow } }) => ({
      workflowId: workflow.workflowId,
      runId: workflow.firstExecutionRunId,
      at,
    })),
    ...(await triggeredRuns(client, name)).map(({ workflowId, runId, startTime: at }) => ({ workflowId, runId, at })),
  ].toSorted((a, b) => b.at.getTime() - a.at.getTime());
  return {
    name,
    plan: input.plan.file,
    startedBy: input.startedBy,
    windows: input.calendar.windows.map((window) => window.name),
    paused: state.paused,
    note: state.note ?? null,
    leadMs: input.leadMs,
    jitterMs: input.jitterMs,
    catchUpMs: policies.catchupWindow,
    pauseOnFailure: input.pauseOnFailure,
    missedStarts: info.numActionsMissedCatchupWindow,
    next: due.map((one) => ({
      ...one,
      rollout: scheduledRolloutId(name, one.name),
      at: new Date(createdAt(one, input.leadMs)).toISOString(),
    })),
    agrees: agree(input, due.slice(0, INSTANTS), info.nextActionTimes),
    runs: await mapAtOnce(runs.slice(0, RUNS), async ({ workflowId, runId, at }) => ({
      workflowId,
      at: at.toISOString(),
      ...(await noteOf(client, workflowId, runId)),
    })),
  };
}

/** The platform's own next instants are ours; it puts the jitter on top. */
function agree({ leadMs, jitterMs }: OccurrenceInput, due: readonly Occurrence[], planned: readonly Date[]): boolean {
  return due.every((one, at) => {
    const late = (planned[at]?.getTime() ?? Infinity) - createdAt(one, leadMs);
    return late >= 0 && late <= jitterMs;
  });
}

async function noteOf(client: Client, workflowId: string, runId: string): Promise<OccurrenceNote> {
  const nothing = { rollout: null, opens: null, closes: null };
  const run = await describeRun(client, workflowId, runId);
  if (run === null) return { ...nothing, state: 'Terminated', reason: 'the server no longer has it' };
  const note = (run.memo?.[OCCURRENCE_MEMO] as OccurrenceNote | undefined) ?? null;
  if (note !== null) return note;
  return { ...nothing, state: 'Planning', reason: 'no worker has taken it yet' };
}

function inputIn({ args }: ScheduleDescription['action']): OccurrenceInput {
  return (args as readonly OccurrenceInput[])[0] as OccurrenceInput;
}

async function known<T>(
  client: Client,
  name: string,
  use: (handle: ReturnType<Client['schedule']['getHandle']>) => Promise<T>,
): Promise<T> {
  try {
    return await use(client.schedule.getHandle(scheduleId(name)));
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error;
    throw new UnknownScheduleError(name, client.options.namespace);
  }
}
