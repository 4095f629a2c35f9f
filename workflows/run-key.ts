/** The key of a rollout's run, as a workflow that names others by it has to take it. */
import { patched } from '@temporalio/workflow';
import { runKey } from './contracts/ids.js';

/** As `runKey`, but for what a worker of an older release has begun: it took no notice of the key in its input. */
export function heededRunKey({ key, rolloutRun }: Parameters<typeof runKey>[0]): string {
  return runKey({ key: key !== undefined && patched('run-key') ? key : undefined, rolloutRun });
}
