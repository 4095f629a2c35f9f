/** A reset, as an operator gives it in the UI. */
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';

/**
 * Goes back to the end of a run's n-th workflow task.
 *
 * @param run the latest one, where no run is named
 */
export async function reset(
  client: Client,
  run: { readonly workflowId: string; readonly runId?: string },
  task: number,
): Promise<void> {
  const { events } = await client.workflow.getHandle(run.workflowId, run.runId).fetchHistory();
  const ends = (events ?? []).filter((event) => event.workflowTaskCompletedEventAttributes != null);
  const eventId = ends[task - 1]?.eventId;
  if (eventId === undefined || eventId === null) throw new Error(`no ${task}th workflow task has ended`);
  await client.workflowService.resetWorkflowExecution({
    namespace: client.options.namespace,
    workflowExecution: run,
    workflowTaskFinishEventId: eventId,
    requestId: randomUUID(),
    reason: 'by hand',
  });
}
