/** Who holds the lease of a resource: the upgrade that runs under its workflow id, as the server knows it. */
import type { Client } from '@temporalio/client';
import type { LockOwner } from '../workflows/contracts/leases.js';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import { isNotFound } from './reads.js';

/** `null` for a lease that is free. */
export async function leaseOwner(client: Client, workflowId: string): Promise<LockOwner | null> {
  try {
    const run = await client.workflow.getHandle(workflowId).describe();
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
