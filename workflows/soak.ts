/**
 * After a wave, its soak: the next one begins, or the rollout ends, once its resources were observed to be healthy for as
 * long as the plan says. Nothing but that, a person's word or the rollout's stop ends it.
 */
import { CancellationScope, CancelledFailure, isCancellation, patched } from '@temporalio/workflow';
import { countOf } from './contracts/outcome.js';
import { SHARD_SIZE, sizeOf, type Counts, type WavePlan } from './contracts/rollout.js';
import { soakLabel, span, type SoakPlan, type SoakStatus } from './contracts/soak.js';
import { GOOD_OUTCOMES } from './contracts/upgrade.js';
import { growing, pauseAt } from './pauses.js';
import { observeSoak } from './steps.js';

/** People are told of another verdict so much later each time, at scale 1: a week of ups and downs is some 40 tellings. */
const TOLD = { first: 60_000, longest: 6 * 3_600_000 };

export interface SoakedWave {
  readonly rollout: string;
  readonly rolloutRun: string;
  readonly key?: string | undefined;
  /** 1-based. */
  readonly wave: number;
  readonly plan: WavePlan;
  readonly counts: Counts;
  readonly scale: number;
}

export class Soak {
  private readonly plan: SoakPlan;
  private status: SoakStatus;
  /** While it runs: cancelled when it is waived. */
  private observing: CancellationScope | null = null;

  constructor(plan: SoakPlan) {
    this.plan = plan;
    this.status = { forMs: plan.forMs, state: 'Pending', progress: null, startedAt: null, endedAt: null };
  }

  get told(): SoakStatus {
    return this.status;
  }

  get isRunning(): boolean {
    return this.status.state === 'Running';
  }

  /** It may still be waived. */
  get isOpen(): boolean {
    return this.status.state === 'Pending' || this.isRunning;
  }

  /** Neither reached nor waived, although there was something to observe. */
  get isMissed(): boolean {
    return this.isOpen || this.status.state === 'Stopped' || this.status.state === 'NotStarted';
  }

  get label(): string {
    return soakLabel(this.status);
  }

  /**
   * @param show told of every change that people should see
   * @throws CancelledFailure when the rollout was stopped meanwhile
   */
  async untilSoaked({ plan, counts, wave, scale, ...of }: SoakedWave, show: () => void): Promise<void> {
    if (this.status.state !== 'Pending') return;
    const total = countOf(counts);
    const isUntouched = countOf(counts, ['Skipped', 'NotStarted']) === total;
    if (countOf(counts, ['Skipped']) === total || (isUntouched && patched('soak-not-started'))) {
      this.end('Skipped');
      return;
    }
    const observing = new CancellationScope();
    this.observing = observing;
    const answersCancelled = patched('soak-last-seen');
    this.status = { ...this.status, state: 'Running', startedAt: now() };
    show();
    const shards = plan.parts?.length ?? Math.ceil(sizeOf(plan) / SHARD_SIZE);
    const reached = countOf(counts, GOOD_OUTCOMES);
    // No credentials are needed for a plain GET.
    const queue = this.plan.health === undefined ? undefined : plan.queue;
    const summary = `Soak of wave ${plan.name}: ${span(this.plan.forMs)} healthy`;
    try {
      for (let look = 0, soaked = false; !soaked; look += 1) {
        const quietMs = pauseAt(scale, growing(TOLD, look));
        const before = this.status.progress;
        const input = { ...of, wave, shards, reached, soak: this.plan, scale, before, quietMs };
        const { soaked: isSoaked, ...progress } = await observing.run(() =>
          observeSoak(input, { queue, summary, answersCancelled }),
        );
        soaked = isSoaked;
        // Also of one that was cancelled: the next look then fails before it begins.
        this.status = { ...this.status, progress };
        show();
      }
      if (this.isRunning) this.end('Done');
    } catch (error) {
      // Also where the worker was away, so that what it saw last never came.
      if (!isCancellation(error) && !observing.consideredCancelled) throw error;
      // Ended by a person's word.
      if (!this.isRunning) return;
      this.end('Stopped');
      throw isCancellation(error) ? error : new CancelledFailure('the rollout was stopped');
    }
  }

  /** Ends it by a person's word. */
  waive(): void {
    this.end('Waived');
    this.observing?.cancel();
  }

  /** Ends it since the rollout does, with a word that is no stop. */
  stop(): void {
    this.end('Stopped');
    this.observing?.cancel();
  }

  /** The rollout ends: what has not begun never does. */
  close(wasSkipped: boolean): void {
    if (this.status.state === 'Pending') this.status = { ...this.status, state: wasSkipped ? 'Skipped' : 'NotStarted' };
  }

  private end(state: SoakStatus['state']): void {
    this.status = { ...this.status, state, endedAt: now() };
  }
}

function now(): string {
  return new Date().toISOString();
}
