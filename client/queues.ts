/** The task queues, and who serves them. */
import type { Client } from '@temporalio/client';
import { optionalTsToMs } from '@temporalio/common/lib/time.js';
import { QUEUES, queueOf } from '../workflows/contracts/queues.js';

export interface Queue {
  readonly name: string;
  readonly pollers: readonly Poller[];
}

export interface Poller {
  readonly identity: string;
  /** Where it is versioned; else `null`. */
  readonly version: { readonly deployment: string; readonly buildId: string } | null;
  /** When its last poll began, in milliseconds since the epoch by the server's clock. */
  readonly polledAt: number;
}

/** A poll lasts a minute, and the server names pollers for longer: who has not polled since has ended. */
const POLLED_WITHIN_MS = 75_000;
/** TaskQueueType, as the wire has it. */
const WORKFLOWS = 1;
const ACTIVITIES = 2;
/** WorkerVersioningMode, as the wire has it. */
const VERSIONED = 2;

/**
 * Every task queue with all pollers that the server names, also such as ended some minutes ago.
 *
 * @param own the names of accounts' own queues that are asked for as well
 */
export function queues(client: Client, own: Iterable<string> = []): Promise<Queue[]> {
  const kinds = Object.keys(QUEUES) as (keyof typeof QUEUES)[];
  const names = [undefined, ...new Set(own)].flatMap((one) => kinds.map((kind) => queueOf(kind, one)));
  return Promise.all(
    names.map(async (name) => {
      const { pollers } = await client.workflowService.describeTaskQueue({
        namespace: client.options.namespace,
        taskQueue: { name },
        taskQueueType: name === QUEUES.main ? WORKFLOWS : ACTIVITIES,
      });
      return {
        name,
        pollers: (pollers ?? []).map(({ identity, deploymentOptions: of, lastAccessTime }) => ({
          identity: identity ?? '',
          version:
            of?.workerVersioningMode === VERSIONED
              ? { deployment: of.deploymentName ?? '', buildId: of.buildId ?? '' }
              : null,
          polledAt: optionalTsToMs(lastAccessTime) ?? 0,
        })),
      };
    }),
  );
}

/**
 * Every task queue with the workers that polled it lately, by this machine's clock: one without any stands still.
 *
 * @param own the names of accounts' own queues that are asked for as well
 */
export async function servedQueues(client: Client, own: Iterable<string> = []): Promise<Queue[]> {
  const named = await queues(client, own);
  const isLate = ({ polledAt }: Poller) => Date.now() - polledAt >= POLLED_WITHIN_MS;
  return named.map(({ name, pollers }) => ({ name, pollers: pollers.filter((poller) => !isLate(poller)) }));
}

/** Each worker once. */
export function identitiesOf(pollers: readonly Poller[]): string[] {
  return [...new Set(pollers.map(({ identity }) => identity))];
}
