/** How a rollout ended, well or not. */
import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { FAILURES } from '../../workflows/contracts/errors.js';
import type { RolloutResult } from '../../workflows/contracts/rollout.js';

/** The result of a rollout, also of one that fails its workflow, as a failed one does. @throws what else ended it */
export async function endedRollout(handle: { result(): Promise<RolloutResult> }): Promise<RolloutResult> {
  try {
    return await handle.result();
  } catch (error) {
    const cause = error instanceof WorkflowFailedError ? error.cause : undefined;
    if (!(cause instanceof ApplicationFailure) || cause.type !== FAILURES.rollout) throw error;
    return cause.details?.[0] as RolloutResult;
  }
}
