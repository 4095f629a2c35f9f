/** One answer to "why is nothing happening?": every cause that holds now, and when it can next change. */
import type { Client } from '@temporalio/client';
import { optionalTsToMs, tsToMs } from '@temporalio/common/lib/time.js';
import { allowedInFlight } from '../workflows/contracts/outcome.js';
import { queues, type Queue } from './queues.js';
import { rolloutStatus } from './rollouts.js';
import { rolloutRows } from './rows.js';
import { describeRun, decoded } from './server-reads.js';
import { mapAtOnce } from '../temporal/reads.js';
import { endedIn, hasEnded, type ResourceRow, type RolloutView, withRows } from './views.js';

/** Something that holds a rollout or one of its upgrades now. */
export interface Cause {
  /** The rollout, `worker`, a wave's name, or a resource's id. */
  readonly who: string;
  /** One line. */
  readonly what: string;
  /** ISO 8601: when it can next change by itself; `null` when that depends on something else. */
  readonly nextAt: string | null;
  /** What changes it. */
  readonly changes: string;
}

/** The rollout has no such resource. */
export class UnknownResourceError extends Error {
  override readonly name = 'UnknownResourceError';

  constructor(resource: string, rollout: string) {
    super(`rollout ${rollout} has no resource ${resource} (check the id: uplift status ${rollout} --all)`);
  }
}

/** The most upgrades that are looked at one by one. */
const LOOKED_AT = 50;
/** Events read back for the timer that an upgrade waits for. */
const EVENTS_BACK = 30;

/**
 * Why a rollout is where it is; with `resource`, why that one is.
 *
 * @returns the causes, those that hold everything first
 * @throws UnknownRolloutError, UnknownResourceError
 */
export async function explain(client: Client, rollout: string, resource?: string): Promise<Cause[]> {
  const [told, rows, served] = await Promise.all([
    rolloutStatus(client, rollout),
    rolloutRows(client, rollout),
    queues(client),
  ]);
  const view = withRows(told, rows);
  const chosen = resource === undefined ? rows : rows.filter(({ resourceId }) => resourceId === resource);
  if (chosen.length === 0) throw new UnknownResourceError(resource ?? '', rollout);
  const open = chosen.filter((row) => row.runId !== null && row.outcome === null);
  const details = await mapAtOnce(open.slice(0, LOOKED_AT), (row) => upgradeCause(client, row));
  return [
    ...(hasEnded(view) ? [] : workerCauses(served)),
    ...rolloutCauses(view, rows),
    ...details,
    ...(resource === undefined ? [] : chosen.flatMap((row) => restingCause(row, view))),
  ];
}

/** A queue that nobody serves: all its steps stand still. */
export function workerCauses(served: readonly Queue[]): Cause[] {
  const idle = served.filter(({ workers }) => workers.length === 0);
  if (idle.length === 0) return [];
  const all = idle.length === served.length;
  return [
    {
      who: 'worker',
      what: all ? 'no worker is there' : `no worker serves ${idle.map(({ name }) => name).join(', ')}`,
      nextAt: null,
      changes: 'start one: uplift worker',
    },
  ];
}

/** What the rollout as a whole waits for: its end, its budget, or the room that its limits leave. */
export function rolloutCauses(view: RolloutView, rows: readonly ResourceRow[]): Cause[] {
  const own: Cause = { who: view.rollout, what: `${view.state}: ${view.reason}`, nextAt: null, changes: view.next };
  const wave = view.waves.find(({ state }) => state === 'Running');
  if (hasEnded(view) || wave === undefined) return [own];
  const index = view.waves.indexOf(wave) + 1;
  const inFlight = rows.filter((row) => row.waveIndex === index && row.runId !== null && row.outcome === null).length;
  const waiting = wave.total - endedIn(wave.counts) - inFlight;
  if (waiting <= 0 || view.failures > view.budget.max) return [own];
  const room = allowedInFlight(wave.concurrency, view.budget.max, view.failures, view.budget.mode);
  const limit =
    room < wave.concurrency
      ? `the strict failure budget (${view.failures} of ${view.budget.max} used) leaves room for ${room} at a time`
      : inFlight >= wave.concurrency
        ? `its concurrency is ${wave.concurrency}`
        : 'a limit of an account, service, region or group leaves no more room';
  return [
    own,
    {
      who: wave.name,
      what: `${waiting} not started, ${inFlight} in flight: ${limit}`,
      nextAt: null,
      changes: 'the end of one that is in flight',
    },
  ];
}

/** What a resource that is not in flight rests on. */
function restingCause(row: ResourceRow, view: RolloutView): Cause[] {
  if (row.outcome !== null) {
    const what = `${row.outcome}${row.reason === '' ? '' : `: ${row.reason}`}`;
    return [{ who: row.resourceId, what, nextAt: null, changes: 'nothing: it has ended' }];
  }
  if (row.runId !== null) return [];
  const wave = view.waves[row.waveIndex - 1];
  const what = wave?.state === 'Running' ? 'its turn in its wave has not come' : `its wave ${row.wave} has not begun`;
  return [{ who: row.resourceId, what, nextAt: null, changes: view.next }];
}

/** What an upgrade in flight does, or waits for. */
async function upgradeCause(client: Client, row: ResourceRow): Promise<Cause> {
  const told = (what: string, nextAt: number | null, changes: string): Cause => ({
    who: row.resourceId,
    what: `${row.phase}: ${what}`,
    nextAt: nextAt === null ? null : new Date(nextAt).toISOString(),
    changes,
  });
  const run = await describeRun(client, row.workflowId, row.runId ?? undefined);
  const pending = run?.raw.pendingActivities?.[0];
  if (pending !== undefined) {
    const step = pending.activityType?.name ?? 'a step';
    const retryAt = optionalTsToMs(pending.nextAttemptScheduleTime) ?? null;
    const failure = pending.lastFailure?.message;
    if (retryAt !== null && failure) {
      return told(`attempt ${pending.attempt} of ${step} failed: ${failure}`, retryAt, 'the next attempt');
    }
    const beat: unknown = await decoded(client, pending.heartbeatDetails?.payloads);
    if (typeof beat === 'string') return told(beat, null, step);
    if (row.await !== null) {
      const { state, polls, failedReads, lastPolledAt } = row.await;
      const failed = failedReads > 0 ? `, ${failedReads} reads in a row failed` : '';
      return told(`${state}; ${polls} polls, the last at ${lastPolledAt}${failed}`, null, 'the operation');
    }
    const isTaken = pending.lastStartedTime != null;
    return told(isTaken ? `${step} is under way` : `${step} waits for a worker`, null, isTaken ? step : 'a worker');
  }
  const timer = await pendingTimer(client, row);
  if (timer !== null) return told(timer.summary || row.reason || 'waits', timer.firesAt, 'then it looks again');
  return told(row.reason || 'between two steps', null, 'a worker');
}

interface Timer {
  readonly summary: string;
  /** Epoch ms. */
  readonly firesAt: number;
}

/** The latest timer that has neither fired nor been cancelled, from the end of the history. */
async function pendingTimer(client: Client, { workflowId, runId }: ResourceRow): Promise<Timer | null> {
  const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize: EVENTS_BACK,
  });
  const over = new Set<string>();
  for (const event of history?.events ?? []) {
    const ended = event.timerFiredEventAttributes ?? event.timerCanceledEventAttributes;
    if (ended != null) over.add(String(ended.startedEventId));
    const started = event.timerStartedEventAttributes;
    if (started == null || over.has(String(event.eventId))) continue;
    const summary = event.userMetadata?.summary;
    return {
      summary: summary == null ? '' : String(await decoded(client, [summary])),
      firesAt: tsToMs(event.eventTime) + tsToMs(started.startToFireTimeout),
    };
  }
  return null;
}
