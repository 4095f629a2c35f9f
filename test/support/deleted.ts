/** Histories that are no longer on the server. */
import type { Client } from '@temporalio/client';
import { expect } from 'vitest';
import { describeRun, findRuns, quoted } from '../../client/server-reads.js';

/** As retention does once it is over, or a person at once. */
export async function deleted(client: Client, ...workflowIds: readonly string[]): Promise<void> {
  const { namespace } = client.options;
  for (const workflowId of workflowIds) {
    await client.workflowService.deleteWorkflowExecution({ namespace, workflowExecution: { workflowId } });
  }
  const left = async () => {
    const found = await Promise.all(workflowIds.map((id) => describeRun(client, id)));
    const listed = await findRuns(client, workflowIds.map((id) => `WorkflowId = ${quoted(id)}`).join(' OR '));
    return [...found, ...listed].flatMap((run) => run?.workflowId ?? []);
  };
  await expect.poll(left, { timeout: 120_000 }).toEqual([]);
}
