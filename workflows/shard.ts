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
import type { Shut } from './contracts/calendar.js';
import type { SkipOrder } from './contracts/control.js';
import { durationClass, type Durations, learn, workedMs } from './contracts/durations.js';
import { upgradeWorkflowId } from './contracts/ids.js';
import { hasBegun } from './contracts/outcome.js';
import type {
  Share,
  ShardCarried,
  ShardInput,
  ShardProgress,
  ShardResult,
  ShardStatus,
  ShardWord,
  UpgradeEnd,
} from './contracts/rollout.js';
import {
  FAILED_OUTCOMES,
  GOOD_OUTCOMES,
  type FailureClass,
  type UpgradeResult,
  type UpgradeSpec,
} from './contracts/upgrade.js';
import { failedUpgrade, rootReason } from './failures.js';
import { KeptPlaces } from './kept-places.js';
import { AwaitedNames, drawsOf, limitsOf, requirement, SLOTS } from './limits.js';
import {
  grantSignal,
  shardStatusQuery,
  skipOrderSignal,
  upgradeHeldBackSignal,
  upgradeOverdueSignal,
  upgradeStuckSignal,
} from './messages.js';
import { LOOKS, NO_ROOM, shardDetails } from './shard-details.js';
import { endFrom, endOf, ShardEnds } from './shard-ends.js';
import { ShardFreezes } from './shard-freezes.js';
import { bindsGroups, looksAhead, ShardGroups } from './shard-groups.js';
import { ShardHistory } from './shard-history.js';
import { type Queued, ShardInFlight } from './shard-in-flight.js';
import { ShardQuarantine } from './shard-quarantine.js';
import { ShardLeases } from './shard-leases.js';
import { ShardRoom } from './shard-room.js';
import { alone, ShardShare } from './shard-share.js';
import { ShardWindows } from './shard-windows.js';
import { ShardWords } from './shard-words.js';
import { learnDurations, readInventory } from './steps.js';
import { startUpgrade } from './upgrade-child.js';

export async function shard(input: ShardInput): Promise<ShardResult> {
  const run = new ShardRun(input);
  setHandler(shardStatusQuery, () => run.status());
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
    run.leaveOut(order);
  });
  setHandler(upgradeHeldBackSignal, (workflowId) => {
    run.holdBack(workflowId);
  });

  await run.read();
  await Promise.all([run.freezes.begin(), run.quarantine.begin()]);
  run.windows.watch();
  await run.startAll();
  await run.waitForAll();
  if (run.isUnfinished) return continueAsNew<typeof shard>(run.rest());
  await Promise.all([run.tellDurations(), run.quarantine.tell()]);
  return run.end();
}

class ShardRun {
  private readonly input: ShardInput;
  private readonly share: ShardShare;
  /** `null` until its list was read: before that it cannot say what it wants. */
  private total: number | null = null;
  private queue: Queued[] = [];
  private readonly inFlight = new ShardInFlight();
  private readonly ends: ShardEnds;
  private readonly leases: ShardLeases<Queued>;
  private readonly groups: ShardGroups;
  private readonly room: ShardRoom;
  private readonly words: ShardWords;
  private readonly history = new ShardHistory();
  readonly windows: ShardWindows;
  readonly freezes: ShardFreezes;
  readonly quarantine: ShardQuarantine;
  private readonly skips = new Map<string, string>();
  /** Names that others wait for. */
  private readonly awaited: AwaitedNames;
  private cancelled = false;
  private stuck: NonNullable<ShardCarried['stuck']> | null;
  private stopped = false;
  private hasToldFull = false;
  /** Shards of older releases had all that came back go first; `null` before it matters. */
  private sendsLast: boolean | null = null;
  /** This run ends here, and the next one goes on. */
  isUnfinished = false;
  /** Of those that went well. */
  private durations: Durations;
  private readonly running: Promise<void>[] = [];
  /** Nothing cancels what runs in it; one for all, since each costs the worker a third of a millisecond (measured). */
  private readonly shielded = new CancellationScope({ cancellable: false });

  constructor(input: ShardInput) {
    const { carried } = input;
    this.input = input;
    const limits = limitsOf(input);
    this.share = new ShardShare(input.share ?? alone(limits), carried?.talk);
    this.ends = new ShardEnds(input.counts, carried);
    this.stuck = carried?.stuck ?? null;
    this.durations = carried?.durations ?? {};
    this.leases = new ShardLeases(
      input.timing,
      () => {
        this.news();
      },
      () => this.history.isFull,
      () => this.queue.filter(({ spec }) => looksAhead(spec)),
    );
    const isShared = (name: string) => name in this.share.limits() && !this.share.isAlone;
    this.groups = new ShardGroups(input.missed ?? [], isShared, carried?.lostPlaces);
    this.room = new ShardRoom(limits, {
      queue: () => this.queue,
      isReady: (next) => this.isReady(next),
      inFlight: this.inFlight,
      ends: this.ends,
      leases: this.leases,
      groups: this.groups,
    });
    this.quarantine = new ShardQuarantine(input);
    this.freezes = new ShardFreezes({
      rollout: input.rollout,
      waiting: () => this.queue.map(({ spec }) => spec),
      news: (isNews) => {
        this.news();
        if (isNews) this.words.tellRolloutNow(() => this.progress());
      },
    });
    const windows = {
      rollout: { rollout: input.rollout, rolloutRun: input.rolloutRun },
      waiting: () => [...this.queue, ...this.inFlight.all].map(({ spec }) => spec),
      sharesGate: input.oneGate === true && !this.share.isAlone,
      hasStarted: () => this.hasRolloutStarted,
      isOver: () => this.whyOver() !== null || this.history.isFull,
      beforeOpening: () => this.freezes.ask(),
      news: () => {
        this.news();
        this.words.tellEdges(this.windows.closes, () => this.progress());
      },
    };
    this.windows = new ShardWindows(windows, carried?.gates);
    this.words = new ShardWords(input, () => this.word());
    this.awaited = new AwaitedNames(input.missed ?? []);
    for (const order of input.skips ?? []) this.leaveOut(order);
  }

  /** Its part of the inventory. Nothing is started yet, so that a shard that cannot read it ends without an upgrade. */
  async read(): Promise<void> {
    const { upgrades, inventory, carried } = this.input;
    const list = () => (inventory === undefined ? [] : readInventory(inventory));
    // Cancelled in a later run, it has ends to tell, and tells those of the rest from its list.
    const specs =
      upgrades ?? (await (carried === undefined ? list() : CancellationScope.nonCancellable(async () => list())));
    this.total = specs.length;
    this.room.measure(specs);
    this.queue = specs.map((spec) => ({ spec, draws: drawsOf(spec) }));
    for (const spec of specs) this.awaited.expect(spec);
    this.goOn(carried);
    this.news();
  }

  /** From where the run before has left it. */
  private goOn(carried: ShardCarried | undefined): void {
    if (carried === undefined) return;
    const outcomes = new Map(carried.ends.map(({ workflowId, outcome }) => [workflowId, outcome]));
    const outcomeOf = ({ spec }: Queued) => outcomes.get(upgradeWorkflowId(spec.resource));
    for (const next of this.queue) {
      const outcome = outcomeOf(next);
      if (outcome !== undefined) this.awaited.ended(next.spec, GOOD_OUTCOMES.includes(outcome));
      this.freezes.recall(next.spec, carried.frozen);
      this.leases.recall(next, carried.leases);
    }
    const left = this.queue.filter((next) => outcomeOf(next) === undefined);
    const { waited = {} } = carried;
    const waitedOf = ({ spec }: Queued) => waited[upgradeWorkflowId(spec.resource)];
    this.queue = left.filter((next) => waitedOf(next) === undefined);
    for (const next of left) {
      const waitedMs = waitedOf(next);
      if (waitedMs !== undefined) this.queue.push({ ...next, waitedMs });
    }
    this.leases.watch();
    this.words.goOn(() => this.progress());
  }

  /** What a new run begins with. */
  rest(): ShardInput {
    const { share, talk } = this.share.carried;
    const { shard: number } = this.input;
    const waited = this.queue.flatMap(({ spec, waitedMs }) =>
      waitedMs === undefined ? [] : [[upgradeWorkflowId(spec.resource), waitedMs] as const],
    );
    return {
      ...this.input,
      ...(this.input.share === undefined ? {} : { share }),
      skips: [...this.skips].map(([workflowId, why]) => ({ shard: number, workflowId, why })),
      carried: {
        ...this.ends.carried,
        stuck: this.stuck,
        durations: this.durations,
        quarantine: this.quarantine.carried,
        lostPlaces: this.groups.carried,
        leases: this.leases.carried,
        frozen: this.freezes.carried,
        ...(waited.length === 0 ? {} : { waited: Object.fromEntries(waited) }),
        gates: this.windows.known,
        talk,
        told: this.words.carried,
      },
    };
  }

  /** Starts upgrades as the budget and the limits leave room, until none is left or the shard is stopped. */
  async startAll(): Promise<void> {
    try {
      while (!this.isIdle()) {
        await condition(
          () =>
            this.isIdle() ||
            this.whyOver() !== null ||
            this.isDone() ||
            this.mayStart().length > 0 ||
            this.isJustFull ||
            this.inVain().length > 0,
        );
        if (this.whyOver() !== null) break;
        // A cancel that came with what it waited for is this run's to hear: the next one would not be told.
        this.isUnfinished = this.isDone() && !CancellationScope.current().consideredCancelled;
        if (this.isUnfinished) break;
        if (this.isJustFull) {
          this.hasToldFull = true;
          this.news();
        }
        for (const next of this.inVain()) await this.skip(next);
        const next = this.mayStart();
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
      this.stopped = this.queue.length > 0;
    } finally {
      this.freezes.end();
    }
  }

  /** Nothing more is started, and neither the wave, whose slots are another's now, nor people know. */
  private get isJustFull(): boolean {
    return this.history.isFull && !this.hasToldFull;
  }

  /** What is left is the next run's: this one has no room for it, and nothing of this one is under way. */
  private isDone(): boolean {
    const waits = this.inFlight.size === 0 && this.queue.length > 0 && this.words.areHeard;
    return waits && this.history.isTooLongFor(this.queue.length);
  }

  /** Nothing waits, and nothing in flight may find its window closed or a freeze, and then wait again. */
  private isIdle(): boolean {
    return this.queue.length + this.inFlight.size === 0;
  }

  /** What was submitted is followed to its end, also when the shard was cancelled. */
  async waitForAll(): Promise<void> {
    await this.shielded.run(() => Promise.all(this.running));
  }

  /** For forecasts: a word for all of its upgrades, and what is lost if nobody hears it is little. */
  async tellDurations(): Promise<void> {
    // Shards of older releases told nothing.
    if (Object.keys(this.durations).length === 0 || !patched('durations')) return;
    await CancellationScope.nonCancellable(() => learnDurations(this.durations)).catch(() => undefined);
  }

  end(): ShardResult {
    for (const next of this.queue.splice(0)) {
      const end = this.unstarted(next);
      this.ends.add(end, next.spec.resource.id, null);
      this.awaited.ended(next.spec, false);
      this.groups.ended(next.spec, end, null);
    }
    this.show();
    const { all: ends, failures, byClass } = this.ends;
    // Cancelled, it stops its wave also where all of its own had started.
    const stopped = this.stopped || CancellationScope.current().consideredCancelled;
    return { ends, stopped, failures, byClass, missed: [...this.awaited.missed, ...this.groups.missed] };
  }

  /** How what is queued ends, once nothing more is started. */
  private unstarted(next: Queued): UpgradeEnd {
    const why = this.stopped ? 'the rollout was stopped first' : (this.whyOver() ?? '');
    const reason = [why, this.leases.whyLocked(next)].filter(Boolean).join('; ');
    return endOf(next.spec, null, this.isRestSkipped ? 'Skipped' : 'NotStarted', reason);
  }

  /** What has not started is left out by a person. */
  private get isRestSkipped(): boolean {
    return this.share.skipped && !this.stopped;
  }

  hear(grant: Share['grant']): void {
    this.share.hear(grant);
    if (this.share.hold === null) this.inFlight.letGo();
    this.news();
  }

  status(): ShardStatus {
    // People see what they have left out before the end of what goes on.
    const queue = [...this.queue, ...this.leases.unsettled];
    const [skipped, waiting] = this.isRestSkipped ? [queue, []] : [[], queue];
    const kept = new KeptPlaces(this.queue);
    return {
      total: this.total ?? 0,
      inFlight: this.inFlight.all.flatMap(({ workflowId, runId }) => (runId === null ? [] : [{ workflowId, runId }])),
      ends: [...this.ends.all, ...skipped.map((next) => this.unstarted(next))],
      waits: waiting.flatMap((next) => {
        const workflowId = upgradeWorkflowId(next.spec.resource);
        const locked = this.leases.whyLocked(next);
        if (locked !== undefined) return [{ workflowId, why: locked, nextAt: this.leases.nextLook }];
        const names = this.awaited.openOf(next.spec);
        if (names.length > 0) return [{ workflowId, why: `waits for ${names.join(', ')}`, nextAt: null }];
        if (this.history.isFull) return [{ workflowId, why: NO_ROOM, nextAt: null }];
        if (this.waitsForLook) return [{ workflowId, why: LOOKS, nextAt: null }];
        const why = this.leases.whyBound(next) ?? kept.whyKept(next);
        return why === null ? [] : [{ workflowId, why, nextAt: this.leases.nextLook }];
      }),
    };
  }

  /** Only what has not started can be left out. */
  leaveOut({ shard: number, workflowId, why }: SkipOrder): void {
    if (number === this.input.shard) this.skips.set(workflowId, why);
  }

  /** It waits for the end of the hold; a hold that is over already is told at once. */
  holdBack(workflowId: string): void {
    this.inFlight.holdBack(workflowId);
    if (this.share.hold === null) this.inFlight.letGo();
  }

  /** An operation past its deadline is charged to the budget once, whatever it comes to in the end. */
  chargeOverdue(workflowId: string): void {
    const upgrade = this.inFlight.get(workflowId);
    if (upgrade === undefined || !this.ends.chargeOverdue(workflowId, upgrade.spec.resource.id)) return;
    this.news();
    this.words.tellSoon(() => this.progress());
  }

  /** Nothing follows from it but that people are told. */
  isStuck(workflowId: string): void {
    const upgrade = this.inFlight.get(workflowId);
    if (upgrade === undefined) return;
    this.stuck = { count: (this.stuck?.count ?? 0) + 1, latest: upgrade.spec.resource.id };
    this.words.tellSoon(() => this.progress());
  }

  private async start(next: Queued): Promise<void> {
    const { spec } = next;
    const { rollout, rolloutRun, wave, timing, tells } = this.input;
    this.queue.splice(this.queue.indexOf(next), 1);
    this.leases.free(next);
    const workflowId = upgradeWorkflowId(spec.resource);
    const flying = this.inFlight.add(workflowId, next);
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
      this.inFlight.delete(workflowId);
      if (isCancellation(error)) this.queue.unshift(next);
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      this.leases.conflict(next, bindsGroups(spec));
    }
  }

  /** Before members of groups start, it is looked which of them others upgrade, and whether they do still. */
  private mustLook(next: readonly Queued[]): boolean {
    if (this.leases.isLookDue && next.some(({ spec }) => looksAhead(spec))) return true;
    return this.leases.areOld && next.some((one) => this.leases.isBound(one)) && patched('looks-again');
  }

  /** A server that does not answer keeps nobody from ending the shard, or from leaving some out. */
  private async lookAhead(): Promise<void> {
    this.leases.lookAhead();
    this.show();
    await condition(() => !this.leases.isLooking || this.whyOver() !== null || this.inVain().length > 0);
    this.leases.watch();
    this.show();
  }

  /** Others upgrade these just now. */
  private async judgeConflicts(): Promise<void> {
    if (this.leases.unsettled.length === 0) return;
    let isJudged = false;
    const judging = this.leases.judge();
    this.show();
    const over = condition(() => isJudged || this.whyOver() !== null).then(() => null);
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
      this.leases.settle(next);
      if (verdict === 'again') this.queue.push(next);
      else {
        const [outcome, failedIn] =
          verdict === 'fail' ? (['Refused', 'precheck'] as const) : (['Skipped', null] as const);
        // A cancel in between would lose the others.
        await this.shielded.run(() => this.add(endOf(spec, null, outcome, reason), spec, failedIn));
      }
    }
    this.leases.watch();
    this.windows.watchAgain();
    this.show();
  }

  /** Whether what could start waits for the server to tell who has some leases. */
  private get waitsForLook(): boolean {
    return this.leases.isLooking && this.whyOver() === null;
  }

  /** Those whose leases were just looked at: nothing follows from it any more. */
  private takeBack(): void {
    for (const next of this.leases.unsettled) {
      this.leases.settle(next);
      this.queue.push(next);
    }
  }

  private async follow(
    spec: UpgradeSpec,
    workflowId: string,
    runId: string,
    result: () => Promise<UpgradeResult>,
  ): Promise<void> {
    let end: UpgradeEnd;
    let failedIn: FailureClass | null = null;
    try {
      const ended = await result();
      if (ended.again === true && this.mayStartAgain(workflowId, ended)) return;
      const ms = workedMs(ended, this.input.timing.scale);
      const { resource, planned } = spec;
      if (ms !== null) {
        this.durations = learn(this.durations, { [durationClass(resource.service, planned?.size ?? null)]: [ms] });
      }
      const over = ended.outcome === 'NotStarted' ? this.whyOver() : null;
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
    this.inFlight.delete(workflowId);
    // Shards of older releases counted it on.
    if (this.inFlight.isHeldBack(workflowId) && patched('held-back-ended')) this.inFlight.forgetHeldBack(workflowId);
    await this.shielded.run(() => this.add(end, spec, failedIn));
  }

  /** Its window closed, or a freeze began, before anything was sent: back into the queue until it may. */
  private mayStartAgain(workflowId: string, { reason, freeze, waitedMs }: UpgradeResult): boolean {
    const flying = this.inFlight.get(workflowId);
    if (flying === undefined || this.whyOver() !== null) return false;
    if (this.cancelled) {
      this.stopped = true;
      return false;
    }
    this.inFlight.delete(workflowId);
    const { spec, draws } = flying;
    // What is not busy goes first, or one that always is could use up each opening.
    if (waitedMs !== undefined) this.sendsLast ??= patched('busy-last');
    if (waitedMs !== undefined && this.sendsLast === true) this.queue.push({ spec, draws, waitedMs });
    else this.queue.unshift({ spec, draws });
    if (freeze === undefined) this.windows.isShut(spec, reason);
    else this.freezes.isFound(spec, freeze);
    this.news();
    return true;
  }

  /** Resolves once the rollout has heard of it, where a word is due. */
  private add(end: UpgradeEnd, spec: UpgradeSpec, failedIn: FailureClass | null = null): Promise<void> {
    this.ends.add(end, spec.resource.id, failedIn);
    this.awaited.ended(spec, GOOD_OUTCOMES.includes(end.outcome));
    this.quarantine.ended(end, failedIn);
    this.groups.ended(spec, end, failedIn);
    this.news();
    if (FAILED_OUTCOMES.includes(end.outcome)) this.words.tellSoon(() => this.progress());
    return this.words.tellProgress(this.ends.all.length, this.total ?? 0, () => this.progress());
  }

  private progress(): Omit<ShardProgress, 'wave' | 'shard'> {
    const frozen = this.freezes.held;
    return {
      inFlight: this.inFlight.size,
      counts: this.ends.counts(),
      failures: this.ends.failures,
      failure: this.ends.lastFailure,
      queued: this.queue.length,
      ...(frozen === null ? {} : { frozen }),
      ...(this.stuck === null ? {} : { stuck: this.stuck }),
      ...(this.shut === null ? {} : { shut: this.shut }),
      ...(Object.keys(this.windows.known).length === 0 ? {} : { gates: this.windows.known }),
    };
  }

  /** Whether anything of it has been under way; what a person holds back has not been. */
  private get hasStarted(): boolean {
    return this.inFlight.hasWorked || hasBegun(this.ends.counts());
  }

  private get hasRolloutStarted(): boolean {
    // Of an older release's waves, only the very first shard asked itself.
    return this.hasStarted || (this.share.hasStarted ?? (this.input.index > 1 || this.input.shard > 1));
  }

  /** The window that all that is left waits for. */
  private get shut(): Shut | null {
    return this.inFlight.size > 0 ? null : this.windows.shut(this.queue.map(({ spec }) => spec));
  }

  /** Why nothing more is started; `null` while things may be. */
  private whyOver(): string | null {
    return this.share.stop ?? (this.isSpent ? 'the failure budget was spent first' : null);
  }

  /** Whether its own failures alone are more than the budget. */
  private get isSpent(): boolean {
    return this.ends.failures > this.input.failuresLeft;
  }

  /** The upgrades that wave, budget and account have room for now. */
  private mayStart(): readonly Queued[] {
    // A hold of weeks has edges too.
    if (this.share.hold !== null) return this.history.fitting([], this.inFlight.size);
    const next = this.room.fitting(this.share.limits());
    // One at a time, as the histories of shards that older releases started have it.
    return this.history.fitting(this.input.share === undefined ? next.slice(0, 1) : next, this.inFlight.size);
  }

  /** Whether it waits for nothing but room. */
  private isReady(next: Queued): boolean {
    return (
      !this.history.isFull &&
      this.leases.whyLocked(next) === undefined &&
      requirement(next.spec, this.awaited) === 'met' &&
      this.windows.isOpen(next.spec) &&
      this.freezes.freezeFor(next.spec) === null
    );
  }

  /** Those whose turn will not come: left out by a person, or waiting for what did not come. */
  private inVain(): Queued[] {
    return this.queue.filter(({ spec }) => this.whySkipped(spec) !== null);
  }

  private whySkipped(spec: UpgradeSpec): string | null {
    const byHand = this.skips.get(upgradeWorkflowId(spec.resource));
    if (byHand !== undefined) return byHand;
    const out = this.quarantine.whyOut(spec);
    if (out !== null) return out;
    const gate = this.windows.stateFor(spec);
    if (gate?.over === true) return gate.reason;
    const full = this.groups.whyOut(spec, this.share.full);
    if (full !== null) return full;
    const lacking = requirement(spec, this.awaited);
    return typeof lacking === 'object' ? `it waits for ${lacking.missed}, which did not reach its target` : null;
  }

  private async skip(next: Queued): Promise<void> {
    const why = this.whySkipped(next.spec) ?? '';
    this.queue.splice(this.queue.indexOf(next), 1);
    this.leases.forget(next);
    const isTooLate = this.windows.stateFor(next.spec)?.over === true;
    await this.add(endOf(next.spec, null, isTooLate ? 'NotStarted' : 'Skipped', why), next.spec);
  }

  /** Once nothing more may be sent, what has not sent ends as well. */
  private callBack(): void {
    const isForbidden = this.isSpent || this.share.isForbidden;
    if (!isForbidden || this.inFlight.size === 0 || !patched('calls-back')) return;
    // One that was charged for being overdue has sent.
    this.inFlight.callBack((workflowId) => this.ends.wasCharged(workflowId));
  }

  /** Something has changed: for the wave, if it is worth a word, and for people. */
  private news(): void {
    this.callBack();
    this.words.tellWave();
    // Before its list is read it has nothing to say of what waits at them.
    if (this.total !== null) this.words.tellWindows(this.windows.edition(this.shut), () => this.progress());
    this.show();
  }

  /** What this shard gives back or lacks, when it is worth a word. */
  private word(): Omit<ShardWord, 'shard'> | null {
    if (this.total === null || this.input.share?.step == null) return null;
    const names = Object.keys(this.share.limits());
    const { uses, wants } = this.room.standing();
    const lost = this.groups.lostOf(names);
    return this.share.word({
      wants: Object.fromEntries(names.map((name) => [name, wants[name] ?? 0])),
      uses: Object.fromEntries(names.map((name) => [name, uses[name] ?? 0])),
      failures: this.ends.failures,
      isStuck: this.inFlight.size === 0 && this.queue.length > 0,
      // Full, it asks no more, and would not hear of the opening.
      isShut: this.windows.isWaveShut && !this.history.isFull,
      hasStarted: this.hasStarted,
      ...(lost === undefined ? {} : { lost }),
    });
  }

  private show(): void {
    const { wave, concurrency } = this.input;
    const { all, failures, lastFailure } = this.ends;
    const shown = shardDetails({
      wave,
      concurrency: this.share.limits()[SLOTS] ?? concurrency,
      total: this.total,
      ended: all.length,
      inFlight: this.inFlight.size,
      failures,
      lastFailure,
      queue: this.queue,
      hold: this.share.hold,
      isFull: this.history.isFull,
      isLooking: this.waitsForLook,
      frozen: this.freezes.held,
      shut: this.windows.whyShut(this.queue.map(({ spec }) => spec)),
      leased: this.leases.reasons,
    });
    setCurrentDetails(shown);
  }
}
