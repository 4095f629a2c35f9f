/**
 * The time bounds of the submit protocol, in milliseconds at scale 1. `settlingMs` has to outlast everything that could
 * still bring an earlier send to the cloud, or hide one that arrived.
 */
import type { VerifyInput } from '../workflows/contracts/steps.js';
import type { Pace } from './clouds/port.js';

/** An attempt may send only this long after it began; checked right before the socket write. */
const SEND_WINDOW_MS = 30_000;
/** A send that has no whole answer after this is `unknown`. */
const SEND_TIMEOUT_MS = 30_000;
/** Clocks of two of our machines may differ by this much. */
export const CLOCK_SKEW_MS = 10_000;
/** Time between two looks for a trace of a submit. */
const LOOK_EVERY_MS = 5_000;
/** An attempt that still cannot read the truth hands back to the workflow, which shows `Held` and tries again. */
const SUBMIT_PATIENCE_MS = 300_000;

export interface SubmitBounds {
  readonly sendWindowMs: number;
  readonly sendTimeoutMs: number;
  readonly settlingMs: number;
  readonly lookEveryMs: number;
  readonly patienceMs: number;
}

/** The bounds for one service at a scale: all shrink together, so their order holds at any scale. */
export function submitBounds(pace: Pace, scale: number): SubmitBounds {
  return {
    sendWindowMs: SEND_WINDOW_MS * scale,
    sendTimeoutMs: SEND_TIMEOUT_MS * scale,
    settlingMs: (SEND_WINDOW_MS + SEND_TIMEOUT_MS + CLOCK_SKEW_MS + pace.visibilityLagMs) * scale,
    lookEveryMs: LOOK_EVERY_MS * scale,
    patienceMs: SUBMIT_PATIENCE_MS * scale,
  };
}

/**
 * Epoch ms from which on every read shows the operation; until then, what a read shows may be what was before its
 * submit. Never more than the visibility lag after `now`, since an adopted operation is dated by the cloud's clock.
 */
export function visibleFrom(
  pace: Pace,
  { operation, timing }: Pick<VerifyInput, 'operation' | 'timing'>,
  now: number,
): number {
  return Math.min(Date.parse(operation.since), now) + pace.visibilityLagMs * timing.scale;
}
