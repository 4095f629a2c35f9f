/** Reads that the Temporal server answers by itself, for the client and for activities alike. */
import { type Client, isGrpcServiceError, type WorkflowExecutionDescription } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';
import { decodeFromPayloadsAtIndex } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';

/** gRPC status code. */
const NOT_FOUND = 5;

/** Requests in flight at a time: quick for hundreds of upgrades, gentle to a dev server. */
const AT_ONCE = 16;

/** The first argument that a workflow run was started with, from its history's first event. */
export async function inputOf<T>(client: Client, workflowId: string, runId: string): Promise<T> {
  const { history } = await client.workflowService.getWorkflowExecutionHistory({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize: 1,
  });
  const payloads = history?.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads;
  return decodeFromPayloadsAtIndex<T>(client.options.loadedDataConverter, 0, payloads);
}

/** The run that an operator's reset has put in the place of a closed one; itself where there is none. */
export async function carriedOn(
  client: Client,
  closed: WorkflowExecutionDescription,
): Promise<WorkflowExecutionDescription> {
  const latest = await client.workflow.getHandle(closed.workflowId).describe();
  return firstRunOf(latest) === firstRunOf(closed) ? latest : closed;
}

/** The id that a run keeps through resets: its own, or that of the run which it goes on for. */
export function firstRunOf({ raw, runId }: WorkflowExecutionDescription): string {
  return raw.workflowExecutionInfo?.firstRunId || runId;
}

/** The ids of the workflows that a run has started, from its history. */
export async function childrenOf(
  client: Client,
  { workflowId, runId }: WorkflowExecutionDescription,
): Promise<ReadonlySet<string>> {
  const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  const started = (events ?? []).flatMap(
    (event) => event.childWorkflowExecutionStartedEventAttributes?.workflowExecution?.workflowId ?? [],
  );
  return new Set(started);
}

/** There is no workflow of this id, or its history is gone. */
export function isNotFound(error: unknown): boolean {
  return error instanceof WorkflowNotFoundError || (isGrpcServiceError(error) && Number(error.code) === NOT_FOUND);
}

/** Maps with a bounded number of requests in flight, keeping the order. */
export async function mapAtOnce<T, R>(items: readonly T[], work: (item: T, index: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of queue) results[index] = await work(item, index);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
  return results;
}
