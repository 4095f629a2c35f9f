import type { Clock } from '../../activities/clock.js';

/** Time that moves only when told to, in the order of what sleeps. */
export class SteppedClock implements Clock {
  private time: number;
  private sleepers: { readonly at: number; readonly wake: () => void }[] = [];

  constructor(start = 0) {
    this.time = start;
  }

  now(): number {
    return this.time;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const sleeper = { at: this.time + ms, wake: resolve };
      this.sleepers.push(sleeper);
      signal?.addEventListener('abort', () => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper);
        reject(signal.reason as Error);
      });
    });
  }

  /** Moves on by `ms`, waking one sleeper after the other and letting each do its work. */
  async advance(ms: number): Promise<void> {
    const until = this.time + ms;
    await settled();
    for (;;) {
      const next = this.sleepers.reduce<number>((soonest, { at }) => Math.min(soonest, at), Infinity);
      if (next > until) break;
      this.time = Math.max(this.time, next);
      const due = this.sleepers.find(({ at }) => at === next);
      this.sleepers = this.sleepers.filter((sleeper) => sleeper !== due);
      due?.wake();
      await settled();
    }
    this.time = until;
  }
}

/** Lets every promise that can go on do so. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
