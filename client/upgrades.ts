/** The typed client of single upgrades: found by their resource, ended by a person's word. */
import {
  type Client,
  isGrpcServiceError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import type { Timely } from '../workflows/contracts/control.js';
import { MESSAGES } from '../workflows/contracts/messages.js';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import type { Resolution } from '../workflows/contracts/upgrade.js';
import { isNotFound } from '../temporal/reads.js';
import { grpcErrorIn } from './errors.js';
import { describeRun, findRuns, latestRuns, quoted } from './server-reads.js';

/** How long it may take until a worker hears a person's word. */
const HEARD_WITHIN_MS = 10_000;
/** What was heard in time is answered so much later at most: a workflow task's time-out, and the way back. */
const ANSWERED_WITHIN_MS = 11_000;
/** gRPC status codes. */
const DEADLINE_EXCEEDED = 4;
const FAILED_PRECONDITION = 9;

/** Why the server itself refuses an update, before any worker has it; its own words: temporalio/temporal, service/history. */
const NOT_ADMITTED: readonly (readonly [said: RegExp, why: string])[] = [
  [
    /^Unable to perform workflow execution update due to/,
    'no worker answers, or what it tries fails, and nothing was recorded (start one: uplift worker; its log tells what fails)',
  ],
  [
    /limit on the total number of distinct updates/,
    'nothing was recorded: the server takes no more such words for this run, which goes on (pause, resume and stop are still taken)',
  ],
];

/** A message that was not taken: why, and what to do. */
export class NotTakenError extends Error {
  override readonly name = 'NotTakenError';
}

/**
 * The running upgrade of a resource: by its workflow id, or by the resource's id alone where that names only one.
 *
 * @returns its workflow id
 * @throws NotTakenError when there is none, or more than one
 */
export async function runningUpgrade(client: Client, resource: string): Promise<string> {
  if (resource.startsWith('upgrade/')) {
    const run = await describeRun(client, resource);
    if (run?.status.name === 'RUNNING') return resource;
    throw new NotTakenError(`no upgrade runs as ${resource} (check the id, --address and --namespace)`);
  }
  const running = latestRuns(
    await findRuns(
      client,
      `WorkflowType = 'upgrade' AND ExecutionStatus = 'Running' AND ${ATTRIBUTES.resource.name} = ${quoted(resource)}`,
    ),
  );
  const [workflowId, ...more] = running.keys();
  if (workflowId === undefined) {
    throw new NotTakenError(`no upgrade of ${resource} is running (check the id, --address and --namespace)`);
  }
  if (more.length > 0) {
    throw new NotTakenError(`several upgrades are of ${resource}: name one of ${[workflowId, ...more].join(', ')}`);
  }
  return workflowId;
}

/**
 * Ends an upgrade that is held or overdue by a person's word; recorded in its history when this returns.
 *
 * @throws NotTakenError as `takenUpdate`
 */
export async function resolveUpgrade(client: Client, workflowId: string, resolution: Resolution): Promise<void> {
  await takenUpdate<void>(client, workflowId, MESSAGES.resolve, resolution);
}

/**
 * An update's answer, once it stands in the history.
 *
 * @throws NotTakenError saying why it was not recorded, or that nobody knows whether it was
 */
export async function takenUpdate<T>(client: Client, workflowId: string, update: string, request: Timely): Promise<T> {
  const until = Date.now() + HEARD_WITHIN_MS;
  // The server would deliver it to a worker that comes later.
  const timely = { ...request, validUntil: new Date(until).toISOString() };
  try {
    return await client.withDeadline(until + ANSWERED_WITHIN_MS, () =>
      client.workflow.getHandle(workflowId).executeUpdate<T, [Timely]>(update, { args: [timely] }),
    );
  } catch (error) {
    throw notTaken(error, workflowId);
  }
}

function notTaken(error: unknown, workflowId: string): unknown {
  if (error instanceof WorkflowUpdateFailedError) return new NotTakenError(error.cause?.message ?? error.message);
  if (isNotFound(error)) return new NotTakenError(`${workflowId} has ended meanwhile`);
  const answer = grpcErrorIn(error);
  if (Number(answer?.code) === FAILED_PRECONDITION) {
    const why = NOT_ADMITTED.find(([said]) => said.test(answer?.details ?? ''))?.[1];
    if (why !== undefined) return new NotTakenError(why);
  }
  const isLate =
    error instanceof WorkflowUpdateRPCTimeoutOrCancelledError ||
    (isGrpcServiceError(error) && Number(error.code) === DEADLINE_EXCEEDED);
  if (!isLate) return error;
  return new NotTakenError(
    'no worker answered, and whether one recorded it is not known (start one: uplift worker; then look: uplift report)',
  );
}
