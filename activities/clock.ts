import { setTimeout as delay } from 'node:timers/promises';

/**
 * Time as a port: activities and the simulator take it as an argument, so that tests can give both one virtual clock.
 */
export interface Clock {
  /** Milliseconds since the epoch, UTC. */
  now(): number;
  /** Milliseconds on a clock that nobody sets; it may stand still while the machine sleeps. Left out: `now`. */
  monotonic?(): number;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => {
    signal?.throwIfAborted();
    try {
      await delay(ms, undefined, { signal });
    } catch (error) {
      throw signal?.aborted === true ? signal.reason : error;
    }
  },
};

/** Time since it was made, whatever is done to the machine's clock meanwhile. */
export class Stopwatch {
  private readonly clock: Clock;
  private readonly wall: number;
  private readonly ticks: number;

  constructor(clock: Clock) {
    this.clock = clock;
    this.wall = clock.now();
    this.ticks = this.monotonic();
  }

  /** Milliseconds that have certainly passed. */
  atLeast(): number {
    return this.monotonic() - this.ticks;
  }

  /** Milliseconds that may have passed: those of a sleeping machine are on the wall's clock only. */
  atMost(): number {
    return Math.max(this.atLeast(), this.clock.now() - this.wall);
  }

  private monotonic(): number {
    return this.clock.monotonic?.() ?? this.clock.now();
  }
}

/** An instant as contracts carry it: ISO 8601, UTC. */
export function iso(ms: number): string {
  return new Date(ms).toISOString();
}
