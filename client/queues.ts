/** The task queues, and who serves them. */
import type { Client } from '@temporalio/client';
import { optionalTsToMs } from '@temporalio/common/lib/time.js';
import { QUEUES } from '../workflows/contracts/queues.js';

export interface Queue {
  readonly name: string;
  /** Identities of the workers that polled it lately. */
  readonly workers: readonly string[];
}

/** A worker polls at least once a minute. */
const POLLED_WITHIN_MS = 120_000;
/** TaskQueueType, as the wire has it. */
const WORKFLOWS = 1;
const ACTIVITIES = 2;

/** Every task queue with its workers: one without any stands still. */
export function queues(client: Client): Promise<Queue[]> {
  return Promise.all(
    Object.values(QUEUES).map(async (name) => {
      const { pollers } = await client.workflowService.describeTaskQueue({
        namespace: client.options.namespace,
        taskQueue: { name },
        taskQueueType: name === QUEUES.main ? WORKFLOWS : ACTIVITIES,
      });
      const alive = (pollers ?? []).filter(
        ({ lastAccessTime }) => Date.now() - (optionalTsToMs(lastAccessTime) ?? 0) < POLLED_WITHIN_MS,
      );
      return { name, workers: [...new Set(alive.map(({ identity }) => identity ?? ''))] };
    }),
  );
}
