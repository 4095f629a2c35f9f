/** What a workflow is told while a worker has its task cannot be seen until the task comes back. */
import { setTimeout as delay } from 'node:timers/promises';

/** `PendingWorkflowTaskState` on the wire. */
const STARTED = 2;
/** Between two looks: doubled from the first to the longest, since most tasks take milliseconds and a dead worker's 10 s. */
const ASK_AGAIN_MS = { first: 50, longest: 1_000 };

/** It is not known what a workflow was told in the last seconds. */
export class TaskTaken extends Error {
  override readonly name = 'TaskTaken';
}

/**
 * Whether a worker has it: then the server keeps back signals and requests to cancel, which stand neither in the history
 * nor in what describes the workflow, until the task is completed, fails or is timed out (after 10 s).
 */
export function isTaken(task: { readonly state?: number | null } | null | undefined): boolean {
  return task?.state === STARTED;
}

/**
 * Looks until a look sees everything.
 *
 * @param look `null` while a worker has the task
 * @throws TaskTaken when it does for longer than `withinMs`
 */
export async function onceHandedBack<T extends object>(
  workflowId: string,
  withinMs: number,
  look: () => Promise<T | null>,
): Promise<T> {
  const giveUpAt = performance.now() + withinMs;
  for (let pauseMs = ASK_AGAIN_MS.first; ; pauseMs = Math.min(2 * pauseMs, ASK_AGAIN_MS.longest)) {
    const seen = await look();
    if (seen !== null) return seen;
    if (performance.now() >= giveUpAt) {
      const told = 'what it was told meanwhile cannot be seen before the task is done or timed out: ask again';
      throw new TaskTaken(`a worker has a task of ${workflowId}: ${told}`);
    }
    await delay(pauseMs);
  }
}
