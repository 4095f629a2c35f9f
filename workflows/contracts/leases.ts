/** Leases of resources: an upgrade's workflow id is the lease, and whoever runs under it holds it. */

/** The upgrade that holds a resource's lease. */
export interface LockOwner {
  /** Its rollout's id. */
  readonly rollout: string;
  /** ISO 8601, UTC. */
  readonly since: string;
  /** As its search attribute has it. */
  readonly phase: string;
}

/**
 * `another upgrade of this resource is running: upgrade/… of rollout spring since …, in phase Await`
 *
 * @param owner left out where nobody looked who it is
 */
export function lockedLabel(workflowId: string, owner?: LockOwner): string {
  const of = owner === undefined ? '' : ` of rollout ${owner.rollout} since ${owner.since}, in phase ${owner.phase}`;
  return `another upgrade of this resource is running: ${workflowId}${of}`;
}
