/** Leases that a shard finds taken: who holds them. */
import { Context } from '@temporalio/activity';
import { leaseOwner } from '../temporal/leases.js';
import type { LockSteps } from '../workflows/contracts/steps.js';

export const lockSteps: LockSteps = {
  lockOwners: (workflowIds) => Promise.all(workflowIds.map((id) => leaseOwner(Context.current().client, id))),
};
