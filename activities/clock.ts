import { setTimeout as delay } from 'node:timers/promises';

/**
 * Time as a port: activities and the simulator take it as an argument, so that tests can give both one virtual clock.
 */
export interface Clock {
  /** Milliseconds since the epoch, UTC. */
  now(): number;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    signal?.throwIfAborted();
    try {
      await delay(ms, undefined, { signal });
    } catch (error) {
      throw signal?.aborted === true ? signal.reason : error;
    }
  },
};

/** An instant as contracts carry it: ISO 8601, UTC. */
export function iso(ms: number): string {
  return new Date(ms).toISOString();
}
