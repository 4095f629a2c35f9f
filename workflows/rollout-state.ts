/** What a rollout knows of itself: its waves, what people did to it, and what it waits for. */
import { CancellationScope, type ChildWorkflowHandle, workflowInfo } from '@temporalio/workflow';
import { Approvals } from './approvals.js';
import { type GateState, type Shut, soonest } from './contracts/calendar.js';
import { type Act, holdLabel, type SkipOrder, wordsOf } from './contracts/control.js';
import { waveWorkflowId } from './contracts/ids.js';
import { addCounts, addFailures, countOf } from './contracts/outcome.js';
import {
  type Counts,
  type FailureCounts,
  type RolloutInput,
  type RolloutResult,
  type RolloutStatus,
  type ShardProgress,
  sizeOf,
  type WavePlan,
  type WaveStatus,
} from './contracts/rollout.js';
import { heededRunKey } from './run-key.js';
import { Soak } from './soak.js';
import type { wave as waveWorkflow } from './wave.js';

export interface WaveState {
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
  /** Why what had not started of it was left out, once a person said so. */
  skipRest: string | null;
  readonly soak: Soak | null;
  /** While it runs: where orders go. */
  child: ChildWorkflowHandle<typeof waveWorkflow> | null;
}

/** The latest acts are told whatever they are: by its request id, what comes twice is known for the same. */
const LATEST_ACTS = 50;
/** With earlier ones that go on to matter. The history has all of them. */
const MOST_ACTS = 100;

export class RolloutState {
  readonly input: RolloutInput;
  readonly runId = workflowInfo().firstExecutionRunId;
  /** As `runKey`: what belongs to this run is given it. */
  readonly key: string;
  readonly waves: readonly WaveState[];
  readonly approvals: Approvals;
  readonly acts: Act[] = [];
  /** Acts that are no longer told. */
  actsLeftOut = 0;
  /** Since the last resume: as long as there is one, nothing is sent. */
  pauses: readonly Act[] = [];
  stop: Act | null = null;
  stopped = false;
  /** People have left every wave out. */
  isLeftOut = false;
  /** What it waits at now: a wave, `null` for the rollout itself; `undefined` while it does not wait. */
  gate: number | null | undefined;
  /** Epoch milliseconds: since when it waits there. */
  gateSince = 0;
  expired: string | null = null;
  /** Cancelled by `stop`, as all of the rollout is by a cancel. */
  readonly running = new CancellationScope();
  /** Names that later waves wait for and that were not reached. */
  readonly missed = new Set<string>();
  lastFailure: string | null = null;
  /** The windows as shards were told of them last, by the gate's number. */
  readonly gates = new Map<number, GateState>();
  /** How often the calendar was asked while it waited for people. */
  calendarLooks = 0;
  result: RolloutResult | null = null;
  /** The latest notice that somebody was not told, and why. */
  undelivered: string | null = null;

  constructor(input: RolloutInput) {
    this.input = input;
    this.key = heededRunKey({ key: input.key, rolloutRun: this.runId });
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
      workflowId: waveWorkflowId(input.rollout, this.key, index + 1),
      state: 'Pending',
      counts: {},
      failures: 0,
      byClass: {},
      shards: new Map(),
      concurrency: plan.concurrency,
      skips: [],
      skipRest: null,
      soak: plan.soak === undefined ? null : new Soak(plan.soak),
      child: null,
    }));
  }

  get failures(): number {
    return this.waves.reduce((sum, { failures }) => sum + failures, 0);
  }

  get counts(): Counts {
    return this.waves.reduce<Counts>((sum, { counts }) => addCounts(sum, counts), {});
  }

  get byClass(): FailureCounts {
    return this.waves.reduce<FailureCounts>((sum, { byClass }) => addFailures(sum, byClass), {});
  }

  /** A wave that exceeded a budget of its own. */
  get overWave(): { readonly name: string; readonly max: number } | null {
    const over = this.waves.find(({ plan, failures }) => failures > (plan.maxFailures ?? Infinity));
    return over === undefined ? null : { name: over.plan.name, max: over.plan.maxFailures ?? 0 };
  }

  /** The wave that soaks just now. */
  get soaking(): WaveState | null {
    return this.waves.find(({ soak }) => soak?.isRunning === true) ?? null;
  }

  /** The wave whose upgrades are under way. */
  get runningWave(): WaveState | null {
    return this.waves.find(({ state }) => state === 'Running') ?? null;
  }

  get isStopping(): boolean {
    return this.running.consideredCancelled || CancellationScope.current().consideredCancelled;
  }

  /** Nothing more begins. */
  get isOver(): boolean {
    if (this.approvals.rejection !== null || this.expired !== null || this.isLeftOut) return true;
    return this.stopped || this.failures > this.input.budget.max || this.overWave !== null;
  }

  /** Whether a wave may yet begin. */
  get isMoreToCome(): boolean {
    return this.waves.some(({ state }) => state === 'Pending');
  }

  /** @throws Error for a wave that there is not, or that is over */
  openWave(index: number): WaveState {
    const wave = this.waves[index - 1];
    if (wave === undefined) throw new Error(`there is no wave ${index}`);
    if (wave.state !== 'Pending' && wave.state !== 'Running') {
      throw new Error(`wave ${wave.plan.name} is over: ${wave.state}`);
    }
    return wave;
  }

  /** What a person did, with the time at which it was heard. */
  record(act: Omit<Act, 'at'>): Act {
    const done = { ...act, at: new Date().toISOString() };
    this.acts.push(done);
    const at = this.acts.length - LATEST_ACTS - 1;
    const earlier = this.acts[at];
    if (earlier === undefined) return done;
    if (!this.goesOnToMatter(earlier)) this.leaveOut(at);
    else if (this.acts.length > MOST_ACTS) this.leaveOut(0);
    return done;
  }

  private leaveOut(at: number): void {
    this.acts.splice(at, 1);
    this.actsLeftOut += 1;
  }

  /** Later acts supersede a pause or a concurrency, and a resource's own end tells who skipped it. */
  private goesOnToMatter({ act, what }: Act): boolean {
    switch (act) {
      case 'pause':
      case 'resume':
      case 'concurrency':
        return false;
      case 'skip':
        return this.waves.some(({ plan }) => what === `wave ${plan.name}`);
      case 'stop':
      case 'approve':
      case 'reject':
      case 'waive':
        return true;
    }
  }

  standing(): Pick<RolloutStatus, 'state' | 'reason'> {
    const now = this.now();
    const { rejection } = this.approvals;
    if (this.result !== null || rejection === null) return now;
    const { runningWave } = this;
    const { title, actor, reason } = rejection;
    const ends =
      runningWave === null ? 'the rollout ends' : `the rollout ends once wave ${runningWave.plan.name} has ended`;
    return { ...now, reason: `${now.reason}; ${title} was rejected by ${actor}: ${reason}: ${ends}` };
  }

  private now(): Pick<RolloutStatus, 'state' | 'reason'> {
    if (this.result !== null) return { state: this.result.outcome, reason: this.result.reason };
    if (this.stopped || this.isStopping) {
      const by = this.stop === null ? '' : ` (${wordsOf(this.stop)})`;
      return { state: 'Stopping', reason: `stopped: what was submitted is followed to its end${by}` };
    }
    const hold = holdLabel(this.pauses);
    if (hold !== null) return { state: 'Paused', reason: `${hold}; what was submitted goes on` };
    if (this.gate !== undefined) return { state: 'Waiting', reason: this.approvals.whyWaiting(this.gate) };
    const soaking = this.soaking;
    if (soaking !== null) {
      const { plan, soak } = soaking;
      return { state: 'Waiting', reason: `soak of wave ${plan.name}: ${soak?.label}` };
    }
    const running = this.runningWave;
    const shut = running === null ? null : shutIn(running);
    if (shut !== null) {
      return { state: 'Waiting', reason: `waits for its window, which opens ${shut.until}: ${shut.reason}` };
    }
    const frozen = running === null ? null : frozenIn(running);
    return {
      state: 'Running',
      reason:
        running === null
          ? this.isOver
            ? 'nothing more begins'
            : 'about to start'
          : `wave ${running.plan.name} is running${frozen === null ? '' : `; ${frozen}`}`,
    };
  }
}

/**
 * Whether people left out all of a wave, before it began or while it ran and none of it had started; not what was skipped for
 * other reasons beside some that they named.
 */
export function isLeftOut({ plan, state, counts, skipRest, skips }: WaveState): boolean {
  const size = sizeOf(plan);
  const named = new Set(skips.map(({ workflowId }) => workflowId));
  return state === 'Skipped' || ((skipRest !== null || named.size >= size) && countOf(counts, ['Skipped']) === size);
}

/** What all of a wave waits for, as its shards' last words have it; `null` while any of it is under way or may start. */
export function shutIn({ shards }: WaveState): Shut | null {
  const told = [...shards.values()];
  if (told.some(({ inFlight, queued = 0, shut }) => inFlight > 0 || (queued > 0 && shut === undefined))) return null;
  return soonest(told.flatMap(({ shut }) => shut ?? []));
}

/** As its shards' last words have it. */
function frozenIn({ shards }: WaveState): string | null {
  const told = [...shards.values()].flatMap(({ frozen }) => frozen ?? []);
  const [first] = told;
  return first === undefined ? null : `${told.reduce((sum, { count }) => sum + count, 0)} ${first.why}`;
}
