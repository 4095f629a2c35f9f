/** Who holds the lease of a resource: the upgrade that runs under its workflow id, as the server knows it. */
import { Context } from '@temporalio/activity';
import { isNotFound } from '../temporal/reads.js';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import type { LockOwner, LockSteps } from '../workflows/contracts/steps.js';

export const lockSteps: LockSteps = {
  lockOwners: (workflowIds) => Promise.all(workflowIds.map(ownerOf)),
};

async function ownerOf(workflowId: string): Promise<LockOwner | null> {
  try {
    const run = await Context.current().client.workflow.getHandle(workflowId).describe();
    if (run.status.name !== 'RUNNING' && run.status.name !== 'PAUSED') return null;
    return {
      rollout: run.typedSearchAttributes.get(ATTRIBUTES.rollout) ?? 'none',
      since: run.startTime.toISOString(),
      phase: run.typedSearchAttributes.get(ATTRIBUTES.phase) ?? 'unknown',
    };
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}
