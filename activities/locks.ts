/** Leases that a shard finds taken: who holds them. */
import { Context } from '@temporalio/activity';
import { leaseOwner } from '../temporal/leases.js';
import { mapAtOnce } from '../temporal/reads.js';
import type { LockSteps } from '../workflows/contracts/steps.js';

export const lockSteps: LockSteps = {
  lockOwners: (workflowIds) => {
    const { client } = Context.current();
    // A shard asks of up to 400 members of groups before it starts any.
    return mapAtOnce(workflowIds, (id) => leaseOwner(client, id));
  },
};
