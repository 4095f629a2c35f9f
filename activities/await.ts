/**
 * Step 3: follow the operation to its end. One activity polls and heartbeats, so that an upgrade's history does not
 * grow with its duration. It gives up on nothing: failed reads are counted and shown, and a deadline only says so.
 */
import { activityInfo, Context } from '@temporalio/activity';
import type { AwaitHeartbeat, AwaitInput, AwaitResult } from '../workflows/contracts/steps.js';
import { visibleFrom } from './bounds.js';
import { iso } from './clock.js';
import type { Pace, Progress } from './clouds/port.js';
import { measureDetection } from './metrics.js';
import { apiAndTarget, asFailure, beating, readFailure, type StepDeps } from './step.js';

/** Below the workflow's heartbeat time-out by enough to survive two lost beats. */
const BEAT_MS = 8_000;
/** An overdue operation is looked at this much more slowly, and handed back after a while to keep the history honest. */
const OVERDUE_SLOWDOWN = 10;
const OVERDUE_SPELL_MS = 6 * 3_600_000;
/** A record that is gone is believed after this many looks. */
const VANISHED_READS = 3;
/** Stuck: past so many times its ordinary duration, and no news for this share of it. */
const STUCK = { after: 2, silentFor: 0.5 };

export async function awaitOperation(deps: StepDeps, input: AwaitInput): Promise<AwaitResult> {
  try {
    const end = await follow(deps, input);
    return input.throughVerify === true ? { ...end, throughVerify: true } : end;
  } catch (error) {
    throw asFailure(error, false, input.timing.scale);
  }
}

async function follow(deps: StepDeps, input: AwaitInput): Promise<AwaitResult> {
  const { api, target } = apiAndTarget(deps, input);
  const { resource } = input.spec;
  const { scale } = input.timing;
  const signal = Context.current().cancellationSignal;
  const since = Date.parse(input.operation.since);
  const deadline = input.overdue ? deps.clock.now() + OVERDUE_SPELL_MS * scale : since + api.pace.deadlineMs * scale;
  const visibleAt = visibleFrom(api.pace, input, deps.clock.now());
  const { expectedMs } = api.pace;
  const isStuck = (now: number): boolean =>
    input.stuck !== true &&
    !input.overdue &&
    now - since >= expectedMs * STUCK.after * scale &&
    now - Date.parse(seen.changedAt ?? seen.lastPolledAt) >= expectedMs * STUCK.silentFor * scale;

  // An attempt before this one may have left word of what it saw.
  const before = activityInfo().heartbeatDetails as AwaitHeartbeat | undefined;
  let seen: AwaitHeartbeat = before ?? {
    state: 'not polled yet',
    percent: null,
    polls: 0,
    failedReads: 0,
    lastPolledAt: iso(deps.clock.now()),
  };
  let vanished = 0;

  /** The resource may be at its target while its job's record still says running: then verify has the word. */
  const endedUnsaid = async (): Promise<AwaitResult | null> => {
    try {
      const state = await api.describe(await deps.sessions.reader(api, resource.account, { signal }), resource.id);
      if (state.condition !== 'ready' || api.standing(state, target) !== 'at') return null;
      const reason = `at its target, version ${state.version}, while its record says: ${seen.state}`;
      return { ended: true, providerSays: 'succeeded', reason, polls: seen.polls };
    } catch (error) {
      readFailure(error, signal);
      return null;
    }
  };

  const pollToTheEnd = async (): Promise<AwaitResult> => {
    for (;;) {
      let progress: Progress | null = null;
      try {
        const reader = await deps.sessions.reader(api, resource.account, { signal });
        // By the time before the read: an answer is no younger than its question.
        const askedAt = deps.clock.now();
        progress = believed(await api.poll(reader, resource.id, target, input.operation), askedAt >= visibleAt);
        const isNews = seen.state !== progress.detail || seen.percent !== progress.percent;
        const changedAt = isNews ? iso(deps.clock.now()) : seen.changedAt;
        seen = { ...seen, state: progress.detail, percent: progress.percent, failedReads: 0, changedAt };
      } catch (error) {
        seen = { ...seen, state: readFailure(error, signal).message, failedReads: seen.failedReads + 1 };
      }
      const now = deps.clock.now();
      const sinceLast = now - Date.parse(seen.lastPolledAt);
      seen = { ...seen, polls: seen.polls + 1, lastPolledAt: iso(now) };
      vanished = progress?.state === 'vanished' ? vanished + 1 : 0;

      const hasEnded = progress !== null && progress.state !== 'running' && progress.state !== 'vanished';
      if (progress !== null && (hasEnded || vanished >= VANISHED_READS)) {
        measureDetection(resource, sinceLast);
        return { ended: true, providerSays: progress.state, reason: progress.detail, polls: seen.polls };
      }
      const stillRuns = { ended: false, providerSays: 'running', reason: seen.state, polls: seen.polls } as const;
      if (now >= deadline) return (await endedUnsaid()) ?? stillRuns;
      if (isStuck(now)) return (await endedUnsaid()) ?? { ...stillRuns, stuck: true };

      const slow = input.overdue ? OVERDUE_SLOWDOWN : 1;
      const ordinary = nextPollMs(api.pace, now - since, scale, progress) * slow;
      const interval = Math.max(ordinary, jittered(backoffMs(api.pace, seen.failedReads, scale)));
      // Never sleep past the deadline by more than the shortest interval: the end is told in time.
      const untilDeadline = Math.max(deadline - now, api.pace.pollMinMs * scale);
      await deps.clock.sleep(Math.min(interval, untilDeadline), signal);
    }
  };

  return beating(BEAT_MS * scale, () => seen, pollToTheEnd);
}

/**
 * What may be said of the cloud before it need show the submit: an end without success can be that of the run before,
 * and a record that is missing can be still to come. Success is for verify to judge.
 */
function believed(progress: Progress, isVisible: boolean): Progress {
  if (isVisible || progress.state === 'running' || progress.state === 'succeeded') return progress;
  const detail = `${progress.detail} (which may be what was before the submit)`;
  return { state: 'running', detail, percent: null, remainingMs: null };
}

/** Of what is left by an estimate, so much passes before the next poll: a percentage is a guess, and moves in steps. */
const SHARE_OF_REST = { remaining: 1 / 2, percent: 1 / 3, expected: 1 / 10 };
/** One that takes longer than usual may end at any time: it is noticed late by no more than this share of its duration. */
const SHARE_WHEN_LATE = 1 / 60;
/** With less done than this, a percentage says nothing of the rest. */
const LEAST_PERCENT = 5;

/**
 * Milliseconds until the next poll, never out of the service's bounds: often around the end, seldom far from it. Where
 * the provider tells how far it is, the last poll comes right at the end that follows from it; else the ordinary
 * duration has to do.
 */
function nextPollMs(
  pace: Pace,
  elapsedMs: number,
  scale: number,
  told: Pick<Progress, 'remainingMs' | 'percent'> | null,
): number {
  const [min, max] = [pace.pollMinMs * scale, pace.pollMaxMs * scale];
  const bounded = (ms: number) => Math.min(Math.max(ms, min), max);
  const percent = told?.percent ?? 0;
  const byPercent = percent >= LEAST_PERCENT && percent < 100 ? (elapsedMs * (100 - percent)) / percent : null;
  const rest = told?.remainingMs ?? byPercent;
  if (rest === null) {
    const late = elapsedMs - pace.expectedMs * scale;
    const away = Math.abs(late) * SHARE_OF_REST.expected;
    return jittered(bounded(late > 0 ? Math.min(away, elapsedMs * SHARE_WHEN_LATE) : away));
  }
  // Two polls more would be one too many: one, and right after the end, since both estimates are rounded up.
  if (rest <= 2 * min) return bounded(rest) + min * 0.1 * Math.random();
  return bounded(rest * (told?.remainingMs == null ? SHARE_OF_REST.percent : SHARE_OF_REST.remaining));
}

/** After reads in a row that failed: doubling from the shortest interval to twice the longest. */
function backoffMs(pace: Pace, failedReads: number, scale: number): number {
  return failedReads === 0 ? 0 : Math.min(pace.pollMinMs * 2 ** (failedReads - 1), pace.pollMaxMs * 2) * scale;
}

/** ± 20 %, so that a wave's polls do not come in step. */
function jittered(ms: number): number {
  return ms * (0.8 + Math.random() * 0.4);
}
