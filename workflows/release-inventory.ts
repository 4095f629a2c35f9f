/** What keeps the lists of a rollout that has ended, or was not started, ends as well. */
import { CancellationScope, getExternalWorkflowHandle, patched } from '@temporalio/workflow';
import { inventoriesOf, type InventoryRef, type RolloutInput } from './contracts/rollout.js';
import { releaseInventorySignal } from './messages.js';
import { releaseInventories } from './steps.js';

/** From here on the server keeps the lists as long as the caller's own history; one that is not reached ends after a year. */
export async function releaseInventory(input: RolloutInput): Promise<void> {
  const refs = inventoriesOf(input);
  if (refs.length === 0) return;
  if (patched('release-by-step')) {
    await CancellationScope.nonCancellable(() => releaseInventories(refs)).catch(() => undefined);
  } else {
    // Not shielded here: histories of then differ by caller in that.
    await Promise.all(refs.map(signalled));
  }
}

/** That was enough while lists began at once; one that is gone needs no release. */
async function signalled({ workflowId, runId }: InventoryRef): Promise<void> {
  await getExternalWorkflowHandle(workflowId, runId)
    .signal(releaseInventorySignal)
    .catch(() => undefined);
}
