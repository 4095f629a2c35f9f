/** What keeps the lists of a rollout that has ended, or was not started, ends as well. */
import { CancellationScope, getExternalWorkflowHandle } from '@temporalio/workflow';
import type { InventoryRef, RolloutInput } from './contracts/rollout.js';
import { releaseInventorySignal } from './messages.js';
import { releaseInventories } from './steps.js';

type Kept = Pick<RolloutInput, 'waves'>;

/** From here on the server keeps them as long as the history of who releases them; what is out of reach ends by itself. */
export async function releaseInventory(input: Kept): Promise<void> {
  const refs = refsOf(input);
  if (refs.length === 0) return;
  await CancellationScope.nonCancellable(() => releaseInventories(refs)).catch(() => undefined);
}

/** So it was before lists began with a delay: for histories of then. */
export async function signalInventory(input: Kept): Promise<void> {
  const signal = ({ workflowId, runId }: InventoryRef) =>
    getExternalWorkflowHandle(workflowId, runId)
      .signal(releaseInventorySignal)
      // One that is gone needs no release.
      .catch(() => undefined);
  await CancellationScope.nonCancellable(() => Promise.all(refsOf(input).map(signal)));
}

function refsOf({ waves }: Kept): readonly InventoryRef[] {
  return waves.flatMap(({ parts = [] }) => parts.map(({ inventory }) => inventory));
}
