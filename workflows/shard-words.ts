/** What a shard tells its wave and its rollout. */
import { CancellationScope, getExternalWorkflowHandle, isCancellation } from '@temporalio/workflow';
import { rolloutWorkflowId, waveWorkflowId } from './contracts/ids.js';
import type { ShardInput, ShardProgress, ShardWord } from './contracts/rollout.js';
import { shardProgressSignal, shardWordSignal } from './messages.js';

/** Words to the rollout per shard: enough for a bar to move, few enough to keep both histories bounded. */
const PROGRESS_STEPS = 10;

export class ShardWords {
  private readonly input: Pick<ShardInput, 'rollout' | 'rolloutRun' | 'index' | 'shard'>;
  private readonly next: () => Omit<ShardWord, 'shard'> | null;
  private speaking = false;

  /** @param next the word that is due, if one is; it counts as sent */
  constructor(input: ShardInput, next: () => Omit<ShardWord, 'shard'> | null) {
    this.input = input;
    this.next = next;
  }

  /** Tells the wave what is due: one word at a time, so that they add up while one is under way. */
  tellWave(): void {
    if (this.speaking) return;
    const word = this.next();
    if (word === null) return;
    this.speaking = true;
    const { rollout, rolloutRun, index, shard } = this.input;
    const wave = getExternalWorkflowHandle(waveWorkflowId(rollout, rolloutRun, index));
    // Sent also while the shard is being stopped; a wave that is gone needs no word.
    void CancellationScope.nonCancellable(() => wave.signal(shardWordSignal, { shard, ...word }))
      .catch(() => undefined)
      .finally(() => {
        this.speaking = false;
        this.tellWave();
      });
  }

  /** Tells the rollout how far the shard is, about ten times in all. */
  async tellProgress(ended: number, total: number, progress: () => Omit<ShardProgress, 'wave' | 'shard'>) {
    if (ended % Math.ceil(total / PROGRESS_STEPS) === 0 || ended === total) await this.tellRollout(progress);
  }

  /** Tells the rollout at once: what people wait to see, and what comes seldom. */
  async tellRollout(progress: () => Omit<ShardProgress, 'wave' | 'shard'>) {
    const { rollout, rolloutRun, index: wave, shard } = this.input;
    try {
      const handle = getExternalWorkflowHandle(rolloutWorkflowId(rollout), rolloutRun);
      await handle.signal(shardProgressSignal, { wave, shard, ...progress() });
    } catch (error) {
      // A rollout that is gone needs no progress; the upgrades go on.
      if (isCancellation(error)) throw error;
    }
  }
}
