import type { Clock } from './clock.js';

export interface PacerOptions {
  readonly clock: Clock;
  /** Calls per second, evenly spaced. */
  readonly rate: number;
  /** The first pause after a throttled answer, in milliseconds; it doubles with each one that follows. */
  readonly firstPauseMs: number;
  readonly maxPauseMs: number;
}

/** Whether a call may be made now, or how many milliseconds it would have had to wait. */
export type Grant = { readonly granted: true } | { readonly granted: false; readonly waitMs: number };

/**
 * Spaces one account's calls of one kind: grants in the order asked for, and none during a pause that the cloud has
 * asked for. Counts within this process only.
 */
export class Pacer {
  private readonly clock: Clock;
  private readonly everyMs: number;
  private readonly firstPauseMs: number;
  private readonly maxPauseMs: number;
  private nextAt = -Infinity;
  private pausedUntil = -Infinity;
  private lastPauseMs = 0;
  private waiting = 0;
  private tail: Promise<void> = Promise.resolve();

  constructor({ clock, rate, firstPauseMs, maxPauseMs }: PacerOptions) {
    this.clock = clock;
    this.everyMs = 1000 / rate;
    this.firstPauseMs = firstPauseMs;
    this.maxPauseMs = maxPauseMs;
  }

  /** Milliseconds until a call asked for now would be granted. */
  waitMs(): number {
    return Math.max(0, this.readyAt() - this.clock.now()) + this.waiting * this.everyMs;
  }

  /**
   * Waits for this call's turn. With `by` (epoch ms) it gives up, without waiting, once the turn cannot come in time.
   *
   * @throws the signal's reason as soon as it aborts; the turn then goes to the next in line.
   */
  async take({ by = Infinity, signal }: { by?: number; signal?: AbortSignal } = {}): Promise<Grant> {
    signal?.throwIfAborted();
    const waitMs = this.waitMs();
    if (this.clock.now() + waitMs > by) return { granted: false, waitMs };

    const before = this.tail;
    let leave = (): void => {};
    const left = new Promise<void>((resolve) => {
      leave = resolve;
    });
    this.tail = before.then(() => left);
    this.waiting++;
    try {
      await abortable(before, signal);
      // A pause may begin while one sleeps, so look again each time.
      for (let wait = this.readyAt() - this.clock.now(); wait > 0; wait = this.readyAt() - this.clock.now()) {
        if (this.readyAt() > by) return { granted: false, waitMs: wait };
        await this.clock.sleep(wait, signal);
      }
      this.nextAt = this.clock.now() + this.everyMs;
      return { granted: true };
    } finally {
      this.waiting--;
      leave();
    }
  }

  /**
   * The cloud throttled a call: pauses all of this kind, for `askedMs` where it said how long. Answers of calls made
   * before the pause began do not lengthen it; a quiet time as long as the last pause makes the next one short again.
   *
   * @returns the milliseconds until calls go on.
   */
  slow(askedMs: number | null = null): number {
    const now = this.clock.now();
    if (now >= this.pausedUntil) {
      const recovered = now - this.pausedUntil >= this.lastPauseMs;
      const doubled = recovered ? this.firstPauseMs : Math.min(this.lastPauseMs * 2, this.maxPauseMs);
      this.lastPauseMs = Math.min(Math.max(askedMs ?? 0, doubled), this.maxPauseMs);
      this.pausedUntil = now + this.lastPauseMs;
    }
    return this.pausedUntil - now;
  }

  private readyAt(): number {
    return Math.max(this.nextAt, this.pausedUntil);
  }
}

async function abortable(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return promise;
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => {
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
