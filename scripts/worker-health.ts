/** Ends with 0 when the Temporal server sees a worker of this host polling: a container's health check. */
import { hostname } from 'node:os';
import { tsToMs } from '@temporalio/common/lib/time.js';
import { configuredTarget, connectClient, localTarget } from '../temporal/connection.js';
import { lineOf } from '../temporal/errors.js';
import { QUEUES } from '../workflows/contracts/queues.js';

/** A poll is held open for a minute. */
const SEEN_WITHIN_MS = 2 * 60_000;
/** TaskQueueType on the wire. */
const WORKFLOW_TASKS = 1;

async function isPolling(): Promise<boolean> {
  const target = configuredTarget() ?? localTarget();
  const client = await connectClient(target);
  try {
    const { pollers } = await client.workflowService.describeTaskQueue({
      namespace: target.namespace,
      taskQueue: { name: QUEUES.main },
      taskQueueType: WORKFLOW_TASKS,
    });
    const since = Date.now() - SEEN_WITHIN_MS;
    return (pollers ?? []).some(
      ({ identity, lastAccessTime }) => identity?.endsWith(`@${hostname()}`) && tsToMs(lastAccessTime) > since,
    );
  } finally {
    await client.connection.close();
  }
}

try {
  if (!(await isPolling())) throw new Error(`no worker of ${hostname()} polls the queue ${QUEUES.main}`);
} catch (error) {
  console.error(lineOf(error));
  process.exitCode = 1;
}
