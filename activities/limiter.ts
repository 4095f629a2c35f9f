import type { Clock } from './clock.js';

/** Which of the turns are this process's own, while several share an account's rate. */
export interface Turn {
  /** 0-based place of this process among them. */
  readonly index: number;
  readonly count: number;
  /** Epoch ms before which nothing is granted: the others have to learn of this process first. */
  readonly notBefore: number;
}

export const ALONE: Turn = { index: 0, count: 1, notBefore: -Infinity };

/** Shared turns come this much more seldom than the rate allows, since calls jitter on their way. */
const SHARED_MARGIN = 1.2;
/**
 * A tick may be used late by a tenth of it, or by what a busy event loop is late if that is more, but not by over half:
 * so no second sees more calls than the rate.
 */
const TICK_GRACE = { share: 0.1, busyLoopMs: 30, mostShare: 0.5 };
/** Shorter ticks could not be kept by a busy event loop: several workers together make at most 25 calls a second. */
const SHORTEST_TICK_MS = 40;

export interface PacerOptions {
  readonly clock: Clock;
  /** Calls per second, evenly spaced. */
  readonly rate: number;
  /** Asked at each grant; left out: alone. */
  readonly turn?: () => Turn;
  /** The first pause after a throttled answer, in milliseconds; it doubles with each one that follows. */
  readonly firstPauseMs: number;
  readonly maxPauseMs: number;
}

/** Whether a call may be made now, or how many milliseconds it would have had to wait. */
export type Grant = { readonly granted: true } | { readonly granted: false; readonly waitMs: number };

/**
 * Spaces one account's calls of one kind: grants in the order asked for, and none during a pause that the cloud has
 * asked for.
 *
 * Processes that share the rate take turns without a word: time is cut into ticks of one call each, the same ones on
 * every machine, and tick k belongs to the process whose index is k modulo their number.
 */
export class Pacer {
  private readonly clock: Clock;
  private readonly everyMs: number;
  private readonly firstPauseMs: number;
  private readonly maxPauseMs: number;
  private readonly turn: () => Turn;
  private nextAt = -Infinity;
  private pausedUntil = -Infinity;
  private lastPauseMs = 0;
  private waiting = 0;
  private tail: Promise<void> = Promise.resolve();

  constructor({ clock, rate, firstPauseMs, maxPauseMs, turn = () => ALONE }: PacerOptions) {
    this.turn = turn;
    this.clock = clock;
    this.everyMs = 1000 / rate;
    this.firstPauseMs = firstPauseMs;
    this.maxPauseMs = maxPauseMs;
  }

  /** Milliseconds until a call asked for now would be granted. */
  waitMs(): number {
    return Math.max(0, this.readyAt() - this.clock.now()) + this.waiting * this.everyMs * this.turn().count;
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
      this.nextAt = this.nextAfter(this.clock.now());
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

  /** Epoch ms of the next grant: now, or earlier, when there is nothing to wait for. */
  private readyAt(): number {
    const { index, count, notBefore } = this.turn();
    const ready = Math.max(this.nextAt, this.pausedUntil, notBefore);
    if (count === 1) return ready;
    const from = Math.max(ready, this.clock.now());
    const tick = Math.floor(from / this.tickMs);
    const isOurs = (at: number) => at % count === index;
    const busyLoopMs = Math.min(TICK_GRACE.busyLoopMs, this.tickMs * TICK_GRACE.mostShare);
    const graceMs = Math.max(this.tickMs * TICK_GRACE.share, busyLoopMs);
    if (isOurs(tick) && from - tick * this.tickMs <= graceMs) return from;
    let next = tick + 1;
    while (!isOurs(next)) next += 1;
    return next * this.tickMs;
  }

  /** No second call in the same tick, nor sooner than the rate allows. */
  private nextAfter(now: number): number {
    if (this.turn().count === 1) return now + this.everyMs;
    return (Math.floor(now / this.tickMs) + 1) * this.tickMs;
  }

  private get tickMs(): number {
    return Math.max(this.everyMs * SHARED_MARGIN, SHORTEST_TICK_MS);
  }
}

/** What `promise` comes to, or the signal's reason as soon as it aborts; what the promise does goes on. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => {
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
