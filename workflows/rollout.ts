/** Many upgrades under one plan: wave after wave, until the last one ends, the budget is spent, or it is stopped. */
import {
  ApplicationFailure,
  CancellationScope,
  type ChildWorkflowHandle,
  ChildWorkflowCancellationType,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  startChild,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import {
  HOLD_MEMO,
  type Act,
  type ConcurrencyRequest,
  type ControlRequest,
  type DecisionRequest,
  type SkipOrder,
  type SkipRequest,
  type WaveOrder,
} from './contracts/control.js';
import { Approvals } from './approvals.js';
import { FAILURES } from './contracts/errors.js';
import { waveWorkflowId } from './contracts/ids.js';
import { addCounts, addFailures, allowedInFlight, countOf, rolloutOutcome } from './contracts/outcome.js';
import {
  sizeOf,
  type Counts,
  type FailureCounts,
  type RolloutInput,
  type RolloutResult,
  type RolloutStatus,
  type ShardProgress,
  type WaveInput,
  type WavePlan,
  type WaveResult,
  type WaveStatus,
} from './contracts/rollout.js';
import { ATTRIBUTES } from './contracts/search-attributes.js';
import { FAILED_OUTCOMES, GOOD_OUTCOMES } from './contracts/upgrade.js';
import { markdown } from './details.js';
import {
  controlSignal,
  decideUpdate,
  releaseInventorySignal,
  rolloutStatusQuery,
  setConcurrencyUpdate,
  shardProgressSignal,
  skipUpdate,
  waveOrderSignal,
} from './messages.js';
import { mustBeInTime } from './timely.js';
import type { wave as waveWorkflow } from './wave.js';

export async function rollout(input: RolloutInput): Promise<RolloutResult> {
  const run = new RolloutRun(input);
  setHandler(rolloutStatusQuery, () => run.status());
  setHandler(shardProgressSignal, (progress) => {
    run.hear(progress);
  });
  setHandler(controlSignal, (request) => {
    run.control(request);
  });
  setHandler(skipUpdate, (request) => run.skip(request), {
    validator: (request) => run.maySkip(request),
    description: 'Leave a resource, or what has not started of a wave, out.',
  });
  setHandler(setConcurrencyUpdate, (request) => run.setConcurrency(request), {
    validator: (request) => run.maySetConcurrency(request),
    description: 'How many upgrades may be in flight.',
  });

  setHandler(decideUpdate, (request) => run.decide(request), {
    validator: (request) => run.mayDecide(request),
    description: 'Approve or reject what waits for it.',
  });

  await run.untilApproved(null);
  for (const index of input.waves.keys()) {
    await run.untilApproved(index + 1);
    await run.untilGoOn();
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
  concurrency: number;
  /** Upgrades that people left out before they could start. */
  readonly skips: SkipOrder[];
  /** While it runs: where orders go. */
  child: ChildWorkflowHandle<typeof waveWorkflow> | null;
}

/** Acts that the status tells; the history has all of them. */
const MOST_ACTS = 50;

class RolloutRun {
  private readonly input: RolloutInput;
  private readonly runId = workflowInfo().firstExecutionRunId;
  private readonly waves: WaveState[];
  private stopped = false;
  private hold: Act | null = null;
  private stop: Act | null = null;
  private readonly acts: Act[] = [];
  private readonly approvals: Approvals;
  /** What it waits at now: a wave, `null` for the rollout itself; `undefined` while it does not wait. */
  private gate: number | null | undefined;
  private expired: string | null = null;
  /** Cancelled by `stop`, as all of the rollout is by a cancel. */
  private readonly running = new CancellationScope();
  /** Orders to waves, one after the other. */
  private orders: Promise<void> = Promise.resolve();
  private readonly missed = new Set<string>();
  private lastFailure: string | null = null;
  private result: RolloutResult | null = null;

  constructor(input: RolloutInput) {
    this.input = input;
    const gates = [
      { wave: null, title: 'the rollout', rule: input.approval },
      ...input.waves.map(({ name, approval }, at) => ({ wave: at + 1, title: `wave ${name}`, rule: approval })),
    ];
    this.approvals = new Approvals(
      gates.flatMap((gate) => (gate.rule === undefined ? [] : [{ ...gate, rule: gate.rule }])),
      input,
    );
    this.waves = input.waves.map((plan, index) => ({
      plan,
      workflowId: waveWorkflowId(input.rollout, this.runId, index + 1),
      state: 'Pending',
      counts: {},
      failures: 0,
      byClass: {},
      shards: new Map(),
      concurrency: plan.concurrency,
      skips: [],
      child: null,
    }));
    this.show();
  }

  /** Nothing begins without its approval; a rejection, or none in time, ends the rollout. */
  async untilApproved(wave: number | null): Promise<void> {
    const gate = this.approvals.gate(wave);
    const isSkipped = wave !== null && this.waves[wave - 1]?.state === 'Skipped';
    if (gate === null || isSkipped || this.isOver() || this.approvals.isGiven(wave)) return;
    this.gate = wave;
    this.show();
    const isDecided = () => this.approvals.isGiven(wave) || this.approvals.rejection !== null;
    try {
      const inTime = await this.running.run(() =>
        condition(isDecided, gate.rule.expiresAfterMs, { summary: `Approval of ${gate.title}` }),
      );
      if (!inTime) this.expired = `the approval of ${gate.title} did not come in time`;
    } catch (error) {
      if (!isCancellation(error)) throw error;
      this.stopped = true;
    }
    this.gate = undefined;
    this.show();
  }

  /** @throws Error saying why this person's word is not taken */
  mayDecide(request: DecisionRequest): void {
    mustBeInTime(request);
    if (this.result !== null || this.approvals.rejection !== null) throw new Error('the rollout has ended');
    this.approvals.mayDecide(request, this.gate);
  }

  decide(request: DecisionRequest): string {
    const { decision, actor, reason } = request;
    const answer = this.approvals.decide(request, this.gate, new Date().toISOString());
    this.record({ requestId: null, act: decision, what: answer, actor, reason });
    this.show();
    return answer;
  }

  /** While a person has it on hold, no wave begins. */
  async untilGoOn(): Promise<void> {
    if (this.hold === null) return;
    try {
      await this.running.run(() => condition(() => this.hold === null));
    } catch (error) {
      if (!isCancellation(error)) throw error;
      this.stopped = true;
    }
  }

  /** Runs one wave to its end; a cancelled rollout waits here for what was submitted. */
  async wave(index: number): Promise<void> {
    const wave = this.waves[index];
    if (wave === undefined || wave.state === 'Skipped') return;
    wave.state = 'Running';
    this.show();
    const ended = await this.runWave(wave, index + 1);
    wave.counts = ended.counts;
    wave.failures = ended.failures;
    wave.byClass = ended.byClass ?? {};
    for (const name of ended.missed ?? []) this.missed.add(name);
    if (wave.state === 'Running') wave.state = ended.stopped ? 'Stopped' : 'Done';
    wave.child = null;
    this.stopped ||= ended.stopped || this.isStopping;
    this.show();
  }

  /** Pause, resume or stop. One that was heard before, or changes nothing, is recorded and changes nothing. */
  control({ requestId, act, actor, reason }: ControlRequest): void {
    if (this.acts.some((one) => one.requestId === requestId)) return;
    const done = this.record({ requestId, act, what: 'the rollout', actor, reason });
    if (this.result !== null) return;
    if (act === 'stop') {
      this.stop ??= done;
      this.running.cancel();
    } else {
      this.hold = act === 'pause' ? (this.hold ?? done) : null;
      const why = this.hold === null ? null : wordsOf(this.hold);
      upsertMemo({ [HOLD_MEMO]: why });
      for (const wave of this.waves) this.order(wave, { hold: why });
    }
    this.show();
  }

  /** @throws Error saying why it cannot be left out */
  maySkip({ wave: index, upgrade, actor, reason, ...timely }: SkipRequest): void {
    mustBeInTime(timely);
    mustBeSigned(actor, reason);
    const wave = this.mustBeOpen(index);
    if (upgrade === null && wave.state === 'Skipped') throw new Error(`wave ${wave.plan.name} is skipped already`);
    if (wave.skips.length >= 500) throw new Error('500 resources of a wave are skipped: skip the wave, or plan anew');
  }

  skip({ wave: index, upgrade, actor, reason }: SkipRequest): string {
    const wave = this.mustBeOpen(index);
    const what = upgrade === null ? `wave ${wave.plan.name}` : upgrade.title;
    const act = this.record({ requestId: null, act: 'skip', what, actor, reason });
    const why = wordsOf(act);
    if (upgrade !== null) {
      const order = { shard: upgrade.shard, workflowId: upgrade.workflowId, why };
      wave.skips.push(order);
      this.order(wave, { skip: order });
      this.show();
      return `${what} is left out, unless it has started already`;
    }
    if (wave.state === 'Running') this.order(wave, { skipRest: why });
    else {
      wave.counts = { Skipped: sizeOf(wave.plan) };
      for (const name of wave.plan.provides ?? []) this.missed.add(name);
    }
    const answer = wave.state === 'Running' ? 'what has not started of it is left out' : 'is left out';
    if (wave.state === 'Pending') wave.state = 'Skipped';
    this.show();
    return `${what}: ${answer}`;
  }

  /** @throws Error saying why it cannot be set */
  maySetConcurrency({ wave, concurrency, actor, reason, ...timely }: ConcurrencyRequest): void {
    mustBeInTime(timely);
    mustBeSigned(actor, reason);
    if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > 10_000) {
      throw new Error('a concurrency is a whole number from 1 to 10000');
    }
    if (wave !== null) this.mustBeOpen(wave);
    else if (this.waves.every(({ state }) => state !== 'Pending' && state !== 'Running')) {
      throw new Error('every wave has ended');
    }
  }

  setConcurrency({ wave: index, concurrency, actor, reason }: ConcurrencyRequest): string {
    const waves = index === null ? this.waves : [this.mustBeOpen(index)];
    const open = waves.filter(({ state }) => state === 'Pending' || state === 'Running');
    const where = index === null ? '' : ` in wave ${waves[0]?.plan.name}`;
    this.record({ requestId: null, act: 'concurrency', what: `${concurrency} at a time${where}`, actor, reason });
    for (const wave of open) {
      wave.concurrency = concurrency;
      this.order(wave, { concurrency });
    }
    this.show();
    const { max, mode } = this.input.budget;
    const allowed = allowedInFlight(concurrency, max, this.failures, mode);
    return allowed < concurrency
      ? `${concurrency} at a time${where}; the ${mode} budget of ${max} allows ${allowed} now`
      : `${concurrency} at a time${where}`;
  }

  isOver(): boolean {
    if (this.approvals.rejection !== null || this.expired !== null) return true;
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
    const { failures, overWave } = this;
    const stopped = this.stopped || this.isStopping || this.expired !== null;
    const { rejection } = this.approvals;
    const byClass = this.waves.reduce<FailureCounts>((sum, wave) => addFailures(sum, wave.byClass), {});
    this.result = {
      ...rolloutOutcome({ total, counts, failures, budget, stopped, overWave, rejected: rejection !== null }),
      counts,
      failures,
      byClass,
      budget,
      acts: this.acts,
    };
    const by = [
      ...(this.stop === null ? [] : [wordsOf(this.stop)]),
      ...(rejection === null ? [] : [`${rejection.title} by ${rejection.actor}: ${rejection.reason}`]),
      ...(this.expired === null ? [] : [this.expired]),
    ];
    this.result = { ...this.result, reason: [this.result.reason, ...by].join('; ') };
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
      acts: this.acts,
      waves: this.waves.map(({ plan, workflowId, state, counts, concurrency }) => ({
        name: plan.name,
        concurrency,
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
      const options = {
        workflowId: wave.workflowId,
        args: [
          {
            rollout,
            rolloutRun: this.runId,
            wave: { ...wave.plan, concurrency: wave.concurrency },
            index,
            failuresLeft: Math.min(budget.max - this.failures, wave.plan.maxFailures ?? Infinity),
            mode: budget.mode,
            accountLimits,
            timing,
            counts: budget.counts,
            missed: [...this.missed],
            hold: this.hold === null ? null : wordsOf(this.hold),
            skips: [...wave.skips],
          },
        ] satisfies [WaveInput],
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
        cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        staticSummary: `${wave.plan.name}: ${sizeOf(wave.plan)} upgrades`,
        typedSearchAttributes: [{ key: ATTRIBUTES.rollout, value: rollout }],
      };
      return await this.running.run(async () => {
        const child = await startChild<typeof waveWorkflow>('wave', options);
        wave.child = child;
        this.catchUp(wave, options.args[0]);
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
    if (this.stopped || this.isStopping) {
      const by = this.stop === null ? '' : ` (${wordsOf(this.stop)})`;
      return { state: 'Stopping', reason: `stopped: what was submitted is followed to its end${by}` };
    }
    if (this.hold !== null) {
      return { state: 'Paused', reason: `${wordsOf(this.hold)}; what was submitted goes on` };
    }
    if (this.gate !== undefined) return { state: 'Waiting', reason: this.approvals.whyWaiting(this.gate) };
    const running = this.waves.find(({ state }) => state === 'Running');
    return {
      state: 'Running',
      reason: running === undefined ? 'about to start' : `wave ${running.plan.name} is running`,
    };
  }

  private get isStopping(): boolean {
    return this.running.consideredCancelled || CancellationScope.current().consideredCancelled;
  }

  private mustBeOpen(index: number): WaveState {
    const wave = this.waves[index - 1];
    if (wave === undefined) throw new Error(`there is no wave ${index}`);
    if (wave.state !== 'Pending' && wave.state !== 'Running') {
      throw new Error(`wave ${wave.plan.name} is over: ${wave.state}`);
    }
    return wave;
  }

  private record(act: Omit<Act, 'at'>): Act {
    const done = { ...act, at: new Date().toISOString() };
    this.acts.push(done);
    if (this.acts.length > MOST_ACTS) this.acts.shift();
    return done;
  }

  /** To a wave that runs; one that has not begun is given all of it when it does. */
  private order(wave: WaveState, order: WaveOrder): void {
    const { child } = wave;
    if (child === null) return;
    this.orders = this.orders
      .then(() => CancellationScope.nonCancellable(() => child.signal(waveOrderSignal, order)))
      // One that has ended needs no order.
      .catch(() => undefined);
  }

  /** What was said between a wave's start and the server's word that it has started. */
  private catchUp(wave: WaveState, given: WaveInput): void {
    const hold = this.hold === null ? null : wordsOf(this.hold);
    if (hold !== given.hold) this.order(wave, { hold });
    if (wave.concurrency !== given.wave.concurrency) this.order(wave, { concurrency: wave.concurrency });
    for (const skip of wave.skips.slice(given.skips?.length ?? 0)) this.order(wave, { skip });
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
          {
            head: ['at', 'act', 'on', 'by', 'reason'],
            rows: this.acts.slice(-10).map(({ at, act, what, actor, reason: why }) => [at, act, what, actor, why]),
          },
        ],
      }),
    );
  }
}

/** `paused by ana since …: a customer complained`. */
function wordsOf({ act, actor, reason, at }: Act): string {
  const done = {
    pause: 'paused',
    resume: 'resumed',
    stop: 'stopped',
    skip: 'skipped',
    concurrency: 'set',
    approve: 'approved',
    reject: 'rejected',
  }[act];
  return `${done} by ${actor} at ${at}: ${reason}`;
}

function mustBeSigned(actor: string, reason: string): void {
  if (!actor || !reason) throw new Error('it has an actor and a reason');
}
