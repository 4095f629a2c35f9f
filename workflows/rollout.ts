/** Many upgrades under one plan: wave after wave, until the last one ends, the budget is spent, or it is stopped. */
import {
  ApplicationFailure,
  CancellationScope,
  ChildWorkflowCancellationType,
  executeChild,
  getExternalWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { FAILURES } from './contracts/errors.js';
import { waveWorkflowId } from './contracts/ids.js';
import { addCounts, addFailures, countOf, rolloutOutcome } from './contracts/outcome.js';
import {
  sizeOf,
  type Counts,
  type FailureCounts,
  type RolloutInput,
  type RolloutResult,
  type RolloutStatus,
  type ShardProgress,
  type WavePlan,
  type WaveResult,
  type WaveStatus,
} from './contracts/rollout.js';
import { ATTRIBUTES } from './contracts/search-attributes.js';
import { FAILED_OUTCOMES, GOOD_OUTCOMES } from './contracts/upgrade.js';
import { markdown } from './details.js';
import { releaseInventorySignal, rolloutStatusQuery, shardProgressSignal } from './messages.js';
import type { wave as waveWorkflow } from './wave.js';

export async function rollout(input: RolloutInput): Promise<RolloutResult> {
  const run = new RolloutRun(input);
  setHandler(rolloutStatusQuery, () => run.status());
  setHandler(shardProgressSignal, (progress) => {
    run.hear(progress);
  });

  for (const index of input.waves.keys()) {
    if (run.isOver()) break;
    await run.wave(index);
  }
  await run.releaseInventory();
  return run.end();
}

interface WaveState {
  readonly plan: WavePlan;
  readonly workflowId: string;
  state: WaveStatus['state'];
  /** Final once the wave ended; until then the sum of what its shards told. */
  counts: Counts;
  /** Charged to the budget so far. */
  failures: number;
  byClass: FailureCounts;
  readonly shards: Map<number, ShardProgress>;
}

class RolloutRun {
  private readonly input: RolloutInput;
  private readonly runId = workflowInfo().firstExecutionRunId;
  private readonly waves: WaveState[];
  private stopped = false;
  private readonly missed = new Set<string>();
  private lastFailure: string | null = null;
  private result: RolloutResult | null = null;

  constructor(input: RolloutInput) {
    this.input = input;
    this.waves = input.waves.map((plan, index) => ({
      plan,
      workflowId: waveWorkflowId(input.rollout, this.runId, index + 1),
      state: 'Pending',
      counts: {},
      failures: 0,
      byClass: {},
      shards: new Map(),
    }));
    this.show();
  }

  /** Runs one wave to its end; a cancelled rollout waits here for what was submitted. */
  async wave(index: number): Promise<void> {
    const wave = this.waves[index];
    if (wave === undefined) return;
    wave.state = 'Running';
    this.show();
    const ended = await this.runWave(wave, index + 1);
    wave.counts = ended.counts;
    wave.failures = ended.failures;
    wave.byClass = ended.byClass ?? {};
    for (const name of ended.missed ?? []) this.missed.add(name);
    wave.state = ended.stopped ? 'Stopped' : 'Done';
    this.stopped ||= ended.stopped || CancellationScope.current().consideredCancelled;
    this.show();
  }

  isOver(): boolean {
    return this.stopped || this.failures > this.input.budget.max || this.overWave !== null;
  }

  /** The lists are kept for as long as the rollout's own history, and no longer. */
  async releaseInventory(): Promise<void> {
    const parts = this.input.waves.flatMap((wave) => wave.parts ?? []);
    await CancellationScope.nonCancellable(() =>
      Promise.all(
        parts.map(({ inventory: { workflowId, runId } }) =>
          getExternalWorkflowHandle(workflowId, runId)
            .signal(releaseInventorySignal)
            // One that is gone needs no release.
            .catch(() => undefined),
        ),
      ),
    );
  }

  /** The honest end. A failed rollout fails its workflow: red, with its reason, in the UI. */
  end(): RolloutResult {
    let counts: Counts = {};
    for (const wave of this.waves) {
      if (wave.state === 'Pending') {
        wave.state = 'NotStarted';
        wave.counts = { NotStarted: sizeOf(wave.plan) };
      }
      counts = addCounts(counts, wave.counts);
    }
    const { budget } = this.input;
    const total = this.waves.reduce((sum, { plan }) => sum + sizeOf(plan), 0);
    const { failures, stopped, overWave } = this;
    const byClass = this.waves.reduce<FailureCounts>((sum, wave) => addFailures(sum, wave.byClass), {});
    this.result = {
      ...rolloutOutcome({ total, counts, failures, budget, stopped, overWave }),
      counts,
      failures,
      byClass,
      budget,
    };
    upsertSearchAttributes([{ key: ATTRIBUTES.outcome, value: this.result.outcome }]);
    this.show();
    if (this.result.outcome === 'Failed') {
      throw ApplicationFailure.create({
        type: FAILURES.rollout,
        message: this.result.reason,
        nonRetryable: true,
        details: [this.result],
      });
    }
    return this.result;
  }

  hear(progress: ShardProgress): void {
    const wave = this.waves[progress.wave - 1];
    if (wave?.state !== 'Running') return;
    wave.shards.set(progress.shard, progress);
    wave.counts = [...wave.shards.values()].reduce<Counts>((sum, { counts }) => addCounts(sum, counts), {});
    wave.failures = [...wave.shards.values()].reduce(
      (sum, { counts, failures }) => sum + (failures ?? countOf(counts, FAILED_OUTCOMES)),
      0,
    );
    this.lastFailure = progress.failure ?? this.lastFailure;
    this.show();
  }

  status(): RolloutStatus {
    return {
      rollout: this.input.rollout,
      planDigest: this.input.planDigest,
      ...this.stateAndReason(),
      budget: this.input.budget,
      failures: this.failures,
      waves: this.waves.map(({ plan, workflowId, state, counts }) => ({
        name: plan.name,
        workflowId,
        state,
        total: sizeOf(plan),
        counts,
      })),
    };
  }

  private async runWave(wave: WaveState, index: number): Promise<WaveResult> {
    const { rollout, budget, accountLimits, timing } = this.input;
    try {
      return await executeChild<typeof waveWorkflow>('wave', {
        workflowId: wave.workflowId,
        args: [
          {
            rollout,
            rolloutRun: this.runId,
            wave: wave.plan,
            index,
            failuresLeft: Math.min(budget.max - this.failures, wave.plan.maxFailures ?? Infinity),
            mode: budget.mode,
            accountLimits,
            timing,
            counts: budget.counts,
            missed: [...this.missed],
          },
        ],
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
        cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        staticSummary: `${wave.plan.name}: ${sizeOf(wave.plan)} upgrades`,
        typedSearchAttributes: [{ key: ATTRIBUTES.rollout, value: rollout }],
      });
    } catch (error) {
      // Cancelled before its first task, nothing of it was started. Ended by hand, what it did beyond its last word is not
      // known here; its shards were asked to stop, and what had been sent is followed by its own upgrade.
      const rest = sizeOf(wave.plan) - countOf(wave.counts);
      const counts = addCounts(wave.counts, { [isCancellation(error) ? 'NotStarted' : 'Held']: rest });
      return { counts, failures: countOf(counts, FAILED_OUTCOMES), stopped: true };
    }
  }

  /** A wave that exceeded a budget of its own. */
  private get overWave(): { readonly name: string; readonly max: number } | null {
    const over = this.waves.find(({ plan, failures }) => failures > (plan.maxFailures ?? Infinity));
    return over === undefined ? null : { name: over.plan.name, max: over.plan.maxFailures ?? 0 };
  }

  private get failures(): number {
    return this.waves.reduce((sum, { failures }) => sum + failures, 0);
  }

  private stateAndReason(): Pick<RolloutStatus, 'state' | 'reason'> {
    if (this.result !== null) return { state: this.result.outcome, reason: this.result.reason };
    if (this.stopped || CancellationScope.current().consideredCancelled) {
      return { state: 'Stopping', reason: 'stopped: what was submitted is followed to its end' };
    }
    const running = this.waves.find(({ state }) => state === 'Running');
    return {
      state: 'Running',
      reason: running === undefined ? 'about to start' : `wave ${running.plan.name} is running`,
    };
  }

  private show(): void {
    const { state, reason } = this.stateAndReason();
    const pending = this.waves.find((wave) => wave.state === 'Pending');
    const { budget } = this.input;
    setCurrentDetails(
      markdown({
        state: `**${state}**: ${reason}`,
        next:
          this.result !== null
            ? 'nothing: this is the end'
            : pending === undefined
              ? 'the report'
              : `wave ${pending.plan.name}`,
        why: `failure budget ${budget.max} (${budget.mode}), ${this.failures} used`,
        more: this.lastFailure === null ? [] : [['Latest failure:', this.lastFailure]],
        tables: [
          {
            head: ['wave', 'state', 'at target', 'failed', 'in flight', 'ended', 'total'],
            rows: this.waves.map(({ plan, state: waveState, counts, shards }) => [
              plan.name,
              waveState,
              countOf(counts, GOOD_OUTCOMES),
              countOf(counts, FAILED_OUTCOMES),
              // As of the shards' last words.
              waveState === 'Running' ? [...shards.values()].reduce((sum, { inFlight }) => sum + inFlight, 0) : 0,
              countOf(counts),
              sizeOf(plan),
            ]),
          },
        ],
      }),
    );
  }
}
