/** What an upgrade's submits told, from its history, for the client and for activities alike. */
import type { Client } from '@temporalio/client';
import { decodeFromPayloadsAtIndex } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';
import { tsToMs } from '@temporalio/common/lib/time.js';
import type { SubmitResult, SubmitSteps } from '../workflows/contracts/steps.js';

/** The activity's name. */
export const SUBMIT = 'submit' satisfies keyof SubmitSteps;

export interface SubmitTold {
  /** When it was asked for, in epoch milliseconds. */
  readonly scheduledAt: number;
  readonly result: SubmitResult;
}

/**
 * Of the submits that have ended with a result, in their order.
 *
 * @throws the server's error, also that the run's history is gone
 */
export async function submitsOf(client: Client, workflowId: string, runId: string): Promise<SubmitTold[]> {
  const { loadedDataConverter } = client.options;
  const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  const scheduledAt = new Map<string, number>();
  const told: SubmitTold[] = [];
  for (const event of events ?? []) {
    const { activityTaskScheduledEventAttributes: scheduled, activityTaskCompletedEventAttributes: done } = event;
    if (scheduled?.activityType?.name === SUBMIT) scheduledAt.set(String(event.eventId), tsToMs(event.eventTime));
    const at = scheduledAt.get(String(done?.scheduledEventId));
    if (at === undefined) continue;
    const payloads = done?.result?.payloads;
    const result = await decodeFromPayloadsAtIndex<SubmitResult>(loadedDataConverter, 0, payloads);
    told.push({ scheduledAt: at, result });
  }
  return told;
}
