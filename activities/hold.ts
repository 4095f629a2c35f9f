/** Whether people let a rollout send: read from the server right before each send, so that a pause reaches what is queued. */
import { Context } from '@temporalio/activity';
import { holdOf } from '../temporal/hold.js';
import { isNotFound } from '../temporal/reads.js';
import { rolloutWorkflowId } from '../workflows/contracts/ids.js';

/** How long the server may take to answer. */
const WITHIN_MS = 5_000;

interface RolloutRun {
  /** Its id. */
  readonly rollout: string;
  readonly rolloutRun: string;
}

/**
 * Why nothing may be sent now; `null` while things may. A rollout that is gone holds nothing.
 *
 * @throws the server's error: who cannot ask may not send
 */
export async function rolloutHold({ rollout, rolloutRun }: RolloutRun): Promise<string | null> {
  const { client } = Context.current();
  try {
    return await client.withDeadline(Date.now() + WITHIN_MS, () =>
      holdOf(client, rolloutWorkflowId(rollout), rolloutRun),
    );
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}
