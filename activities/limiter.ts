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

/** Turns come this much more seldom than the rate allows, since calls jitter on their way: the more so where shared. */
const MARGIN = { alone: 1.05, shared: 1.2 };
/**
 * A tick may be used late by a tenth of it, or by what a busy event loop is late if that is more, but not by over half:
 * so no second sees more calls than the rate.
 */
const TICK_GRACE = { share: 0.1, busyLoopMs: 30, mostShare: 0.5 };
/** Shorter ticks could not be kept by a busy event loop: several workers together make at most 25 calls a second. */
const SHORTEST_TICK_MS = 40;

/** Pause of a whole account after a throttled answer: one 429 slows its reads, its submits and their admission alike. */
export class Pause {
  private readonly clock: Clock;
  private readonly firstMs: number;
  private readonly maxMs: number;
  private endsAt = -Infinity;
  private lastMs = 0;

  /** The first pause in milliseconds; it doubles with each throttled answer that follows, up to `maxMs`. */
  constructor({ clock, firstMs, maxMs }: { clock: Clock; firstMs: number; maxMs: number }) {
    this.clock = clock;
    this.firstMs = firstMs;
    this.maxMs = maxMs;
  }

  /** Epoch ms of its end; past or `-Infinity` when there is none. */
  get until(): number {
    return this.endsAt;
  }

  /**
   * The cloud throttled a call: pauses for `askedMs` where it said how long. Answers of calls made before the pause
   * began do not lengthen it; a quiet time as long as the last pause makes the next one short again.
   *
   * @returns the milliseconds until calls go on.
   */
  begin(askedMs: number | null = null): number {
    const now = this.clock.now();
    if (now >= this.endsAt) {
      const recovered = now - this.endsAt >= this.lastMs;
      const doubled = recovered ? this.firstMs : Math.min(this.lastMs * 2, this.maxMs);
      this.lastMs = Math.min(Math.max(askedMs ?? 0, doubled), this.maxMs);
      this.endsAt = now + this.lastMs;
    }
    return this.endsAt - now;
  }
}

export interface PacerOptions {
  readonly clock: Clock;
  /** Calls per second, at most: they are evenly spaced, and by a margin more than it asks for. */
  readonly rate: number;
  /** Asked at each grant; left out: alone. */
  readonly turn?: () => Turn;
  /** No call is granted while it lasts. */
  readonly pause: Pick<Pause, 'until'>;
}

export interface TakeOptions {
  /** Epoch ms: gives up, without waiting, once the turn cannot come in time. */
  readonly by?: number;
  readonly signal?: AbortSignal | undefined;
  /** Goes before the others, who keep a fifth of the rate. */
  readonly urgent?: boolean;
}

/** Whether a call may be made now, or how many milliseconds it would have had to wait. */
export type Grant = { readonly granted: true } | { readonly granted: false; readonly waitMs: number };

interface Waiter {
  readonly by: number;
  readonly answer: (grant: Grant) => void;
}

/** Of so many grants one goes to those who are not urgent, however many are. */
const ORDINARY_EVERY = 5;

/**
 * Spaces one account's calls of one kind: grants in the order asked for, urgent ones first, and none during a pause.
 *
 * Processes that share the rate take turns without a word: time is cut into ticks of one call each, the same ones on
 * every machine, and tick k belongs to the process whose index is k modulo their number.
 */
export class Pacer {
  private readonly clock: Clock;
  private readonly everyMs: number;
  /** A turn's length while several processes share the rate. */
  private readonly tickMs: number;
  private readonly turn: () => Turn;
  private readonly pause: Pick<Pause, 'until'>;
  private readonly urgent: Waiter[] = [];
  private readonly ordinary: Waiter[] = [];
  private nextAt = -Infinity;
  private urgentInARow = 0;
  /** Wakes the loop that serves the waiters; `null` while nobody waits. */
  private serving: AbortController | null = null;

  constructor({ clock, rate, pause, turn = () => ALONE }: PacerOptions) {
    this.turn = turn;
    this.clock = clock;
    this.pause = pause;
    this.everyMs = (1000 / rate) * MARGIN.alone;
    this.tickMs = Math.max((1000 / rate) * MARGIN.shared, SHORTEST_TICK_MS);
  }

  /** Milliseconds until a call asked for now would be granted. */
  waitMs(urgent = false): number {
    const ahead = urgent ? this.urgent.length : this.urgent.length + this.ordinary.length;
    return Math.max(0, this.readyAt() - this.clock.now()) + ahead * this.everyMs * this.turn().count;
  }

  /**
   * Waits for this call's turn.
   *
   * @throws the signal's reason as soon as it aborts; the turn then goes to the next in line.
   */
  async take({ by = Infinity, signal, urgent = false }: TakeOptions = {}): Promise<Grant> {
    signal?.throwIfAborted();
    const waitMs = this.waitMs(urgent);
    if (this.clock.now() + waitMs > by) return { granted: false, waitMs };
    if (this.serving === null && waitMs === 0) {
      this.nextAt = this.nextAfter(this.clock.now());
      return { granted: true };
    }
    const lane = urgent ? this.urgent : this.ordinary;
    let answer: Waiter['answer'] = () => {};
    const granted = new Promise<Grant>((resolve) => (answer = resolve));
    const waiter = { by, answer };
    lane.push(waiter);
    if (this.serving === null) void this.serve();
    try {
      return await abortable(granted, signal);
    } finally {
      // Answered, it is in the line no more; cancelled, it leaves its turn to the next one.
      const place = lane.indexOf(waiter);
      if (place >= 0) lane.splice(place, 1);
      if (this.urgent.length + this.ordinary.length === 0) this.serving?.abort();
    }
  }

  /** Answers the waiters, one at a time, until none is left. */
  private async serve(): Promise<void> {
    while (this.urgent.length + this.ordinary.length > 0) {
      // A pause may begin while one sleeps, so look again each time.
      this.refuseLate();
      const wait = this.readyAt() - this.clock.now();
      if (wait > 0) {
        this.serving = new AbortController();
        await this.clock.sleep(wait, this.serving.signal).catch(() => {});
        continue;
      }
      const next = this.next();
      if (next === undefined) break;
      this.nextAt = this.nextAfter(this.clock.now());
      next.answer({ granted: true });
    }
    this.serving = null;
  }

  private next(): Waiter | undefined {
    const isOrdinaryTurn = this.urgentInARow >= ORDINARY_EVERY - 1 && this.ordinary.length > 0;
    const isUrgent = this.urgent.length > 0 && !isOrdinaryTurn;
    this.urgentInARow = isUrgent ? this.urgentInARow + 1 : 0;
    return isUrgent ? this.urgent.shift() : this.ordinary.shift();
  }

  /** Whose turn cannot come in time any more is told so now. */
  private refuseLate(): void {
    const readyAt = this.readyAt();
    for (const lane of [this.urgent, this.ordinary]) {
      for (const waiter of lane.filter(({ by }) => by < readyAt)) {
        lane.splice(lane.indexOf(waiter), 1);
        waiter.answer({ granted: false, waitMs: readyAt - this.clock.now() });
      }
    }
  }

  /** Epoch ms of the next grant: now, or earlier, when there is nothing to wait for. */
  private readyAt(): number {
    const { index, count, notBefore } = this.turn();
    const ready = Math.max(this.nextAt, this.pause.until, notBefore);
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
