/** What a shard tells its wave and its rollout. */
import {
  CancellationScope,
  getExternalWorkflowHandle,
  isCancellation,
  patched,
  sleep,
  workflowInfo,
  type ExternalWorkflowHandle,
} from '@temporalio/workflow';
import { rolloutWorkflowId, runKey, waveWorkflowId } from './contracts/ids.js';
import { OVERRUN_RISK_MS } from './contracts/notices.js';
import type { ShardInput, ShardProgress, ShardTold, ShardWord } from './contracts/rollout.js';
import { shardProgressSignal, shardWentOnSignal, shardWordSignal } from './messages.js';
import { growing, pauseAt, type Growing } from './pauses.js';

/** Words to the rollout per shard: enough for a bar to move, few enough to keep both histories bounded. */
const PROGRESS_STEPS = 10;

/** Between two words about what people shall hear of. Milliseconds at scale 1. */
const GATHERED_MS: Growing = { first: 60_000, longest: 6 * 3_600_000 };

/** From an opening's start until its first upgrades are under way. Milliseconds at scale 1. */
const UNDER_WAY_MS = 15_000;

/** News of the windows that are told at once, some four a day of daily ones; of what comes later, the latest once a day. */
const MOST_EDITIONS = 60;
const SELDOM_MS = 24 * 3_600_000;
/** Words at the edges for people: of more openings than its rollout tells them of. */
const MOST_EDGES = 80;

/** What the shard has to tell at the moment of its word. */
interface Tells {
  /** The word to its wave that is due, if one is; it counts as sent. */
  word(): Omit<ShardWord, 'shard'> | null;
  progress(): Omit<ShardProgress, 'wave' | 'shard' | 'number'>;
}

export class ShardWords {
  private readonly input: Pick<ShardInput, 'rollout' | 'rolloutRun' | 'key' | 'index' | 'shard' | 'tells' | 'timing'>;
  private readonly shard: Tells;
  private speaking = false;
  /** Words to the wave and the rollout that are under way. */
  private underWay = 0;
  /** Words to the rollout so far, in all runs. */
  private words: number;
  private isGathering = false;
  private hasMore: boolean;
  /** Instants at which a word goes out. */
  private readonly edges = new Set<number>();
  /** How many there were in earlier runs. */
  private readonly edgesBefore: number;
  private toldWindows: string;
  private editions: number;
  private latestEditionAt: number;

  constructor(input: ShardInput, shard: Tells) {
    this.input = input;
    this.shard = shard;
    const { told } = input.carried ?? {};
    this.words = told?.words ?? 0;
    this.edgesBefore = told?.edges ?? 0;
    this.toldWindows = told?.windows ?? '';
    this.editions = told?.editions ?? 0;
    this.latestEditionAt = told?.latestEditionAt ?? 0;
    this.hasMore = told?.hasMore ?? false;
  }

  /** Whether all that was said has arrived: what is under way ends with its run. */
  get areHeard(): boolean {
    return this.underWay === 0;
  }

  /** For the next run, which tells of the edges that are still to come. */
  get carried(): ShardTold {
    const { words, editions, latestEditionAt, hasMore } = this;
    const past = [...this.edges].filter((at) => at <= Date.now()).length;
    return { words, edges: this.edgesBefore + past, windows: this.toldWindows, editions, latestEditionAt, hasMore };
  }

  /** Tells soon what an earlier run was yet to tell, and the wave, once, that this is not the first run any more. */
  goOn(): void {
    if (this.hasMore) this.tellSoon();
    const { continuedFromExecutionRunId, firstExecutionRunId } = workflowInfo();
    if (continuedFromExecutionRunId !== firstExecutionRunId) return;
    this.underWay += 1;
    void CancellationScope.nonCancellable(() => this.wave.signal(shardWentOnSignal, this.input.shard))
      .catch(() => undefined)
      .finally(() => {
        this.underWay -= 1;
      });
  }

  private get wave(): ExternalWorkflowHandle {
    const { rollout, index } = this.input;
    return getExternalWorkflowHandle(waveWorkflowId(rollout, runKey(this.input), index));
  }

  /** Tells the wave what is due: one word at a time, so that they add up while one is under way. */
  tellWave(): void {
    if (this.speaking) return;
    const word = this.shard.word();
    if (word === null) return;
    this.speaking = true;
    this.underWay += 1;
    const { shard } = this.input;
    // Sent also while the shard is being stopped; a wave that is gone needs no word.
    void CancellationScope.nonCancellable(() => this.wave.signal(shardWordSignal, { shard, ...word }))
      .catch(() => undefined)
      .finally(() => {
        this.speaking = false;
        this.underWay -= 1;
        this.tellWave();
      });
  }

  /** Tells the rollout how far the shard is, about ten times in all. */
  tellProgress(ended: number, total: number): Promise<void> {
    const isDue = ended % Math.ceil(total / PROGRESS_STEPS) === 0 || ended === total;
    return isDue ? this.tellRollout() : Promise.resolve();
  }

  /** Where people are told what happens: the rollout hears of it at once, and of what comes next less and less often. */
  tellSoon(): void {
    if (this.input.tells !== true) return;
    this.hasMore = true;
    if (this.isGathering) return;
    this.isGathering = true;
    const gather = async (): Promise<void> => {
      for (let look = 0; this.hasMore; look += 1) {
        this.hasMore = false;
        await this.tellRollout();
        await sleep(pauseAt(this.input.timing.scale, growing(GATHERED_MS, look)));
      }
      this.isGathering = false;
    };
    // It ends with the shard, whose result has all of it.
    void gather().catch(() => undefined);
  }

  /** The same now, at an edge of the windows, and when those that are open are about to close, and close. */
  tellEdges(closes: readonly { readonly end: number; readonly risk: number | null }[]): void {
    const { tells, timing } = this.input;
    if (tells !== true || (this.edgesBefore + this.edges.size >= MOST_EDGES && patched('fewer-words'))) return;
    const tell = async (at: number): Promise<void> => {
      if (at > Date.now()) await sleep(at - Date.now());
      await this.tellRollout();
    };
    // A worker of an older release may have answered a task that read what a newer one has learned.
    const isEarly = closes.some(({ risk }) => risk !== null) && patched('learned-risk');
    // Where an upgrade takes as long as its window, from when the first ones are under way.
    const soonest = Date.now() + pauseAt(timing.scale, UNDER_WAY_MS);
    const early = isEarly ? closes.flatMap(({ risk }) => (risk === null ? [] : [Math.max(risk, soonest)])) : [];
    const coming = closes.flatMap(({ end }) => [end - OVERRUN_RISK_MS * timing.scale, end]);
    const more = early.filter((one, place) => !coming.includes(one) && early.indexOf(one) === place);
    for (const at of [0, ...[...coming, ...more].filter((one) => one > Date.now() && !this.edges.has(one))]) {
      this.edges.add(at);
      // It ends with the shard, whose result has all of it.
      void tell(at).catch(() => undefined);
    }
  }

  /** Tells the rollout of its windows when there is something new to tell; after many openings, less often. */
  tellWindows(edition: string): void {
    if (edition === this.toldWindows) return;
    const mayWait = this.editions >= MOST_EDITIONS && Date.now() - this.latestEditionAt < SELDOM_MS;
    if (mayWait && patched('fewer-words')) return;
    this.toldWindows = edition;
    this.editions += 1;
    this.latestEditionAt = Date.now();
    this.tellRolloutNow();
  }

  /** Tells the rollout what people wait to see, and what comes seldom. */
  tellRolloutNow(): void {
    // A shard that is being stopped need not say it.
    void this.tellRollout().catch(() => undefined);
  }

  private async tellRollout(): Promise<void> {
    const { rollout, rolloutRun, index: wave, shard } = this.input;
    this.underWay += 1;
    this.words += 1;
    const number = this.words;
    try {
      const handle = getExternalWorkflowHandle(rolloutWorkflowId(rollout), rolloutRun);
      await handle.signal(shardProgressSignal, { wave, shard, number, ...this.shard.progress() });
    } catch (error) {
      // A rollout that is gone needs no progress; the upgrades go on.
      if (isCancellation(error)) throw error;
    } finally {
      this.underWay -= 1;
    }
  }
}
