/**
 * Keeps the upgrades of one shard: its input is the list. It stays until its rollout has ended, so that the server keeps
 * both equally long, and does nothing else: it is started with a delay that its release ends, so no worker has it until then.
 */
import { condition, setHandler } from '@temporalio/workflow';
import type { InventoryInput } from './contracts/rollout.js';
import { releaseInventorySignal } from './messages.js';

export async function inventory(_kept: InventoryInput): Promise<void> {
  let released = false;
  setHandler(releaseInventorySignal, () => {
    released = true;
  });
  await condition(() => released);
}
