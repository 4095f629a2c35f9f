/** Every mutating call of a rollout, also of upgrades that have no result to tell them. */
import type { Client } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import type { RolloutInput } from '../workflows/contracts/rollout.js';
import type { SubmitHeartbeat } from '../workflows/contracts/steps.js';
import type { SentCall } from '../workflows/contracts/upgrade.js';
import { isNotFound, mapAtOnce } from '../temporal/reads.js';
import { SUBMIT, submitsOf } from '../temporal/submits.js';
import { upgradeRuns } from './runs.js';
import { decoded, describeRun } from './server-reads.js';
import type { ResourceCall, ResourceRow } from './views.js';

/**
 * Of all runs of a rollout's upgrades: one that found its window closed comes again in a later run, and one that still
 * runs or was terminated has calls, but no result.
 *
 * @param rolloutRun the rollout's
 * @param told the calls of runs whose results were read already, by run id
 */
export async function callsOf(
  client: Client,
  rolloutRun: Parameters<typeof upgradeRuns>[1],
  input: RolloutInput,
  rows: readonly ResourceRow[],
  told: ReadonlyMap<string | null, readonly SentCall[]>,
): Promise<ResourceCall[]> {
  const runs = new Map<string, string[]>();
  for (const { workflowId, runId } of await upgradeRuns(client, rolloutRun, input)) {
    runs.set(workflowId, [...(runs.get(workflowId) ?? []), runId]);
  }
  // Visibility lags behind: what the rows know of counts as well.
  const wanted = rows.flatMap(({ workflowId, runId, resourceId }) =>
    [...new Set([...(runs.get(workflowId) ?? []), ...(runId === null ? [] : [runId])])].map((one) => ({
      workflowId,
      resourceId,
      runId: one,
    })),
  );
  const calls = await mapAtOnce(wanted, async ({ workflowId, resourceId, runId }) => {
    const sent = told.get(runId) ?? (await callsSoFar(client, workflowId, runId));
    return sent.map((call): ResourceCall => ({ resourceId, ...call }));
  });
  // A run that an operator has reset shares its beginning with the one that follows it.
  const each = new Map(calls.flat().map((call) => [`${call.resourceId} ${call.at} ${call.requestId}`, call]));
  return [...each.values()].toSorted((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}

/** What a run's submits have told, and what the one that is under way has beaten; nothing once its history is gone. */
async function callsSoFar(client: Client, workflowId: string, runId: string): Promise<readonly SentCall[]> {
  // First, so that a submit that ends meanwhile is seen twice rather than not at all.
  const run = await describeRun(client, workflowId, runId);
  const pending = run?.raw.pendingActivities?.find(({ activityType }) => activityType?.name === SUBMIT);
  const beaten = await callsBeaten(client, pending?.heartbeatDetails?.payloads);
  return [...(await callsInHistory(client, workflowId, runId)), ...beaten];
}

async function callsInHistory(client: Client, workflowId: string, runId: string): Promise<readonly SentCall[]> {
  try {
    return (await submitsOf(client, workflowId, runId)).flatMap(({ result }) => result.calls);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return [];
  }
}

/** Of the heartbeat of a submit; a worker of an older release beats none. */
async function callsBeaten(client: Client, payloads: Payload[] | null | undefined): Promise<readonly SentCall[]> {
  const told = (await decoded(client, payloads)) as SubmitHeartbeat | string | undefined;
  return typeof told === 'string' ? [] : (told?.calls ?? []);
}
