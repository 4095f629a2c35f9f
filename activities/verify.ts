/** Step 4: the provider's own version and health, read back until they hold still. Only this makes an upgrade done. */
import { Context } from '@temporalio/activity';
import type { VerifyInput, VerifyResult } from '../workflows/contracts/steps.js';
import { visibleFrom } from './bounds.js';
import type { Health, ResourceState } from './clouds/port.js';
import { describeState, healthAtTarget } from './health.js';
import { apiAndTarget, asFailure, beating, readFailure, type StepDeps } from './step.js';

/** Two thirds of the workflow's time-out: most have ended by then, and one that is begun anew costs a few reads. */
const BEAT_MS = 40_000;
/** A resource that is still not settled after this is reported as it is, once it holds still. */
const PATIENCE_MS = 30 * 60_000;
/** After it, what does not hold still for so many reads is not judged. Reads, since a machine may have slept meanwhile. */
const MOST_LATE_READS = 10;

/** What one read says; to count it has to come several times in a row. */
interface Reading {
  readonly verdict: VerifyResult['verdict'];
  readonly reason: string;
  readonly state: ResourceState | null;
  readonly health: Health | null;
}

export async function verify(deps: StepDeps, input: VerifyInput): Promise<VerifyResult> {
  try {
    return await readUntilSettled(deps, input);
  } catch (error) {
    throw asFailure(error, false, input.timing.scale);
  }
}

async function readUntilSettled(deps: StepDeps, input: VerifyInput): Promise<VerifyResult> {
  const { api, target } = apiAndTarget(deps, input);
  const { resource } = input.spec;
  const { scale } = input.timing;
  const signal = Context.current().cancellationSignal;
  const deadline = deps.clock.now() + PATIENCE_MS * scale;
  const visibleAt = visibleFrom(api.pace, input, deps.clock.now());
  let seen = 'reading back';

  const readBack = async (): Promise<Reading> => {
    let state: ResourceState | null = null;
    try {
      const reader = await deps.sessions.reader(api, resource.account, { signal });
      state = await api.describe(reader, resource.id);
      if (state.condition === 'upgrading' || state.condition === 'rolling-back' || state.condition === 'busy') {
        return { verdict: 'still-running', reason: `not settled: ${describeState(state)}`, state, health: null };
      }
      if (state.condition === 'broken') {
        return { verdict: 'unhealthy', reason: `broken: ${describeState(state)}`, state, health: null };
      }
      const standing = api.standing(state, target);
      if (standing === 'not-comparable') {
        // A part of the answer is missing: that it is not at its target would be a guess.
        return { verdict: 'unreadable', reason: `cannot be compared: ${describeState(state)}`, state, health: null };
      }
      if (standing !== 'at') {
        return { verdict: 'not-at-target', reason: `not at its target: ${describeState(state)}`, state, health: null };
      }
      const health = await healthAtTarget(api, reader, state);
      return health.healthy
        ? { verdict: 'at-target', reason: `${describeState(state)}, ${health.detail}`, state, health }
        : { verdict: 'unhealthy', reason: `unhealthy: ${describeState(state)}, ${health.detail}`, state, health };
    } catch (error) {
      return { verdict: 'unreadable', reason: readFailure(error, signal).message, state, health: null };
    }
  };

  const settle = async (): Promise<VerifyResult> => {
    let alike = 0;
    let last: Reading['verdict'] | null = null;
    let lateReads = 0;
    for (;;) {
      const isVisible = deps.clock.now() >= visibleAt;
      const reading = await readBack();
      // Not there yet is what it was before the submit as well: it counts once every read must show the submit.
      const counts = isVisible || reading.verdict === 'at-target';
      alike = !counts ? 0 : reading.verdict === last ? alike + 1 : 1;
      last = reading.verdict;
      seen = `${reading.reason} (read ${alike} of ${api.pace.stableReads})`;
      // Health may come back; what the provider calls broken does not by itself.
      const isFinal = ['at-target', 'not-at-target'].includes(reading.verdict) || reading.state?.condition === 'broken';
      const isStable = alike >= api.pace.stableReads;
      const isLate = deps.clock.now() >= deadline;
      if (isStable && (isFinal || isLate)) return toResult(reading);
      lateReads += isLate ? 1 : 0;
      if (lateReads >= MOST_LATE_READS) {
        const verdict = reading.verdict === 'unreadable' ? 'unreadable' : 'still-running';
        return toResult({ ...reading, verdict, reason: `does not hold still: ${reading.reason}` });
      }
      await deps.clock.sleep(api.pace.stableEveryMs * scale, signal);
    }
  };

  return beating(BEAT_MS * scale, () => seen, settle);
}

function toResult({ verdict, reason, state, health }: Reading): VerifyResult {
  return {
    verdict,
    reason,
    version: state?.version ?? null,
    status: state?.status ?? null,
    health: health?.detail ?? null,
  };
}
