/** How an upgrade that found its rollout on hold waits for the end of it. */
import { condition, isCancellation, patched, sleep } from '@temporalio/workflow';
import { growing, pauseAt, summaryOf, type Growing } from './pauses.js';

/** On hold right before its send: its shard tells the end of it, so looks are only for when that one is gone. */
const LOOK_MS: Growing = { first: 2 * 3_600_000, longest: 24 * 3_600_000 };
/** Between looks while the shard has not heard of the hold and answers at once. Milliseconds at scale 1. */
const UNHEARD_MS: Growing = { first: 1_000, longest: 15 * 60_000 };
/** What a shard says within this time of being told may be of before the hold, in milliseconds. */
const AT_ONCE_MS = 60_000;

export class UpgradeHold {
  private readonly scale: number;
  private readonly tellShard: () => Promise<void>;
  private mayGo = true;
  /** In a row that found the hold still on. */
  private looks = 0;
  /** Times in a row that the shard said at once that there is no hold, and the next look found it still on. */
  private toldTooSoon = 0;

  /** @param tellShard that it is held back: the shard says when the hold is over */
  constructor(scale: number, tellShard: () => Promise<void>) {
    this.scale = scale;
    this.tellShard = tellShard;
  }

  /** The shard says that it is over. */
  goOn(): void {
    this.mayGo = true;
    this.looks = 0;
  }

  /** The latest look found none. */
  forget(): void {
    this.toldTooSoon = 0;
  }

  /** Resolves when it is time to look again; with `false` when the upgrade is cancelled meanwhile. */
  async end(reason: string): Promise<boolean> {
    this.mayGo = false;
    const summary = summaryOf(reason);
    try {
      if (this.toldTooSoon > 0 && patched('spaced-looks')) {
        await sleep(pauseAt(this.scale, growing(UNHEARD_MS, this.toldTooSoon - 1)), { summary });
      }
      // Counted before the word: what the shard answers may be heard while that is under way.
      const look = this.looks;
      this.looks += 1;
      // It knows already, while looks alone go on.
      if (look === 0 || !patched('told-once')) await this.tellShard();
      const toldAt = Date.now();
      const mayGo = await condition(() => this.mayGo, pauseAt(this.scale, growing(LOOK_MS, look)), { summary });
      this.toldTooSoon = mayGo && Date.now() - toldAt < AT_ONCE_MS ? this.toldTooSoon + 1 : 0;
      return true;
    } catch (error) {
      if (isCancellation(error)) return false;
      throw error;
    }
  }
}
