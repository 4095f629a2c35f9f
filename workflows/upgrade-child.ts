/** An upgrade as the child of its shard. */
import { ChildWorkflowCancellationType, ParentClosePolicy, startChild } from '@temporalio/workflow';
import { upgradeWorkflowId } from './contracts/ids.js';
import { ATTRIBUTES } from './contracts/search-attributes.js';
import type { Phase, UpgradeInput } from './contracts/upgrade.js';
import type { upgrade } from './upgrade.js';

/** @throws WorkflowExecutionAlreadyStartedError when somebody else upgrades the resource just now */
export function startUpgrade(input: UpgradeInput) {
  const { rollout, wave, spec } = input;
  const { resource, targetLabel } = spec;
  return startChild<typeof upgrade>('upgrade', {
    workflowId: upgradeWorkflowId(resource),
    args: [input],
    // A parent that is gone asks its upgrades to stop; it never takes them down (docs/design.md).
    parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
    cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
    staticSummary: `${resource.id} to ${targetLabel}`,
    staticDetails: `${resource.service} in account ${resource.account}, rollout ${rollout}, ${wave}`,
    typedSearchAttributes: [
      { key: ATTRIBUTES.rollout, value: rollout },
      { key: ATTRIBUTES.cloud, value: resource.cloud },
      { key: ATTRIBUTES.service, value: resource.service },
      { key: ATTRIBUTES.region, value: resource.region },
      { key: ATTRIBUTES.account, value: resource.account },
      { key: ATTRIBUTES.resource, value: resource.id },
      { key: ATTRIBUTES.target, value: targetLabel },
      { key: ATTRIBUTES.phase, value: 'Precheck' satisfies Phase },
    ],
  });
}
