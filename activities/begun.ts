/** Whether a rollout had begun by an instant, as its upgrades' own histories tell: what `startBy` asks. */
import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { LRUCache } from 'lru-cache';
import { submitsOf } from '../temporal/submits.js';
import { rolloutWorkflowId } from '../workflows/contracts/ids.js';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import type { StepInput, SubmitResult } from '../workflows/contracts/steps.js';
import type { Outcome, Phase } from '../workflows/contracts/upgrade.js';
import { iso } from './clock.js';

/** How long the server may take to answer. */
const WITHIN_MS = 10_000;
/** So many rollouts that have begun are known by heart: they never have not. */
const KEPT = 500;

/** What an upgrade shows once it was sent, or follows what was. */
const SENT: readonly Phase[] = ['Await', 'Stuck', 'Overdue', 'Verify', 'Held'];
const NOT_UNDER_WAY: readonly Outcome[] = ['NotStarted', 'Skipped'];
/** A submit that ended so has sent nothing, and comes again or not at all. */
const NOT_YET: readonly SubmitResult['verdict'][] = ['busy', 'deferred', 'held-back', 'closed'];

/** @param by epoch milliseconds */
export type BegunOf = (input: Pick<StepInput, 'rollout' | 'rolloutRun'>, by: number) => Promise<boolean>;

/** @throws the server's error, also that the rollout is gone: who cannot ask may not send */
export function begunReader(clientOf: () => Client = () => Context.current().client): BegunOf {
  const begun = new LRUCache<string, true>({ max: KEPT });
  return async (of, by) => {
    const { rolloutRun } = of;
    if (begun.get(rolloutRun) === true) return true;
    const client = clientOf();
    const found = await client.withDeadline(Date.now() + WITHIN_MS, () => anyBy(client, of, by));
    if (!found) return false;
    begun.set(rolloutRun, true);
    return true;
  };
}

/** Visibility says which upgrades may be it, and lags; when each of them was, its history tells. */
async function anyBy(client: Client, { rollout, rolloutRun }: Parameters<BegunOf>[0], by: number): Promise<boolean> {
  // An earlier rollout of this name is another one, and so are its upgrades.
  const { startTime } = await client.workflow.getHandle(rolloutWorkflowId(rollout), rolloutRun).describe();
  const phases = [...SENT, 'Ended' satisfies Phase].map((phase) => `'${phase}'`).join(', ');
  const within = `StartTime >= '${startTime.toISOString()}' AND StartTime < '${iso(by)}'`;
  const query = `WorkflowType = 'upgrade' AND UpliftRollout = '${rollout}' AND ${within} AND UpliftPhase IN (${phases})`;
  for await (const { workflowId, runId, closeTime, typedSearchAttributes } of client.workflow.list({ query })) {
    const outcome = typedSearchAttributes.get(ATTRIBUTES.outcome);
    if (NOT_UNDER_WAY.some((one) => one === outcome)) continue;
    if (closeTime !== undefined && closeTime.getTime() < by) return true;
    if (await wasSubmittedBy(client, workflowId, runId, by)) return true;
  }
  return false;
}

/** A submit that began in time asked for `startBy` again right before it sent. */
async function wasSubmittedBy(client: Client, workflowId: string, runId: string, by: number): Promise<boolean> {
  const submits = await submitsOf(client, workflowId, runId);
  return submits.some(({ scheduledAt, result }) => scheduledAt < by && !NOT_YET.includes(result.verdict));
}
