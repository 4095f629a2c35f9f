/** Many upgrades under one plan: wave after wave, until the last one ends, the budget is spent, or it is stopped. */
import {
  ApplicationFailure,
  CancellationScope,
  ChildWorkflowCancellationType,
  condition,
  isCancellation,
  ParentClosePolicy,
  patched,
  setCurrentDetails,
  setHandler,
  startChild,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import { wordsOf } from './contracts/control.js';
import { FAILURES } from './contracts/errors.js';
import { addCounts, countOf, hasBegun, rolloutOutcome } from './contracts/outcome.js';
import {
  sizeOf,
  type Counts,
  type RolloutInput,
  type RolloutResult,
  type ShardProgress,
  type WaveInput,
  type WaveResult,
} from './contracts/rollout.js';
import { ATTRIBUTES } from './contracts/search-attributes.js';
import { FAILED_OUTCOMES } from './contracts/upgrade.js';
import { Control } from './control.js';
import {
  controlSignal,
  decideUpdate,
  rolloutStatusQuery,
  setConcurrencyUpdate,
  shardProgressSignal,
  skipUpdate,
  waiveUpdate,
} from './messages.js';
import { Notices } from './notices.js';
import { releaseInventory } from './release-inventory.js';
import { watchCalendar } from './rollout-calendar.js';
import { detailsOf, statusOf, wavesOf } from './rollout-details.js';
import { isLeftOut, RolloutState, type WaveState } from './rollout-state.js';
import type { wave as waveWorkflow } from './wave.js';

export async function rollout(input: RolloutInput): Promise<RolloutResult> {
  const run = new RolloutRun(input);
  run.listen();
  run.notices.watchWindows();

  await run.untilApproved(null);
  for (const index of input.waves.keys()) {
    await run.untilApproved(index + 1);
    await run.untilGoOn();
    if (run.isOver) break;
    await run.wave(index);
    await run.untilSoaked(index);
  }
  await CancellationScope.nonCancellable(() => releaseInventory(input));
  const result = run.conclude();
  await run.notices.done(result);
  return endedWith(result);
}

class RolloutRun {
  private readonly state: RolloutState;
  private readonly people: Control;
  readonly notices: Notices;

  constructor(input: RolloutInput) {
    this.state = new RolloutState(input);
    this.people = new Control(this.state);
    this.notices = new Notices(this.state, () => {
      this.show();
    });
    this.show();
  }

  get isOver(): boolean {
    return this.state.isOver;
  }

  /** Every message that a rollout understands; whatever it changes is shown. */
  listen(): void {
    const { people } = this;
    void CancellationScope.current().cancelRequested.catch(() => {
      people.forbidSending('the rollout was cancelled');
    });
    const shown = <T>(answer: T): T => {
      this.show();
      return answer;
    };
    setHandler(rolloutStatusQuery, () => statusOf(this.state));
    setHandler(shardProgressSignal, (progress) => {
      this.hear(progress);
    });
    setHandler(controlSignal, (request) => {
      shown(people.control(request));
    });
    setHandler(skipUpdate, (request) => shown(people.skip(request)), {
      validator: (request) => people.maySkip(request),
      description: 'Leave a resource, or what has not started of a wave, out.',
    });
    setHandler(setConcurrencyUpdate, (request) => shown(people.setConcurrency(request)), {
      validator: (request) => people.maySetConcurrency(request),
      description: 'How many upgrades may be in flight.',
    });
    setHandler(decideUpdate, (request) => shown(people.decide(request)), {
      validator: (request) => people.mayDecide(request),
      description: 'Approve or reject what waits for it.',
    });
    setHandler(waiveUpdate, (request) => shown(people.waive(request)), {
      validator: (request) => people.mayWaive(request),
      description: 'Do not wait for the rest of a soak.',
    });
  }

  /** Nothing begins without its approval; a rejection, or none in time, ends the rollout. */
  async untilApproved(wave: number | null): Promise<void> {
    const { state } = this;
    const gate = state.approvals.gate(wave);
    const isSkipped = wave !== null && state.waves[wave - 1]?.state === 'Skipped';
    if (gate === null || isSkipped || state.isOver || state.approvals.isGiven(wave)) return;
    state.gate = wave;
    state.gateSince = Date.now();
    this.show();
    if (this.notices.isWanted) await this.notices.tell('approval-wanted', state.approvals.whyWaiting(wave));
    // What is skipped meanwhile, the wave or all of them, is not waited for any more.
    const isDecided = () => state.gate !== wave || state.approvals.isGiven(wave) || state.isOver;
    const unwatch = watchCalendar(state, () => {
      this.show();
    });
    try {
      const inTime = await state.running.run(() =>
        condition(isDecided, gate.rule.expiresAfterMs, { summary: `Approval of ${gate.title}` }),
      );
      if (!inTime) state.expired = `the approval of ${gate.title} did not come in time`;
    } catch (error) {
      if (!isCancellation(error)) throw error;
      state.stopped = true;
    } finally {
      unwatch();
    }
    state.gate = undefined;
    this.show();
  }

  /** While a person has it on hold, no wave begins; a rollout that is over, or has no more to come, needs nobody to resume it. */
  async untilGoOn(): Promise<void> {
    const { state } = this;
    if (state.pauses.length === 0) return;
    const endsHeld = patched('over-ends-hold');
    const endsEmpty = patched('skip-ends-hold');
    const isInVain = () => (endsHeld && state.isOver) || (endsEmpty && !state.isMoreToCome);
    try {
      await state.running.run(() => condition(() => state.pauses.length === 0 || isInVain()));
    } catch (error) {
      if (!isCancellation(error)) throw error;
      state.stopped = true;
    }
  }

  /** Runs one wave to its end; a cancelled rollout waits here for what was submitted. */
  async wave(index: number): Promise<void> {
    const { state } = this;
    const wave = state.waves[index];
    if (wave === undefined || wave.state === 'Skipped') return;
    wave.state = 'Running';
    this.show();
    const ended = await this.runWave(wave, index + 1);
    wave.counts = ended.counts;
    wave.failures = ended.failures;
    wave.byClass = ended.byClass ?? {};
    for (const name of ended.missed ?? []) state.missed.add(name);
    if (wave.state === 'Running') wave.state = ended.stopped ? 'Stopped' : 'Done';
    wave.child = null;
    state.stopped ||= ended.stopped || state.isStopping;
    this.show();
  }

  /** A wave that ended well is observed for as long as its plan says. */
  async untilSoaked(index: number): Promise<void> {
    const { state } = this;
    const wave = state.waves[index];
    if (wave === undefined || wave.soak === null || state.isOver) return;
    const { plan, counts, soak } = wave;
    const { rollout, timing } = state.input;
    const of = {
      rollout,
      rolloutRun: state.runId,
      key: state.key,
      wave: index + 1,
      plan,
      counts,
      scale: timing.scale,
    };
    try {
      await state.running.run(() => soak.untilSoaked(of, () => this.show()));
    } catch (error) {
      if (!isCancellation(error)) throw error;
      state.stopped = true;
    }
    this.show();
  }

  /** The honest end. */
  conclude(): RolloutResult {
    const { state } = this;
    for (const wave of state.waves) {
      wave.soak?.close(wave.state === 'Skipped');
      if (wave.state !== 'Pending') continue;
      wave.state = 'NotStarted';
      wave.counts = { NotStarted: sizeOf(wave.plan) };
    }
    // Of what ran while the last of it was skipped, rollouts of older releases said that it had failed.
    if (!state.isLeftOut && state.waves.every(isLeftOut)) state.isLeftOut = patched('left-out-running');
    const { budget } = state.input;
    const { rejection } = state.approvals;
    const { counts, failures, byClass, overWave, acts, actsLeftOut } = state;
    const { outcome, reason } = rolloutOutcome({
      total: state.waves.reduce((sum, { plan }) => sum + sizeOf(plan), 0),
      counts,
      failures,
      budget,
      stopped: state.stopped || state.isStopping || state.expired !== null || state.isLeftOut,
      overWave,
      rejected: rejection !== null,
      minSuccess: state.input.minSuccess,
      unsoaked: state.waves
        .filter((wave) => wave.state !== 'NotStarted' && wave.soak?.isMissed === true)
        .map(({ plan }) => plan.name),
    });
    const by = [
      ...(state.stop === null ? [] : [wordsOf(state.stop)]),
      ...(rejection === null ? [] : [`${rejection.title} by ${rejection.actor}: ${rejection.reason}`]),
      ...(state.expired === null ? [] : [state.expired]),
      ...(state.isLeftOut ? ['every wave was skipped'] : []),
    ];
    const result: RolloutResult = {
      outcome,
      reason: [reason, ...by].join('; '),
      counts,
      failures,
      byClass,
      budget,
      waves: wavesOf(state),
      acts,
      ...(actsLeftOut === 0 ? {} : { actsLeftOut }),
    };
    state.result = result;
    upsertSearchAttributes([{ key: ATTRIBUTES.outcome, value: outcome }]);
    this.show();
    return result;
  }

  hear(progress: ShardProgress): void {
    const { state } = this;
    const wave = state.waves[progress.wave - 1];
    if (wave?.state !== 'Running') return;
    const known = wave.shards.get(progress.shard);
    if (known !== undefined && isOlder(progress, known) && patched('latest-progress')) return;
    wave.shards.set(progress.shard, progress);
    wave.counts = [...wave.shards.values()].reduce<Counts>((sum, { counts }) => addCounts(sum, counts), {});
    wave.failures = [...wave.shards.values()].reduce(
      (sum, { counts, failures }) => sum + (failures ?? countOf(counts, FAILED_OUTCOMES)),
      0,
    );
    state.lastFailure = progress.failure ?? state.lastFailure;
    for (const [gate, told] of Object.entries(progress.gates ?? {})) state.gates.set(Number(gate), told);
    this.notices.heard();
    this.show();
  }

  private async runWave(wave: WaveState, index: number): Promise<WaveResult> {
    const { state } = this;
    const { rollout, budget, accountLimits, timing, quarantineAfter, windows } = state.input;
    try {
      const options = {
        workflowId: wave.workflowId,
        args: [
          {
            rollout,
            rolloutRun: state.runId,
            key: state.key,
            wave: { ...wave.plan, concurrency: wave.concurrency },
            index,
            failuresLeft: Math.min(budget.max - state.failures, wave.plan.maxFailures ?? Infinity),
            mode: budget.mode,
            accountLimits,
            timing,
            counts: budget.counts,
            ...(quarantineAfter === undefined ? {} : { quarantineAfter }),
            ...(this.notices.isWanted ? { tells: true as const } : {}),
            missed: [...state.missed],
            hold: this.people.hold,
            skips: [...wave.skips],
            ...(windows?.startBy === undefined ? {} : { hasStarted: hasBegun(state.counts) }),
          },
        ] satisfies [WaveInput],
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
        cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        staticSummary: `${wave.plan.name}: ${sizeOf(wave.plan)} upgrades`,
        typedSearchAttributes: [{ key: ATTRIBUTES.rollout, value: rollout }],
      };
      return await state.running.run(async () => {
        const child = await startChild<typeof waveWorkflow>('wave', options);
        wave.child = child;
        this.people.catchUp(wave, options.args[0]);
        return child.result();
      });
    } catch (error) {
      // Cancelled before its first task, nothing of it was started. Ended by hand, what it did beyond its last word is not
      // known here; its shards were asked to stop, and what had been sent is followed by its own upgrade.
      const rest = sizeOf(wave.plan) - countOf(wave.counts);
      const counts = addCounts(wave.counts, { [isCancellation(error) ? 'NotStarted' : 'Held']: rest });
      return { counts, failures: countOf(counts, FAILED_OUTCOMES), stopped: true };
    }
  }

  private show(): void {
    setCurrentDetails(detailsOf(this.state));
  }
}

/** Words of one moment may come the other way round. Of those that are not numbered, what has ended only grows. */
function isOlder(word: ShardProgress, known: ShardProgress): boolean {
  if (word.number !== undefined && known.number !== undefined) return word.number < known.number;
  return countOf(word.counts) < countOf(known.counts);
}

/** A failed rollout fails its workflow: red, with its reason, in the UI. */
function endedWith(result: RolloutResult): RolloutResult {
  if (result.outcome !== 'Failed') return result;
  const { reason: message } = result;
  throw ApplicationFailure.create({ type: FAILURES.rollout, message, nonRetryable: true, details: [result] });
}
