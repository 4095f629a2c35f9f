import type { Clock } from '../../activities/clock.js';

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/** Real milliseconds without any new sleeper before time jumps: calls under way get their answers first. */
const QUIET_MS = 15;

export interface VirtualClockOptions {
  /** Epoch ms; the real time by default. */
  readonly startsAt?: number;
  /** Nothing leaves the process, so time may jump as soon as nobody has anything left to do: the same way each time. */
  readonly inProcess?: boolean;
}

/**
 * A clock whose sleeps take no time: as soon as everybody sleeps, it jumps to the first who wakes. Activities and the
 * simulator share one, so that an operation of hours takes a second.
 */
export class VirtualClock implements Clock {
  private time: number;
  private readonly sleepers = new Set<Sleeper>();
  private cancelJump = (): void => {};
  private readonly inProcess: boolean;

  constructor({ startsAt = Date.now(), inProcess = false }: VirtualClockOptions = {}) {
    this.time = startsAt;
    this.inProcess = inProcess;
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
      const abort = () => {
        this.sleepers.delete(sleeper);
        reject(signal?.reason as Error);
      };
      const sleeper: Sleeper = {
        at: this.time + Math.max(ms, 0),
        wake: () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        },
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.sleepers.add(sleeper);
      this.jumpSoon();
    });
  }

  private jumpSoon(): void {
    this.cancelJump();
    if (this.inProcess) {
      const soon = setImmediate(() => this.jump());
      this.cancelJump = () => clearImmediate(soon);
    } else {
      const soon = setTimeout(() => this.jump(), QUIET_MS);
      this.cancelJump = () => clearTimeout(soon);
    }
  }

  private jump(): void {
    const [first] = [...this.sleepers].sort((a, b) => a.at - b.at);
    if (first === undefined) return;
    this.sleepers.delete(first);
    this.time = Math.max(this.time, first.at);
    first.wake();
    if (this.sleepers.size > 0) this.jumpSoon();
  }
}
