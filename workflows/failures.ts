import { ActivityFailure, ApplicationFailure, ChildWorkflowFailure, TemporalFailure } from '@temporalio/workflow';
import { FAILURES } from './contracts/errors.js';
import type { RolloutResult } from './contracts/rollout.js';
import type { UpgradeResult } from './contracts/upgrade.js';

/** The innermost message of a failure: what the person needs, without the platform's wrapping. */
export function rootReason(error: unknown): string {
  let inner = error;
  while (inner instanceof TemporalFailure && inner.cause !== undefined) inner = inner.cause;
  return inner instanceof Error ? inner.message : String(inner);
}

/** The type of the innermost failure that has one; `null` for a termination or a time-out. */
export function failureType(error: unknown): string | null {
  let type: string | null = null;
  for (let inner = error; inner instanceof TemporalFailure; inner = inner.cause) {
    if (inner instanceof ApplicationFailure) type = inner.type ?? type;
  }
  return type;
}

/** The result that a failed upgrade carries; `null` when it failed otherwise (terminated, for one). */
export function failedUpgrade(error: unknown): UpgradeResult | null {
  return carriedBy<UpgradeResult>(error, FAILURES.upgrade);
}

/** As `failedUpgrade`, of a rollout. */
export function failedRollout(error: unknown): RolloutResult | null {
  return carriedBy<RolloutResult>(error, FAILURES.rollout);
}

function carriedBy<T>(error: unknown, type: string): T | null {
  if (!(error instanceof ChildWorkflowFailure || error instanceof ActivityFailure)) return null;
  const { cause } = error;
  if (!(cause instanceof ApplicationFailure) || cause.type !== type) return null;
  return (cause.details?.[0] as T | undefined) ?? null;
}
