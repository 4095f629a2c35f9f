/** A wave: its upgrades in shards of at most 400 that overlap, under one concurrency and what is left of the budget. */
import {
  CancellationScope,
  ChildWorkflowCancellationType,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  patched,
  setCurrentDetails,
  setHandler,
  startChild,
  type ExternalWorkflowHandle,
  type SignalDefinition,
} from '@temporalio/workflow';
import type { SkipOrder, WaveOrder } from './contracts/control.js';
import { FAILURES } from './contracts/errors.js';
import { shardWorkflowId } from './contracts/ids.js';
import { addCounts, addFailures, countOf, hasBegun, tally } from './contracts/outcome.js';
import {
  SHARD_SIZE,
  sizeOf,
  type Counts,
  type FailureCounts,
  type Limits,
  type Share,
  type ShardInput,
  type ShardResult,
  type WaveInput,
  type WavePart,
  type WavePlan,
  type WaveResult,
} from './contracts/rollout.js';
import { ATTRIBUTES } from './contracts/search-attributes.js';
import { FAILED_OUTCOMES } from './contracts/upgrade.js';
import { markdown } from './details.js';
import { failureType, rootReason } from './failures.js';
import { drawn, drawsOf, holdsOf, limitsOf, SLOTS } from './limits.js';
import { lostIn, providesOf } from './lost-places.js';
import { grantSignal, shardWentOnSignal, shardWordSignal, skipOrderSignal, waveOrderSignal } from './messages.js';
import { heededRunKey } from './run-key.js';
import type { shard } from './shard.js';
import { WaveShares } from './wave-shares.js';

export async function wave(input: WaveInput): Promise<WaveResult> {
  const run = new WaveRun(input);
  setHandler(shardWordSignal, (word) => {
    run.shares.hear(word);
  });
  setHandler(shardWentOnSignal, (number) => {
    run.hasGoneOn(number);
  });
  setHandler(waveOrderSignal, (order) => {
    run.obey(order);
  });

  await run.openShards();
  await run.waitForAll();
  return run.end();
}

/** What one shard is made of. */
type Part = Pick<ShardInput, 'upgrades' | 'inventory'> &
  Pick<Required<WavePart>, 'total' | 'draws' | 'provides'> &
  Pick<WavePart, 'holds'>;

class WaveRun {
  readonly shares: WaveShares;
  private readonly input: WaveInput;
  private readonly parts: readonly Part[];
  private readonly running: Promise<void>[] = [];
  private readonly endOfShard = new Map<number, Pick<WaveResult, 'counts' | 'failures' | 'byClass' | 'missed'>>();
  private readonly skips: SkipOrder[];
  /** Of these, those that their shards have not been told. */
  private untold: SkipOrder[] = [];
  private concurrency: number;
  private stopped = false;
  private isCancelled = false;
  /** Shards whose first runs have ended. */
  private readonly wentOn = new Set<number>();
  private trouble: string | null = null;
  /** In its shards' ids. */
  private readonly key: string;

  constructor(input: WaveInput) {
    this.input = input;
    this.key = heededRunKey(input);
    this.concurrency = input.wave.concurrency;
    this.skips = [...(input.skips ?? [])];
    const limits = limitsOf({ ...input, ...input.wave });
    this.parts = partsOf(input.wave, Object.keys(limits));
    this.shares = new WaveShares(
      withoutLost(sharedAmong(limits, this.parts), input.missed ?? []),
      input.failuresLeft,
      this.parts.map(({ draws }) => draws),
      input.hasStarted,
      { everyWordCounts: () => patched('every-word'), hearsAfterSkip: () => patched('hears-after-skip') },
      this.parts.map(({ holds }) => holds ?? {}),
    );
    this.shares.setHold(input.hold ?? null);
    this.show();
  }

  /** Opens a shard whenever those before it leave room, and passes on what they give back, until all have ended. */
  async openShards(): Promise<void> {
    try {
      for (;;) {
        for (let next = this.shares.nextToOpen(); next !== null; next = this.shares.nextToOpen()) {
          await this.open(next.shard, next.share);
        }
        if (this.shares.isRestSkipped && this.shares.isOverBudget && patched('spent-after-skip')) {
          this.shares.forbidSending();
        }
        const skips = this.untold.filter(({ shard: number }) => this.shares.isOpen(number));
        this.untold = this.untold.filter((order) => !skips.includes(order));
        await Promise.all([
          ...this.shares.grants().map(({ shard: number, grant }) => this.send(number, grantSignal, grant)),
          ...skips.map((order) => this.send(order.shard, skipOrderSignal, order)),
        ]);
        this.show();
        if (this.shares.open === 0 && !this.shares.isWaiting) return;
        await condition(
          () => this.shares.hasNews || this.untold.some(({ shard: number }) => this.shares.isOpen(number)),
        );
      }
    } catch (error) {
      if (!isCancellation(error)) throw error;
      this.stopped = true;
      this.isCancelled = true;
      for (const number of this.wentOn) this.cancelLatest(number);
    }
  }

  /** A child is cancelled by its first run: one that has gone on in a new run is asked by its id as well. */
  hasGoneOn(number: number): void {
    this.wentOn.add(number);
    if (this.isCancelled) this.cancelLatest(number);
  }

  /** A person's hand, as the rollout passes it on. */
  obey({ hold, concurrency, skipRest, skip }: WaveOrder): void {
    if (hold !== undefined) this.shares.setHold(hold);
    if (concurrency !== undefined) {
      this.concurrency = concurrency;
      this.shares.setLimit(SLOTS, concurrency);
    }
    if (skipRest !== undefined) {
      // What had stopped before was not left out.
      if (!this.stopped) this.shares.skipRest(skipRest);
    }
    if (skip !== undefined) {
      this.skips.push(skip);
      this.untold.push(skip);
    }
    this.show();
  }

  /** Each shard follows what it submitted, also when the wave was cancelled. */
  async waitForAll(): Promise<void> {
    await CancellationScope.nonCancellable(() => Promise.all(this.running));
  }

  end(): WaveResult {
    this.stopped ||= CancellationScope.current().consideredCancelled;
    const shards = this.parts.map((part, at) => this.endOfShard.get(at + 1) ?? this.notOpened(part));
    this.show();
    return {
      counts: shards.reduce<Counts>((sum, { counts }) => addCounts(sum, counts), {}),
      failures: shards.reduce((sum, { failures }) => sum + failures, 0),
      byClass: shards.reduce<FailureCounts>((sum, { byClass }) => addFailures(sum, byClass ?? {}), {}),
      missed: [...new Set(shards.flatMap(({ missed }) => missed ?? []))],
      stopped: this.stopped,
    };
  }

  /** What became of a shard that was never opened. */
  private notOpened({ total, provides }: Part): Pick<WaveResult, 'counts' | 'failures' | 'byClass' | 'missed'> {
    const outcome = this.shares.isRestSkipped ? 'Skipped' : 'NotStarted';
    return { counts: { [outcome]: total }, failures: 0, missed: provides };
  }

  private async open(number: number, share: Share): Promise<void> {
    const { wave: plan, ...input } = this.input;
    const part = this.parts[number - 1];
    if (part === undefined) return;
    const { total, upgrades, inventory } = part;
    const child = await startChild<typeof shard>('shard', {
      workflowId: shardWorkflowId(input.rollout, this.key, input.index, number),
      args: [
        {
          ...input,
          wave: plan.name,
          shard: number,
          concurrency: this.concurrency,
          hold: null,
          skips: this.skips.filter((order) => order.shard === number),
          limits: plan.limits,
          oneGate: plan.oneGate,
          upgrades,
          inventory,
          share,
        },
      ],
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
      staticSummary: `${plan.name}, shard ${number}: ${total} upgrades`,
      typedSearchAttributes: [{ key: ATTRIBUTES.rollout, value: input.rollout }],
    });
    this.running.push(this.follow(number, total, () => child.result()));
  }

  private async follow(number: number, total: number, result: () => Promise<ShardResult>): Promise<void> {
    let counts: Counts;
    let told: Partial<ShardResult> = {};
    try {
      const { ends, stopped, ...rest } = await result();
      counts = tally(ends.map(({ outcome }) => outcome));
      told = rest;
      if (stopped) this.stop('the rollout was stopped first');
    } catch (error) {
      // Cancelled before its first task, or without its list, nothing of it was started in its first run. Else what it did is
      // not known here; its upgrades were asked to stop, and those that had sent go on.
      const hasNoList = isCancellation(error) || failureType(error) === FAILURES.inventory;
      const hasDoneNothing = hasNoList && !this.wentOn.has(number);
      counts = { [hasDoneNothing ? 'NotStarted' : 'Held']: total };
      this.trouble = `shard ${number}: ${rootReason(error)}`;
      this.stop(`shard ${number} ended without a result`);
    }
    const failures = told.failures ?? countOf(counts, FAILED_OUTCOMES);
    this.endOfShard.set(number, { counts, failures, byClass: told.byClass ?? {}, missed: told.missed ?? [] });
    this.shares.end(number, failures, hasBegun(counts));
  }

  private stop(why: string): void {
    this.stopped = true;
    this.shares.stopAll(why);
  }

  private cancelLatest(number: number): void {
    // One that has ended needs none.
    void CancellationScope.nonCancellable(() => this.handleOf(number).cancel()).catch(() => undefined);
  }

  private handleOf(number: number): ExternalWorkflowHandle {
    const { rollout, index } = this.input;
    return getExternalWorkflowHandle(shardWorkflowId(rollout, this.key, index, number));
  }

  private async send<T>(number: number, signal: SignalDefinition<[T]>, word: T): Promise<void> {
    try {
      await this.handleOf(number).signal(signal, word);
    } catch (error) {
      // A shard that has ended needs no grant.
      if (isCancellation(error)) throw error;
    }
  }

  private show(): void {
    const { name } = this.input.wave;
    const ended = this.endOfShard.size;
    let counts: Counts = {};
    for (const of of this.endOfShard.values()) counts = addCounts(counts, of.counts);
    const shards = this.parts.length;
    setCurrentDetails(
      markdown({
        state: `**Wave ${name}**: ${ended} of ${shards} shards ended, ${this.shares.open} open, ${sizeOf(this.input.wave)} upgrades, up to ${this.concurrency} at a time`,
        next: ended === shards ? 'nothing: this is the end' : 'the end of the shards that are open',
        why: `${this.shares.failures} failed, ${this.input.failuresLeft} tolerated`,
        more: this.trouble === null ? [] : [['Trouble:', this.trouble]],
        tables: [{ head: ['outcome', 'upgrades of ended shards'], rows: Object.entries(counts) }],
      }),
    );
  }
}

/** The shards of a wave: as its inventory is kept, or from the list that came with it. */
function partsOf({ parts, upgrades = [], provides = [] }: WavePlan, names: readonly string[]): Part[] {
  // Parts that an older release has kept do not say what is whose.
  if (parts !== undefined) return parts.map((part) => ({ ...part, provides: part.provides ?? provides }));
  const cut: Part[] = [];
  for (let start = 0; start < upgrades.length; start += SHARD_SIZE) {
    const some = upgrades.slice(start, start + SHARD_SIZE);
    const drawing = some.map((spec) => ({ draws: drawsOf(spec) }));
    const holds = drawn(names, holdsOf(some));
    cut.push({ upgrades: some, total: some.length, draws: drawn(names, drawing), holds, provides: providesOf(some) });
  }
  return cut;
}

/** The limits that more than one shard draws on; the others are the one shard's own. */
function sharedAmong(limits: Limits, parts: readonly Part[]): Limits {
  const isShared = (name: string) => parts.filter(({ draws }) => (draws[name] ?? 0) > 0).length > 1;
  return Object.fromEntries(Object.entries(limits).filter(([name]) => !name.includes(':') || isShared(name)));
}

/** The limits without the places in groups that earlier waves have lost for good. */
function withoutLost(limits: Limits, missed: readonly string[]): Limits {
  const lost = drawn(Object.keys(limits), lostIn(missed));
  const isNone = Object.values(lost).every((count) => count === 0);
  // Waves of older releases granted them all the same.
  if (isNone || !patched('lost-before')) return limits;
  return Object.fromEntries(
    Object.entries(limits).map(([name, limit]) => [name, Math.max(limit - (lost[name] ?? 0), 0)]),
  );
}
