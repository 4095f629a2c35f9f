/** Whether people let a rollout send: read from the server right before each send, so that a pause reaches what is queued. */
import { Context } from '@temporalio/activity';
import { isNotFound } from '../temporal/reads.js';
import { HOLD_MEMO } from '../workflows/contracts/control.js';
import { rolloutWorkflowId } from '../workflows/contracts/ids.js';

/** How long the server may take to answer. */
const WITHIN_MS = 5_000;

/**
 * Why nothing may be sent now; `null` while things may. A rollout that is gone holds nothing.
 *
 * @throws the server's error: who cannot ask may not send
 */
export async function rolloutHold({
  rollout,
  rolloutRun,
}: {
  rollout: string;
  rolloutRun: string;
}): Promise<string | null> {
  const { client } = Context.current();
  try {
    const { memo } = await client.withDeadline(Date.now() + WITHIN_MS, () =>
      client.workflow.getHandle(rolloutWorkflowId(rollout), rolloutRun).describe(),
    );
    const hold: unknown = memo?.[HOLD_MEMO];
    return typeof hold === 'string' ? hold : null;
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}
