/** What a shard knows of its upgrades, and what follows from it: who may start, who is left out, what others are told. */
import type { Shut } from './contracts/calendar.js';
import type { SkipOrder } from './contracts/control.js';
import type { Durations } from './contracts/durations.js';
import { upgradeWorkflowId } from './contracts/ids.js';
import { hasBegun } from './contracts/outcome.js';
import type {
  ShardCarried,
  ShardInput,
  ShardProgress,
  ShardStatus,
  ShardTold,
  ShardWord,
  UpgradeEnd,
} from './contracts/rollout.js';
import { GOOD_OUTCOMES, type UpgradeSpec } from './contracts/upgrade.js';
import { KeptPlaces } from './kept-places.js';
import { AwaitedNames, drawsOf, limitsOf, requirement, SLOTS } from './limits.js';
import { LOOKS, NO_ROOM, shardDetails } from './shard-details.js';
import { endOf, ShardEnds } from './shard-ends.js';
import { ShardFreezes } from './shard-freezes.js';
import { looksAhead, ShardGroups } from './shard-groups.js';
import { ShardHistory } from './shard-history.js';
import { type Queued, ShardInFlight } from './shard-in-flight.js';
import { ShardLeases } from './shard-leases.js';
import { ShardQuarantine } from './shard-quarantine.js';
import { ShardRoom } from './shard-room.js';
import { alone, ShardShare } from './shard-share.js';
import { ShardWindows } from './shard-windows.js';

/** Whom to call when something has changed by itself. */
interface News {
  readonly leases: () => void;
  /** `isNews`: people should hear of it at once. */
  readonly freezes: (isNews: boolean) => void;
  readonly windows: () => void;
}

export class ShardState {
  readonly input: ShardInput;
  readonly share: ShardShare;
  /** `null` until its list was read: before that it cannot say what it wants. */
  total: number | null = null;
  queue: Queued[] = [];
  readonly inFlight = new ShardInFlight();
  readonly ends: ShardEnds;
  readonly leases: ShardLeases<Queued>;
  readonly groups: ShardGroups;
  readonly room: ShardRoom;
  readonly history = new ShardHistory();
  readonly windows: ShardWindows;
  readonly freezes: ShardFreezes;
  readonly quarantine: ShardQuarantine;
  private readonly skips = new Map<string, string>();
  /** Names that others wait for. */
  readonly awaited: AwaitedNames;
  stuck: NonNullable<ShardCarried['stuck']> | null;
  stopped = false;
  /** Of those that went well. */
  durations: Durations;

  /** @param news called by those whose answers or clocks change something by themselves */
  constructor(input: ShardInput, news: News) {
    const { carried } = input;
    this.input = input;
    const limits = limitsOf(input);
    this.share = new ShardShare(input.share ?? alone(limits), carried?.talk);
    this.ends = new ShardEnds(input.counts, carried);
    this.stuck = carried?.stuck ?? null;
    this.durations = carried?.durations ?? {};
    this.leases = new ShardLeases(
      input.timing,
      news.leases,
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
      news: news.freezes,
    });
    const windows = {
      rollout: { rollout: input.rollout, rolloutRun: input.rolloutRun },
      waiting: () => [...this.queue, ...this.inFlight.all].map(({ spec }) => spec),
      sharesGate: input.oneGate === true && !this.share.isAlone,
      hasStarted: () => this.hasRolloutStarted,
      isOver: () => this.whyOver() !== null || this.history.isFull,
      beforeOpening: () => this.freezes.ask(),
      news: news.windows,
    };
    this.windows = new ShardWindows(windows, carried?.gates);
    this.awaited = new AwaitedNames(input.missed ?? []);
  }

  /** Its list, once it was read. */
  take(specs: readonly UpgradeSpec[]): void {
    this.total = specs.length;
    this.room.measure(specs);
    this.queue = specs.map((spec) => ({ spec, draws: drawsOf(spec) }));
    for (const spec of specs) this.awaited.expect(spec);
  }

  /** From where the run before has left it. */
  goOn(carried: ShardCarried): void {
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
  }

  /**
   * What a new run begins with.
   *
   * @param told what its words were
   */
  rest(told: ShardTold): ShardInput {
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
        told,
      },
    };
  }

  /** Only what has not started can be left out. */
  leaveOut({ shard: number, workflowId, why }: SkipOrder): void {
    if (number === this.input.shard) this.skips.set(workflowId, why);
  }

  /** Nothing waits, and nothing in flight may find its window closed or a freeze, and then wait again. */
  isIdle(): boolean {
    return this.queue.length + this.inFlight.size === 0;
  }

  /** Why nothing more is started; `null` while things may be. */
  whyOver(): string | null {
    return this.share.stop ?? (this.isSpent ? 'the failure budget was spent first' : null);
  }

  /** Whether its own failures alone are more than the budget. */
  get isSpent(): boolean {
    return this.ends.failures > this.input.failuresLeft;
  }

  /** The upgrades that wave, budget and account have room for now. */
  mayStart(): readonly Queued[] {
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
  inVain(): Queued[] {
    return this.queue.filter(({ spec }) => this.whySkipped(spec) !== null);
  }

  whySkipped(spec: UpgradeSpec): string | null {
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

  /** How what is queued ends, once nothing more is started. */
  unstarted(next: Queued): UpgradeEnd {
    const why = this.stopped ? 'the rollout was stopped first' : (this.whyOver() ?? '');
    const reason = [why, this.leases.whyLocked(next)].filter(Boolean).join('; ');
    return endOf(next.spec, null, this.isRestSkipped ? 'Skipped' : 'NotStarted', reason);
  }

  /** What has not started is left out by a person. */
  private get isRestSkipped(): boolean {
    return this.share.skipped && !this.stopped;
  }

  /** Whether what could start waits for the server to tell who has some leases. */
  get waitsForLook(): boolean {
    return this.leases.isLooking && this.whyOver() === null;
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
  get shut(): Shut | null {
    return this.inFlight.size > 0 ? null : this.windows.shut(this.queue.map(({ spec }) => spec));
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

  progress(): Omit<ShardProgress, 'wave' | 'shard'> {
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

  /** What this shard gives back or lacks, when it is worth a word. */
  word(): Omit<ShardWord, 'shard'> | null {
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

  /** As its page in the UI shows it. */
  details(): string {
    const { wave, concurrency } = this.input;
    const { all, failures, lastFailure } = this.ends;
    return shardDetails({
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
  }
}
