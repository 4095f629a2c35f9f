/** Reads that the Temporal server answers by itself, without any worker. */
import { type Client, isGrpcServiceError, type WorkflowExecutionInfo, WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { decodeArrayFromPayloads } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';
import type { Payload } from '@temporalio/common';
import { isNotFound } from '../temporal/reads.js';

/** gRPC status code. */
const INVALID_ARGUMENT = 3;

/** A workflow run, as far as one call tells; `null` when there is none of that id. */
export async function describeRun(client: Client, workflowId: string, runId?: string) {
  try {
    return await client.workflow.getHandle(workflowId, runId).describe();
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

/** How a run ended. `value` is what it returned, or `details[0]` of a failure of the type `failureType`. */
export type RunEnd<T> =
  | { readonly kind: 'result'; readonly value: T }
  /** Terminated, cancelled, or failed in another way: no value, and why. */
  | { readonly kind: 'none'; readonly reason: string };

/** The end of a run that has ended already (of a running one it waits for the end). */
export async function endOf<T>(
  client: Client,
  workflowId: string,
  runId: string,
  failureType?: string,
): Promise<RunEnd<T>> {
  const handle = client.workflow.getHandle(workflowId, runId, { followRuns: false });
  try {
    return { kind: 'result', value: (await handle.result()) as T };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const { cause } = error;
    if (cause instanceof ApplicationFailure && cause.type === failureType && cause.details?.[0] !== undefined) {
      return { kind: 'result', value: cause.details[0] as T };
    }
    return { kind: 'none', reason: cause?.message ?? error.message };
  }
}

/** What is in a payload list, by the client's own converter and codecs. */
export async function decoded(client: Client, payloads: Payload[] | null | undefined): Promise<unknown> {
  return (await decodeArrayFromPayloads(client.options.loadedDataConverter, payloads))[0];
}

/**
 * Runs that visibility finds. It lags behind by about a second, and a namespace without our search attributes finds
 * nothing.
 */
export async function findRuns(client: Client, query: string): Promise<WorkflowExecutionInfo[]> {
  const runs: WorkflowExecutionInfo[] = [];
  try {
    for await (const run of client.workflow.list({ query })) runs.push(run);
  } catch (error) {
    if (!isGrpcServiceError(error) || Number(error.code) !== INVALID_ARGUMENT) throw error;
  }
  return runs;
}

/** By workflow id; of several runs of one id the latest. */
export function latestRuns(runs: readonly WorkflowExecutionInfo[]): Map<string, WorkflowExecutionInfo> {
  const latest = new Map<string, WorkflowExecutionInfo>();
  for (const run of runs) {
    const seen = latest.get(run.workflowId);
    if (seen === undefined || seen.startTime < run.startTime) latest.set(run.workflowId, run);
  }
  return latest;
}

/** A string inside a visibility query. */
export function quoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, '\\$&')}'`;
}

/**
 * Asks a workflow's worker; `null` when none answers within `withinMs`, for whatever reason: none is there, it cannot
 * replay, or it is too old to know the question.
 */
export async function ask<T>(
  client: Client,
  run: { readonly workflowId: string; readonly runId: string },
  query: string,
  withinMs: number,
): Promise<T | null> {
  try {
    return await client.withDeadline(Date.now() + withinMs, () =>
      client.workflow.getHandle(run.workflowId, run.runId).query<T>(query),
    );
  } catch (error) {
    if (error instanceof Error) return null;
    throw error;
  }
}
