/** Whether people let a rollout send, or an upgrade of it, as the server alone knows it: for the client and for activities. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { decodeFromPayloadsAtIndex } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';
import { tsToMs } from '@temporalio/common/lib/time.js';
import { HOLD_MEMO, controlRequestIn, wordsOf } from '../workflows/contracts/control.js';
import { MESSAGES } from '../workflows/contracts/messages.js';
import { isTaken, onceHandedBack } from './handed-back.js';
import { carriedOn } from './reads.js';

/** Less than a submit gives the server to answer, so that it is told why nobody can tell. */
const WITHIN_MS = 4_000;

/** Why a rollout may send nothing now. */
export interface Hold {
  readonly reason: string;
  /** It has ended: nothing of it is sent any more. */
  readonly over: boolean;
}

/**
 * Why nothing may be sent now; `null` while things may. What the rollout has heard stands in its memo. What it has not,
 * since no worker has run its task yet, stands in its history: a pause holds from when the server has it. One that has
 * ended without following its upgrades, as when it was terminated, holds them for good.
 *
 * @throws TaskTaken when a worker has a task of it all the while; the server's error
 */
export async function holdOf(client: Client, workflowId: string, runId: string): Promise<Hold | null> {
  const look = async (): Promise<{ readonly hold: Hold | null } | null> => {
    const named = await client.workflow.getHandle(workflowId, runId).describe();
    const told = isOpen(named) ? named : await carriedOn(client, named);
    if (!isOpen(told)) return { hold: { reason: `the rollout has ended: ${told.status.name}`, over: true } };
    if (told.raw.pendingWorkflowTask == null) return { hold: holdIn(told.memo) };
    if (isTaken(told.raw.pendingWorkflowTask)) return null;
    const reason = await unheard(client, workflowId, told.runId);
    if (reason !== null) return { hold: { reason, over: false } };
    // Its memo is read after its history: whatever is heard in between stands in one of them.
    const after = await client.workflow.getHandle(workflowId, told.runId).describe();
    return !isOpen(after) || isTaken(after.raw.pendingWorkflowTask) ? null : { hold: holdIn(after.memo) };
  };
  return (await onceHandedBack(workflowId, WITHIN_MS, look)).hold;
}

export interface Run {
  readonly workflowId: string;
  readonly runId: string;
}

export interface CancelRequest {
  readonly isCancelled: boolean;
  /** `null` for a workflow that is no child. */
  readonly startedBy: Run | null;
}

/**
 * Whether the server has a request to cancel a run, heard by its workflow or not; also one that it made itself when the
 * run's parent was terminated.
 *
 * @param isQuiet it has a task seldom: then one that a worker has is waited for, since requests are kept back meanwhile
 * @throws TaskTaken when a worker has a task of such a one all the while; the server's error
 */
export function cancelRequestOf(client: Client, { workflowId, runId }: Run, isQuiet: boolean): Promise<CancelRequest> {
  return onceHandedBack(workflowId, WITHIN_MS, async () => {
    const { raw, parentExecution } = await client.workflow.getHandle(workflowId, runId).describe();
    const isCancelled = raw.workflowExtendedInfo?.cancelRequested === true;
    const mayHide = isQuiet && !isCancelled && isTaken(raw.pendingWorkflowTask);
    const { workflowId: parent, runId: parentRun } = parentExecution ?? {};
    const startedBy = parent == null || parentRun == null ? null : { workflowId: parent, runId: parentRun };
    return mayHide ? null : { isCancelled, startedBy };
  });
}

function isOpen({ status }: WorkflowExecutionDescription): boolean {
  return status.name === 'RUNNING' || status.name === 'PAUSED';
}

function holdIn(memo: Record<string, unknown> | undefined): Hold | null {
  const reason = memo?.[HOLD_MEMO];
  return typeof reason === 'string' ? { reason, over: false } : null;
}

/** A pause, a stop or a cancellation that came after the last workflow task that was completed. */
async function unheard(client: Client, workflowId: string, runId: string): Promise<string | null> {
  const { loadedDataConverter, namespace } = client.options;
  /** The latest word on pausing that was met so far: going backwards, earlier ones are overruled by it. */
  let isResumed = false;
  let hold: string | null = null;
  let nextPageToken: Uint8Array | null | undefined;
  do {
    const page = await client.workflowService.getWorkflowExecutionHistoryReverse({
      namespace,
      execution: { workflowId, runId },
      maximumPageSize: 50,
      nextPageToken,
    });
    for (const event of page.history?.events ?? []) {
      if (event.workflowTaskCompletedEventAttributes != null) return hold;
      if (event.workflowExecutionCancelRequestedEventAttributes != null) return 'the rollout was cancelled';
      const told = event.workflowExecutionSignaledEventAttributes;
      if (told?.signalName !== MESSAGES.control) continue;
      const request = controlRequestIn(
        await decodeFromPayloadsAtIndex<unknown>(loadedDataConverter, 0, told.input?.payloads),
      );
      if (request === null) continue;
      const words = wordsOf({ ...request, at: new Date(tsToMs(event.eventTime)).toISOString() });
      if (request.act === 'stop') return words;
      if (request.act === 'resume') isResumed = true;
      if (request.act === 'pause' && !isResumed) hold ??= words;
    }
    nextPageToken = page.nextPageToken?.length ? page.nextPageToken : null;
  } while (nextPageToken != null);
  return hold;
}
