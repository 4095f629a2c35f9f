/** Which run of a rollout: of one plan there is a run for each time that it was applied. */
import type { Client, WorkflowExecutionDescription, WorkflowExecutionInfo } from '@temporalio/client';
import { isShardOf, rolloutWorkflowId, runKey } from '../workflows/contracts/ids.js';
import type { RolloutInput } from '../workflows/contracts/rollout.js';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import { carriedOn, firstRunOf, mapAtOnce } from '../temporal/reads.js';
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
 * The runs of the upgrades that this run of a rollout has started, as visibility has them; one that came again, or was
 * reset, has several. Its parent tells whose it is: a reset puts another start time in place of its own.
 */
export async function upgradeRuns(
  client: Client,
  run: Pick<WorkflowExecutionDescription, 'runId'>,
  input: RolloutInput,
): Promise<WorkflowExecutionInfo[]> {
  const { rollout } = input;
  // A worker of an older release takes no notice of the key.
  const keys = [keyOfRun(input, run), runKey({ rolloutRun: run.runId })];
  const isShard = (id: string) => keys.some((key) => isShardOf(id, rollout, key));
  const runs = await findRuns(client, `WorkflowType = 'upgrade' AND ${ATTRIBUTES.rollout.name} = ${quoted(rollout)}`);
  return runs.filter(({ parentExecution }) => isShard(parentExecution?.workflowId ?? ''));
}

/** As `carriedOn`, also where a later upgrade of the resource has its id by now. */
export async function resetTo(
  client: Client,
  closed: WorkflowExecutionDescription,
): Promise<WorkflowExecutionDescription> {
  const latest = await carriedOn(client, closed);
  if (latest !== closed) return latest;
  const { workflowId, startTime } = closed;
  const later = (await runsOf(client, workflowId)).filter((run) => run.startTime > startTime);
  const runs = await mapAtOnce(later, ({ runId }) => describeRun(client, workflowId, runId));
  return runs.find((run) => run !== null && firstRunOf(run) === firstRunOf(closed)) ?? closed;
}
