/** The typed client of rollouts: the CLI is made of it. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Client,
  type WorkflowExecutionDescription,
  WorkflowExecutionAlreadyStartedError,
} from '@temporalio/client';
import { FAILURES } from '../workflows/contracts/errors.js';
import { rolloutWorkflowId, upgradeWorkflowId, waveWorkflowId } from '../workflows/contracts/ids.js';
import { MESSAGES } from '../workflows/contracts/messages.js';
import { addCounts } from '../workflows/contracts/outcome.js';
import {
  type Counts,
  type RolloutInput,
  type RolloutResult,
  type RolloutStatus,
  type WaveResult,
  type WaveStatus,
} from '../workflows/contracts/rollout.js';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import { startOptions } from '../workflows/contracts/start.js';
import type { Outcome } from '../workflows/contracts/upgrade.js';
import { dropInventory, keepInventory } from '../activities/inventory.js';
import { upgradesOf } from './inventory.js';
import { TaskTaken } from '../temporal/handed-back.js';
import { holdOf } from '../temporal/hold.js';
import { inputOf, mapAtOnce } from '../temporal/reads.js';
import { ask, describeRun, endOf, findRuns, latestRuns, quoted } from './server-reads.js';
import { liveSoak, type LiveSoak, serversSoak, withLiveSoak } from './soaks.js';
import { failedIn, nextChange, type RolloutView, whyNow } from './views.js';

/** How long a worker may take to answer before the server is asked instead. */
const WORKER_PATIENCE_MS = 4_000;

/** A rollout of this plan is running already. */
export class ConflictError extends Error {
  override readonly name = 'ConflictError';
  readonly rollout: string;

  constructor(rollout: string, startedBy: string, startedAt: string) {
    super(
      `rollout ${rollout} is running already: started by ${startedBy} at ${startedAt} (follow it by \`uplift watch ${rollout}\`)`,
    );
    this.rollout = rollout;
  }
}

/** There is no rollout of this id on this server and namespace. */
class UnknownRolloutError extends Error {
  override readonly name = 'UnknownRolloutError';

  constructor(rollout: string, namespace: string) {
    super(`there is no rollout ${rollout} in namespace ${namespace} (check the id, --address and --namespace)`);
  }
}

export interface StartedRollout {
  readonly rollout: string;
  readonly workflowId: string;
  readonly runId: string;
}

/**
 * Starts a rollout. The id is the plan's: while one runs, the same plan cannot be started again; once it ended, it can.
 *
 * @throws ConflictError naming the running rollout, who started it and when.
 */
export async function startRollout(client: Client, input: RolloutInput): Promise<StartedRollout> {
  const workflowId = rolloutWorkflowId(input.rollout);
  const kept = await keepInventory(client, input);
  try {
    const handle = await client.workflow.start('rollout', {
      ...startOptions(kept),
      args: [kept],
      workflowIdConflictPolicy: 'FAIL',
    });
    return { rollout: input.rollout, workflowId, runId: handle.firstExecutionRunId };
  } catch (error) {
    await dropInventory(client, kept);
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    const running = await describeRollout(client, input.rollout);
    const { startedBy } = await inputOf<RolloutInput>(client, workflowId, running.runId);
    throw new ConflictError(input.rollout, startedBy, running.startTime.toISOString());
  }
}

/**
 * Where a rollout stands: its latest run, running or ended. When no worker answers within a few seconds, or the run
 * ended without a result, it is put together from what the server knows.
 *
 * @throws UnknownRolloutError
 */
export async function rolloutStatus(client: Client, rollout: string): Promise<RolloutView> {
  const run = await describeRollout(client, rollout);
  const input = await inputOf<RolloutInput>(client, run.workflowId, run.runId);
  const isRunning = run.status.name === 'RUNNING' || run.status.name === 'PAUSED';
  const live = await liveSoak(client, run);
  if (isRunning) {
    const told = await ask<RolloutStatus>(client, run, MESSAGES.rolloutStatus, WORKER_PATIENCE_MS);
    if (told !== null) return viewOf(run, input, withLiveSoak(told, live), true);
  }

  const result = isRunning ? null : await endOf<RolloutResult>(client, run.workflowId, run.runId, FAILURES.rollout);
  const toldWaves = result?.kind === 'result' ? result.value.waves : undefined;
  const waves = toldWaves ?? (await wavesFromServer(client, run, input, isRunning, live));

  const told = { rollout, planDigest: input.planDigest, budget: input.budget, failures: null, waves };
  if (result === null) {
    const hold = await holdOf(client, run.workflowId, run.runId).catch((error: unknown) => {
      // Of the last seconds before its worker died; the next look tells.
      if (error instanceof TaskTaken) return null;
      throw error;
    });
    const held = {
      state: hold?.reason.startsWith('paused') === true ? 'Paused' : 'Stopping',
      reason: hold?.reason ?? '',
    } as const;
    const running = { state: 'Running', reason: 'no worker answers: this is what the server alone knows' } as const;
    return viewOf(run, input, { ...told, ...(hold === null ? running : held) }, false);
  }
  return result.kind === 'result'
    ? viewOf(
        run,
        input,
        {
          ...told,
          state: result.value.outcome,
          reason: result.value.reason,
          failures: result.value.failures,
          acts: result.value.acts ?? [],
          ...(result.value.actsLeftOut === undefined ? {} : { actsLeftOut: result.value.actsLeftOut }),
        },
        true,
      )
    : viewOf(run, input, { ...told, state: 'Terminated', reason: `ended without a result: ${result.reason}` }, true);
}

export interface WaitOptions {
  /** Milliseconds; without it, however long it takes. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Waits for a rollout's end; `null` when it still runs after `timeoutMs`, or the signal aborted. Never stops it.
 *
 * @throws UnknownRolloutError
 */
export async function waitForRollout(
  client: Client,
  rollout: string,
  { timeoutMs = Infinity, signal }: WaitOptions = {},
): Promise<RolloutView | null> {
  const deadline = Date.now() + timeoutMs;
  for (let pauseMs = 250; ; pauseMs = Math.min(pauseMs * 2, 5_000)) {
    const { status } = await describeRollout(client, rollout);
    if (status.name !== 'RUNNING' && status.name !== 'PAUSED') return rolloutStatus(client, rollout);
    const left = deadline - Date.now();
    if (left <= 0 || signal?.aborted === true) return null;
    await delay(Math.min(pauseMs, left), undefined, { signal }).catch(() => null);
  }
}

/** @throws UnknownRolloutError */
export async function describeRollout(client: Client, rollout: string): Promise<WorkflowExecutionDescription> {
  const run = await describeRun(client, rolloutWorkflowId(rollout));
  if (run === null) throw new UnknownRolloutError(rollout, client.options.namespace);
  return run;
}

/** The upgrades that were started since the rollout's run began, as visibility has them; one that came again has several runs. */
export function upgradeRuns(client: Client, run: Pick<WorkflowExecutionDescription, 'workflowId' | 'startTime'>) {
  const rollout = run.workflowId.slice(rolloutWorkflowId('').length);
  return findRuns(
    client,
    `WorkflowType = 'upgrade' AND ${ATTRIBUTES.rollout.name} = ${quoted(rollout)} AND StartTime >= ${quoted(run.startTime.toISOString())}`,
  );
}

/** The waves of a rollout that cannot tell of them itself. */
async function wavesFromServer(
  client: Client,
  run: WorkflowExecutionDescription,
  input: RolloutInput,
  isRunning: boolean,
  live: LiveSoak | null,
): Promise<readonly WaveStatus[]> {
  const runs = latestRuns(await upgradeRuns(client, run));
  return mapAtOnce(
    input.waves.map((wave, at) => ({ wave, at, workflowId: waveWorkflowId(input.rollout, run.runId, at + 1) })),
    async ({ wave, at, workflowId }): Promise<WaveStatus> => {
      const ids = (await upgradesOf(client, wave)).map(({ resource }) => upgradeWorkflowId(resource));
      return {
        name: wave.name,
        workflowId,
        total: ids.length,
        ...(await waveState(client, workflowId, ids, runs, isRunning)),
        ...serversSoak(input.waves, live, at),
      };
    },
  );
}

/** A wave from its own result, or from its upgrades while it has none. */
async function waveState(
  client: Client,
  workflowId: string,
  upgrades: readonly string[],
  runs: ReturnType<typeof latestRuns>,
  rolloutRuns: boolean,
): Promise<Pick<WaveStatus, 'state' | 'counts' | 'failures'>> {
  const wave = await describeRun(client, workflowId);
  if (wave === null) {
    return rolloutRuns
      ? { state: 'Pending', counts: {}, failures: 0 }
      : { state: 'NotStarted', counts: { NotStarted: upgrades.length }, failures: 0 };
  }
  if (wave.status.name === 'COMPLETED') {
    const end = await endOf<WaveResult>(client, workflowId, wave.runId);
    if (end.kind === 'result') {
      const { stopped, counts, failures } = end.value;
      return { state: stopped ? 'Stopped' : 'Done', counts, failures };
    }
  }
  const counts = upgrades
    .flatMap((id) => runs.get(id)?.typedSearchAttributes.get(ATTRIBUTES.outcome) ?? [])
    .reduce<Counts>((sum, outcome) => addCounts(sum, { [outcome as Outcome]: 1 }), {});
  return { state: wave.status.name === 'RUNNING' ? 'Running' : 'Stopped', counts };
}

/** What the rollout says of itself, or what is known without it: then nobody has counted what was charged. */
interface Told extends Omit<RolloutStatus, 'state' | 'failures'> {
  readonly state: RolloutView['state'];
  readonly failures: number | null;
}

function viewOf(
  run: WorkflowExecutionDescription,
  input: RolloutInput,
  told: Told,
  workerAnswers: boolean,
): RolloutView {
  const waves = told.waves.map(({ failures, ...wave }, at) => ({
    ...wave,
    concurrency: wave.concurrency ?? input.waves[at]?.concurrency ?? 1,
    // Counts tell it where every failure is charged.
    charged: failures ?? (told.budget.counts === undefined ? failedIn(wave.counts) : null),
  }));
  const charged = waves.reduce<number | null>(
    (sum, wave) => (sum === null || wave.charged === null ? null : sum + wave.charged),
    0,
  );
  const counts = waves.reduce<Counts>((sum, wave) => addCounts(sum, wave.counts), {});
  const view = {
    rollout: told.rollout,
    runId: run.runId,
    state: told.state,
    reason: told.reason,
    workerAnswers,
    planDigest: told.planDigest,
    startedBy: input.startedBy,
    startedAt: run.startTime.toISOString(),
    endedAt: run.closeTime?.toISOString() ?? null,
    budget: told.budget,
    // A wave tells its failures when it ends; its counts tell them while it runs.
    failures: failedIn(counts),
    charged: told.failures ?? charged,
    total: waves.reduce((sum, { total }) => sum + total, 0),
    counts,
    waves,
    minSuccess: input.minSuccess ?? null,
    approval: told.approval ?? null,
    acts: told.acts ?? [],
    ...(told.actsLeftOut === undefined ? {} : { actsLeftOut: told.actsLeftOut }),
    ...(told.undelivered === undefined ? {} : { undelivered: told.undelivered }),
    retryOf: input.retryOf ?? null,
  };
  return { ...view, next: nextChange(view), reason: whyNow(view) };
}

export interface ListedRollout {
  readonly rollout: string;
  readonly runId: string;
  /** The outcome when it ended with one, else what the server says. */
  readonly state: string;
  readonly startedAt: string;
  readonly endedAt: string | null;
}

/** The latest rollouts, newest first; at most `limit`. */
export async function listRollouts(client: Client, limit = 20): Promise<ListedRollout[]> {
  const rollouts: ListedRollout[] = [];
  for await (const run of client.workflow.list({ query: "WorkflowType = 'rollout'", pageSize: limit })) {
    const status = run.status.name;
    rollouts.push({
      rollout: run.workflowId.slice(rolloutWorkflowId('').length),
      runId: run.runId,
      state:
        run.typedSearchAttributes.get(ATTRIBUTES.outcome) ??
        status.charAt(0) + status.slice(1).toLowerCase().replaceAll('_', ' '),
      startedAt: run.startTime.toISOString(),
      endedAt: run.closeTime?.toISOString() ?? null,
    });
    if (rollouts.length >= limit) break;
  }
  return rollouts.toSorted((a, b) => (a.startedAt < b.startedAt ? 1 : -1));
}
