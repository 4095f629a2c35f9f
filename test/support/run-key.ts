/** What stands for a rollout's run in the ids of its waves and shards. */
import type { Client } from '@temporalio/client';
import { keyOfRun } from '../../client/runs.js';
import { inputOf } from '../../temporal/reads.js';
import type { RolloutInput } from '../../workflows/contracts/rollout.js';

export async function runKeyOf(
  client: Client,
  run: { readonly workflowId: string; readonly runId: string },
): Promise<string> {
  return keyOfRun(await inputOf<RolloutInput>(client, run.workflowId, run.runId), run);
}
