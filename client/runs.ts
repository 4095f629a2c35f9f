/** Which run of a rollout: of one plan there is a run for each time that it was applied. */
import type { Client, WorkflowExecutionDescription, WorkflowExecutionInfo } from '@temporalio/client';
import { rolloutWorkflowId, runKey } from '../workflows/contracts/ids.js';
import type { RolloutInput } from '../workflows/contracts/rollout.js';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import { describeRun, findRuns, quoted } from './server-reads.js';

/** There is no rollout of this id on this server and namespace. */
class UnknownRolloutError extends Error {
  override readonly name = 'UnknownRolloutError';

  constructor(rollout: string, namespace: string) {
    super(`there is no rollout ${rollout} in namespace ${namespace} (check the id, --address and --namespace)`);
  }
}

/** A rollout has no run of this id, or several whose ids end so. */
class UnknownRunError extends Error {
  override readonly name = 'UnknownRunError';
}

/** Characters of a run's id. */
const RUN_ID = 36;

/** What stands for a rollout's run in the ids of its waves and shards. */
export function keyOfRun({ key }: RolloutInput, { runId }: { readonly runId: string }): string {
  return runKey({ key, rolloutRun: runId });
}

/**
 * A run of a rollout: the latest, or one that the server still has.
 *
 * @param end of the run's id, which is chance; its beginning is the time
 * @throws UnknownRolloutError; UnknownRunError naming the runs that there are
 */
export async function describeRollout(
  client: Client,
  rollout: string,
  end?: string,
): Promise<WorkflowExecutionDescription> {
  const workflowId = rolloutWorkflowId(rollout);
  const latest = await describeRun(client, workflowId);
  if (latest === null) throw new UnknownRolloutError(rollout, client.options.namespace);
  if (end === undefined || latest.runId.endsWith(end)) return latest;
  // Visibility lags behind, and a whole id needs none.
  const run = await describeRun(client, workflowId, end.length === RUN_ID ? end : await runIdOf(client, rollout, end));
  if (run === null) throw new UnknownRunError(`rollout ${rollout} has no run ${end}`);
  return run;
}

async function runIdOf(client: Client, rollout: string, end: string): Promise<string> {
  const runs = await runsOf(client, rolloutWorkflowId(rollout));
  const [found, ...more] = runs.filter(({ runId }) => runId.endsWith(end));
  if (found !== undefined && more.length === 0) return found.runId;
  const all = runs.map(({ runId, startTime }) => `${runId} of ${startTime.toISOString()}`).join(', ');
  const what = found === undefined ? `no run ${end}` : `several runs whose ids end with ${end}`;
  throw new UnknownRunError(`rollout ${rollout} has ${what} (there are ${all})`);
}

/** Newest first. */
async function runsOf(client: Client, workflowId: string): Promise<readonly WorkflowExecutionInfo[]> {
  const runs = await findRuns(client, `WorkflowId = ${quoted(workflowId)}`);
  return runs.toSorted((a, b) => b.startTime.getTime() - a.startTime.getTime());
}

/**
 * The upgrades that were started since the rollout's run began, and before a later one did, as visibility has them; one that
 * came again has several runs.
 */
export async function upgradeRuns(
  client: Client,
  run: Pick<WorkflowExecutionDescription, 'workflowId' | 'runId' | 'startTime' | 'closeTime'>,
): Promise<WorkflowExecutionInfo[]> {
  const rollout = run.workflowId.slice(rolloutWorkflowId('').length);
  const next = run.closeTime == null ? undefined : await laterRun(client, run);
  const within = [
    `StartTime >= ${quoted(run.startTime.toISOString())}`,
    ...(next === undefined ? [] : [`StartTime < ${quoted(next.startTime.toISOString())}`]),
  ];
  const of = `WorkflowType = 'upgrade' AND ${ATTRIBUTES.rollout.name} = ${quoted(rollout)}`;
  return findRuns(client, [of, ...within].join(' AND '));
}

/** The first one after it. */
async function laterRun(
  client: Client,
  { workflowId, runId, startTime }: Pick<WorkflowExecutionDescription, 'workflowId' | 'runId' | 'startTime'>,
): Promise<WorkflowExecutionInfo | undefined> {
  const runs = await runsOf(client, workflowId);
  return runs.findLast((one) => one.runId !== runId && one.startTime > startTime);
}
