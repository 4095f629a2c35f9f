/** What keeps the lists of a rollout that has ended, or was not started, ends as well. */
import { getExternalWorkflowHandle, patched } from '@temporalio/workflow';
import type { InventoryRef, RolloutInput } from './contracts/rollout.js';
import { releaseInventorySignal } from './messages.js';
import { releaseInventories } from './steps.js';

/** From here on the server keeps them as long as the history of who releases them; one out of reach ends by itself. */
export async function releaseInventory({ waves }: Pick<RolloutInput, 'waves'>): Promise<void> {
  const kept = waves.flatMap(({ parts = [] }) => parts.map(({ inventory }) => inventory));
  if (kept.length === 0) return;
  const released = patched('release-by-step') ? releaseInventories(kept) : Promise.all(kept.map(signalled));
  await released.catch(() => undefined);
}

/** Before lists began with a delay, they were signalled; one that is gone needs no release. */
async function signalled({ workflowId, runId }: InventoryRef): Promise<void> {
  await getExternalWorkflowHandle(workflowId, runId)
    .signal(releaseInventorySignal)
    .catch(() => undefined);
}
