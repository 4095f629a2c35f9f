/** The typed client of rollouts: the CLI is made of it. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Client,
  type WorkflowExecutionDescription,
  WorkflowExecutionAlreadyStartedError,
} from '@temporalio/client';
import type { Act } from '../workflows/contracts/control.js';
import { FAILURES } from '../workflows/contracts/errors.js';
import { rolloutWorkflowId, upgradeWorkflowId, waveWorkflowId } from '../workflows/contracts/ids.js';
import { MESSAGES } from '../workflows/contracts/messages.js';
import { addCounts, tally } from '../workflows/contracts/outcome.js';
import {
  type Counts,
  type RolloutInput,
  type RolloutResult,
  type RolloutStatus,
  type WaveResult,
  SHARD_SIZE,
  type WaveStatus,
} from '../workflows/contracts/rollout.js';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import { startOptions } from '../workflows/contracts/start.js';
import type { Outcome } from '../workflows/contracts/upgrade.js';
import { dropInventory, keepInventory } from '../activities/inventory.js';
import { upgradesOf } from './inventory.js';
import { TaskTaken } from '../temporal/handed-back.js';
import { holdOf } from '../temporal/hold.js';
import { childrenOf, inputOf, mapAtOnce } from '../temporal/reads.js';
import { describeRollout, keyOfRun, upgradeRuns } from './runs.js';
import { ask, describeRun, endOf, latestRuns } from './server-reads.js';
import { endedSoak, liveSoak, type LiveSoak, serversSoak, withLiveSoak } from './soaks.js';
import { failedIn, nextChange, type RolloutView, WAVE_OVER, whyNow } from './views.js';

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
  const key = randomBytes(4).toString('hex');
  const kept = await keepInventory(client, { ...input, key }, SHARD_SIZE, key);
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

/** How a run of a rollout has ended. */
export interface EndedRun {
  readonly runId: string;
  /** Its outcome; `Terminated` where it has none. */
  readonly state: RolloutView['state'];
  /** ISO 8601, UTC. */
  readonly endedAt: string;
  /** Who ended it by a rejection; `null` where nobody did. */
  readonly rejection: Pick<Act, 'actor' | 'reason'> | null;
}

/** The latest run of a rollout, which needs no worker; `null` where it runs, or where none is known. */
export async function latestEnd(client: Client, rollout: string): Promise<EndedRun | null> {
  const run = await describeRun(client, rolloutWorkflowId(rollout));
  if (run?.closeTime == null) return null;
  const end = await endOf<RolloutResult>(client, run.workflowId, run.runId, FAILURES.rollout);
  const { outcome, acts = [] } = end.kind === 'result' ? end.value : {};
  return {
    runId: run.runId,
    state: outcome ?? 'Terminated',
    endedAt: run.closeTime.toISOString(),
    rejection: acts.find(({ act }) => act === 'reject') ?? null,
  };
}

/**
 * Where a rollout stands: its latest run, running or ended. When no worker answers within a few seconds, or the run
 * ended without a result, it is put together from what the server knows.
 *
 * @throws UnknownRolloutError
 */
export async function rolloutStatus(client: Client, rollout: string): Promise<RolloutView> {
  const run = await describeRollout(client, rollout);
  return statusOf(client, run, await inputOf<RolloutInput>(client, run.workflowId, run.runId));
}

/** As `rolloutStatus`, of a run that was looked at already, and its input. */
export async function statusOf(
  client: Client,
  run: WorkflowExecutionDescription,
  input: RolloutInput,
): Promise<RolloutView> {
  const isRunning = run.status.name === 'RUNNING' || run.status.name === 'PAUSED';
  const live = await liveSoak(client, run);
  const end = isRunning ? null : await endOf<RolloutResult>(client, run.workflowId, run.runId, FAILURES.rollout);
  const { rollout, planDigest, budget } = input;
  if (end?.kind === 'result') {
    const { value } = end;
    const waves = value.waves ?? (await wavesFromServer(client, run, input, live, null));
    return viewOf(run, input, { ...value, rollout, planDigest, waves, state: value.outcome }, true);
  }

  // One that was terminated can still be asked.
  const told = await ask<RolloutStatus>(client, run, MESSAGES.rolloutStatus, WORKER_PATIENCE_MS);
  if (isRunning && told !== null) return viewOf(run, input, withLiveSoak(told, live), true);
  const waves = await wavesFromServer(client, run, input, live, told);
  const known = { rollout, planDigest, budget, failures: null, waves };
  if (end !== null) {
    const ended = { state: 'Terminated', reason: `ended without a result: ${end.reason}`, approval: null } as const;
    return viewOf(run, input, { ...told, ...known, ...ended }, told !== null);
  }
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
  return viewOf(run, input, { ...known, ...(hold === null ? running : held) }, false);
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

/** The waves of a rollout that cannot tell of them itself, or has told so far and no end. */
async function wavesFromServer(
  client: Client,
  run: WorkflowExecutionDescription,
  input: RolloutInput,
  live: LiveSoak | null,
  told: RolloutStatus | null,
): Promise<readonly WaveStatus[]> {
  const isOver = run.closeTime != null;
  const runs = latestRuns(await upgradeRuns(client, run, input));
  const key = keyOfRun(input, run);
  const idOf = (at: number) => waveWorkflowId(input.rollout, key, at + 1);
  const waveRuns = await mapAtOnce(input.waves, (_, at) => describeRun(client, idOf(at)));
  const begun = waveRuns.includes(null) ? await childrenOf(client, run) : null;
  return mapAtOnce(input.waves, async (wave, at): Promise<WaveStatus> => {
    const ids = (await upgradesOf(client, wave)).map(({ resource }) => upgradeWorkflowId(resource));
    const outcomes = ids.flatMap((id) => runs.get(id)?.typedSearchAttributes.get(ATTRIBUTES.outcome) ?? []);
    const standing = await waveState(client, waveRuns[at] ?? null, {
      told: told?.waves[at],
      counts: tally(outcomes as Outcome[]),
      hasBegun: begun?.has(idOf(at)) !== false,
      isPast: begun?.has(idOf(at + 1)) === true,
    });
    const notBegun = isOver
      ? ({ state: 'NotStarted', counts: { NotStarted: ids.length }, failures: 0 } as const)
      : ({ state: 'Pending', counts: {}, failures: 0 } as const);
    return {
      name: wave.name,
      workflowId: idOf(at),
      total: ids.length,
      ...(standing ?? notBegun),
      ...(isOver ? endedSoak(told?.waves[at]?.soak) : serversSoak(input.waves, live, at)),
    };
  });
}

/** What is known of a wave besides its own workflow. */
interface WaveTraces {
  /** The rollout's own word, where it still answers. */
  readonly told: WaveStatus | undefined;
  /** Of those of its upgrades that visibility has. */
  readonly counts: Counts;
  /** So the rollout's history says. */
  readonly hasBegun: boolean;
  /** Another one began after it. */
  readonly isPast: boolean;
}

/** A wave from its own result, else from the rollout's word or its upgrades; `null` for one that has not begun. */
async function waveState(
  client: Client,
  wave: WorkflowExecutionDescription | null,
  { told, counts, hasBegun, isPast }: WaveTraces,
): Promise<Pick<WaveStatus, 'state' | 'counts' | 'failures'> | null> {
  if (wave?.status.name === 'RUNNING') return { state: 'Running', counts };
  if (wave?.status.name === 'COMPLETED') {
    const end = await endOf<WaveResult>(client, wave.workflowId, wave.runId);
    if (end.kind === 'result') {
      const { stopped, failures } = end.value;
      return { state: stopped ? 'Stopped' : 'Done', counts: end.value.counts, failures };
    }
  }
  // A wave whose history is gone had begun all the same.
  if (wave === null && told !== undefined && WAVE_OVER.includes(told.state)) {
    return { state: told.state, counts: told.counts, failures: told.failures ?? failedIn(told.counts) };
  }
  return wave === null && !hasBegun ? null : { state: isPast ? 'Done' : 'Stopped', counts };
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
