/** At most 400 upgrades of a wave, some of them in flight at a time. */
import {
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  patched,
  setCurrentDetails,
  setHandler,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { durationClass, learn, workedMs } from './contracts/durations.js';
import { upgradeWorkflowId } from './contracts/ids.js';
import type { Share, ShardInput, ShardResult, UpgradeEnd } from './contracts/rollout.js';
import {
  FAILED_OUTCOMES,
  GOOD_OUTCOMES,
  type FailureClass,
  type UpgradeResult,
  type UpgradeSpec,
} from './contracts/upgrade.js';
import { failedUpgrade, rootReason } from './failures.js';
import {
  grantSignal,
  shardStatusQuery,
  skipOrderSignal,
  upgradeHeldBackSignal,
  upgradeOverdueSignal,
  upgradeStuckSignal,
} from './messages.js';
import { endFrom, endOf } from './shard-ends.js';
import { bindsGroups, looksAhead } from './shard-groups.js';
import type { Queued } from './shard-in-flight.js';
import { ShardState } from './shard-state.js';
import { ShardWords } from './shard-words.js';
import { learnDurations, readInventory } from './steps.js';
import { startUpgrade } from './upgrade-child.js';

export async function shard(input: ShardInput): Promise<ShardResult> {
  const run = new ShardRun(input);
  setHandler(shardStatusQuery, () => run.state.status());
  setHandler(upgradeOverdueSignal, (workflowId) => {
    run.chargeOverdue(workflowId);
  });
  setHandler(upgradeStuckSignal, (workflowId) => {
    run.isStuck(workflowId);
  });
  setHandler(grantSignal, (grant) => {
    run.hear(grant);
  });
  setHandler(skipOrderSignal, (order) => {
    run.state.leaveOut(order);
  });
  setHandler(upgradeHeldBackSignal, (workflowId) => {
    run.holdBack(workflowId);
  });

  await run.read();
  await Promise.all([run.state.freezes.begin(), run.state.quarantine.begin()]);
  run.state.windows.watch();
  await run.startAll();
  await run.waitForAll();
  if (run.isUnfinished) return continueAsNew<typeof shard>(run.rest());
  await Promise.all([run.tellDurations(), run.state.quarantine.tell()]);
  return run.end();
}

class ShardRun {
  readonly state: ShardState;
  private readonly words: ShardWords;
  private cancelled = false;
  private hasToldFull = false;
  /** Shards of older releases had all that came back go first; `null` before it matters. */
  private sendsLast: boolean | null = null;
  /** This run ends here, and the next one goes on. */
  isUnfinished = false;
  private readonly running: Promise<void>[] = [];
  /** Nothing cancels what runs in it; one for all, since each costs the worker a third of a millisecond (measured). */
  private readonly shielded = new CancellationScope({ cancellable: false });

  constructor(input: ShardInput) {
    this.state = new ShardState(input, {
      leases: () => {
        this.news();
      },
      freezes: (isNews) => {
        this.news();
        if (isNews) this.words.tellRolloutNow();
      },
      windows: () => {
        this.news();
        this.words.tellEdges(this.state.windows.closes);
      },
    });
    this.words = new ShardWords(input, this.state);
    for (const order of input.skips ?? []) this.state.leaveOut(order);
  }

  /** Its part of the inventory. Nothing is started yet, so that a shard that cannot read it ends without an upgrade. */
  async read(): Promise<void> {
    const { state } = this;
    const { upgrades, inventory, carried } = state.input;
    const list = () => (inventory === undefined ? [] : readInventory(inventory));
    // Cancelled in a later run, it has ends to tell, and tells those of the rest from its list.
    const specs =
      upgrades ?? (await (carried === undefined ? list() : CancellationScope.nonCancellable(async () => list())));
    state.take(specs);
    if (carried !== undefined) {
      state.goOn(carried);
      this.words.goOn();
    }
    this.news();
  }

  /** For the run that goes on in its place. */
  rest(): ShardInput {
    return this.state.rest(this.words.carried);
  }

  /** Starts upgrades as the budget and the limits leave room, until none is left or the shard is stopped. */
  async startAll(): Promise<void> {
    const { state } = this;
    try {
      while (!state.isIdle()) {
        await condition(
          () =>
            state.isIdle() ||
            state.whyOver() !== null ||
            this.isDone() ||
            state.mayStart().length > 0 ||
            this.isJustFull ||
            state.inVain().length > 0,
        );
        if (state.whyOver() !== null) break;
        // A cancel that came with what it waited for is this run's to hear: the next one would not be told.
        this.isUnfinished = this.isDone() && !CancellationScope.current().consideredCancelled;
        if (this.isUnfinished) break;
        if (this.isJustFull) {
          this.hasToldFull = true;
          this.news();
        }
        for (const next of state.inVain()) await this.skip(next);
        const next = state.mayStart();
        if (this.mustLook(next)) {
          await this.lookAhead();
          continue;
        }
        const started = await Promise.allSettled(next.map((one) => this.start(one)));
        for (const one of started) if (one.status === 'rejected') throw one.reason;
        await this.judgeConflicts();
        this.words.tellWave();
      }
    } catch (error) {
      if (!isCancellation(error)) throw error;
      this.cancelled = true;
      this.takeBack();
      state.stopped = state.queue.length > 0;
    } finally {
      state.freezes.end();
    }
  }

  /** Nothing more is started, and neither the wave, whose slots are another's now, nor people know. */
  private get isJustFull(): boolean {
    return this.state.history.isFull && !this.hasToldFull;
  }

  /** What is left is the next run's: this one has no room for it, and nothing of this one is under way. */
  private isDone(): boolean {
    const { state } = this;
    const waits = state.inFlight.size === 0 && state.queue.length > 0 && this.words.areHeard;
    return waits && state.history.isTooLongFor(state.queue.length);
  }

  /** What was submitted is followed to its end, also when the shard was cancelled. */
  async waitForAll(): Promise<void> {
    await this.shielded.run(() => Promise.all(this.running));
  }

  /** For forecasts: a word for all of its upgrades, and what is lost if nobody hears it is little. */
  async tellDurations(): Promise<void> {
    const { state } = this;
    // Shards of older releases told nothing.
    if (Object.keys(state.durations).length === 0 || !patched('durations')) return;
    await CancellationScope.nonCancellable(() => learnDurations(state.durations)).catch(() => undefined);
  }

  end(): ShardResult {
    const { state } = this;
    for (const next of state.queue.splice(0)) {
      const end = state.unstarted(next);
      state.ends.add(end, next.spec.resource.id, null);
      state.awaited.ended(next.spec, false);
      state.groups.ended(next.spec, end, null);
    }
    this.show();
    const { all: ends, failures, byClass } = state.ends;
    // Cancelled, it stops its wave also where all of its own had started.
    const stopped = state.stopped || CancellationScope.current().consideredCancelled;
    return { ends, stopped, failures, byClass, missed: [...state.awaited.missed, ...state.groups.missed] };
  }

  hear(grant: Share['grant']): void {
    const { state } = this;
    state.share.hear(grant);
    if (state.share.hold === null) state.inFlight.letGo();
    this.news();
  }

  /** It waits for the end of the hold; a hold that is over already is told at once. */
  holdBack(workflowId: string): void {
    const { state } = this;
    state.inFlight.holdBack(workflowId);
    if (state.share.hold === null) state.inFlight.letGo();
  }

  /** An operation past its deadline is charged to the budget once, whatever it comes to in the end. */
  chargeOverdue(workflowId: string): void {
    const { state } = this;
    const upgrade = state.inFlight.get(workflowId);
    if (upgrade === undefined || !state.ends.chargeOverdue(workflowId, upgrade.spec.resource.id)) return;
    this.news();
    this.words.tellSoon();
  }

  /** Nothing follows from it but that people are told. */
  isStuck(workflowId: string): void {
    const { state } = this;
    const upgrade = state.inFlight.get(workflowId);
    if (upgrade === undefined) return;
    state.stuck = { count: (state.stuck?.count ?? 0) + 1, latest: upgrade.spec.resource.id };
    this.words.tellSoon();
  }

  private async start(next: Queued): Promise<void> {
    const { state } = this;
    const { spec } = next;
    const { rollout, rolloutRun, wave, timing, tells } = state.input;
    state.queue.splice(state.queue.indexOf(next), 1);
    state.leases.free(next);
    const workflowId = upgradeWorkflowId(spec.resource);
    const flying = state.inFlight.add(workflowId, next);
    try {
      const child = await startUpgrade({
        rollout,
        rolloutRun,
        wave,
        spec,
        timing,
        ...(tells === true ? { tells } : {}),
        ...(next.waitedMs === undefined ? {} : { waitedMs: next.waitedMs }),
      });
      flying.runId = child.firstExecutionRunId;
      this.callBack();
      this.running.push(this.follow(spec, workflowId, child.firstExecutionRunId, () => child.result()));
    } catch (error) {
      state.inFlight.delete(workflowId);
      if (isCancellation(error)) state.queue.unshift(next);
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      state.leases.conflict(next, bindsGroups(spec));
    }
  }

  /** Before members of groups start, it is looked which of them others upgrade, and whether they do still. */
  private mustLook(next: readonly Queued[]): boolean {
    const { state } = this;
    if (state.leases.isLookDue && next.some(({ spec }) => looksAhead(spec))) return true;
    return state.leases.areOld && next.some((one) => state.leases.isBound(one)) && patched('looks-again');
  }

  /** A server that does not answer keeps nobody from ending the shard, or from leaving some out. */
  private async lookAhead(): Promise<void> {
    const { state } = this;
    state.leases.lookAhead();
    this.show();
    await condition(() => !state.leases.isLooking || state.whyOver() !== null || state.inVain().length > 0);
    state.leases.watch();
    this.show();
  }

  /** Others upgrade these just now. */
  private async judgeConflicts(): Promise<void> {
    const { state } = this;
    if (state.leases.unsettled.length === 0) return;
    let isJudged = false;
    const judging = state.leases.judge();
    this.show();
    const over = condition(() => isJudged || state.whyOver() !== null).then(() => null);
    const soon = await Promise.race([judging, over]);
    isJudged = true;
    // Shards of older releases waited for the server, whatever came meanwhile.
    if (soon === null && patched('ends-unjudged')) {
      this.takeBack();
      return;
    }
    const judged = soon ?? (await judging);
    for (const { next, verdict, reason } of judged) {
      const { spec } = next;
      state.leases.settle(next);
      if (verdict === 'again') state.queue.push(next);
      else {
        const [outcome, failedIn] =
          verdict === 'fail' ? (['Refused', 'precheck'] as const) : (['Skipped', null] as const);
        // A cancel in between would lose the others.
        await this.shielded.run(() => this.add(endOf(spec, null, outcome, reason), spec, failedIn));
      }
    }
    state.leases.watch();
    state.windows.watchAgain();
    this.show();
  }

  /** Those whose leases were just looked at: nothing follows from it any more. */
  private takeBack(): void {
    const { state } = this;
    for (const next of state.leases.unsettled) {
      state.leases.settle(next);
      state.queue.push(next);
    }
  }

  private async follow(
    spec: UpgradeSpec,
    workflowId: string,
    runId: string,
    result: () => Promise<UpgradeResult>,
  ): Promise<void> {
    const { state } = this;
    let end: UpgradeEnd;
    let failedIn: FailureClass | null = null;
    try {
      const ended = await result();
      if (ended.again === true && this.mayStartAgain(workflowId, ended)) return;
      const ms = workedMs(ended, state.input.timing.scale);
      const { resource, planned } = spec;
      if (ms !== null) {
        state.durations = learn(state.durations, { [durationClass(resource.service, planned?.size ?? null)]: [ms] });
      }
      const over = ended.outcome === 'NotStarted' ? state.whyOver() : null;
      end = endFrom(spec, runId, over === null ? ended : { ...ended, reason: `${over}; ${ended.reason}` });
    } catch (error) {
      const failed = failedUpgrade(error);
      // Terminated or cancelled by hand: what the cloud does is not known here, and the next apply adopts it.
      end =
        failed === null
          ? endOf(spec, runId, 'Held', `its workflow ended without a result: ${rootReason(error)}`)
          : endFrom(spec, runId, failed);
      failedIn = failed?.failedIn ?? null;
    }
    state.inFlight.delete(workflowId);
    // Shards of older releases counted it on.
    if (state.inFlight.isHeldBack(workflowId) && patched('held-back-ended')) state.inFlight.forgetHeldBack(workflowId);
    await this.shielded.run(() => this.add(end, spec, failedIn));
  }

  /** Its window closed, or a freeze began, before anything was sent: back into the queue until it may. */
  private mayStartAgain(workflowId: string, { reason, freeze, waitedMs }: UpgradeResult): boolean {
    const { state } = this;
    const flying = state.inFlight.get(workflowId);
    if (flying === undefined || state.whyOver() !== null) return false;
    if (this.cancelled) {
      state.stopped = true;
      return false;
    }
    state.inFlight.delete(workflowId);
    const { spec, draws } = flying;
    // What is not busy goes first, or one that always is could use up each opening.
    if (waitedMs !== undefined) this.sendsLast ??= patched('busy-last');
    if (waitedMs !== undefined && this.sendsLast === true) state.queue.push({ spec, draws, waitedMs });
    else state.queue.unshift({ spec, draws });
    if (freeze === undefined) state.windows.isShut(spec, reason);
    else state.freezes.isFound(spec, freeze);
    this.news();
    return true;
  }

  /** Resolves once the rollout has heard of it, where a word is due. */
  private add(end: UpgradeEnd, spec: UpgradeSpec, failedIn: FailureClass | null = null): Promise<void> {
    const { state } = this;
    state.ends.add(end, spec.resource.id, failedIn);
    state.awaited.ended(spec, GOOD_OUTCOMES.includes(end.outcome));
    state.quarantine.ended(end, failedIn);
    state.groups.ended(spec, end, failedIn);
    this.news();
    if (FAILED_OUTCOMES.includes(end.outcome)) this.words.tellSoon();
    return this.words.tellProgress(state.ends.all.length, state.total ?? 0);
  }

  private async skip(next: Queued): Promise<void> {
    const { state } = this;
    const why = state.whySkipped(next.spec) ?? '';
    state.queue.splice(state.queue.indexOf(next), 1);
    state.leases.forget(next);
    const isTooLate = state.windows.stateFor(next.spec)?.over === true;
    await this.add(endOf(next.spec, null, isTooLate ? 'NotStarted' : 'Skipped', why), next.spec);
  }

  /** Once nothing more may be sent, what has not sent ends as well. */
  private callBack(): void {
    const { state } = this;
    const isForbidden = state.isSpent || state.share.isForbidden;
    if (!isForbidden || state.inFlight.size === 0 || !patched('calls-back')) return;
    // One that was charged for being overdue has sent.
    state.inFlight.callBack((workflowId) => state.ends.wasCharged(workflowId));
  }

  /** Something has changed: for the wave, if it is worth a word, and for people. */
  private news(): void {
    const { state } = this;
    this.callBack();
    this.words.tellWave();
    // Before its list is read it has nothing to say of what waits at them.
    if (state.total !== null) this.words.tellWindows(state.windows.edition(state.shut));
    this.show();
  }

  private show(): void {
    setCurrentDetails(this.state.details());
  }
}
