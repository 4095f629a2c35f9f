/** One virtual time for workflows, activities and simulator: that of the time-skipping test server. */
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { ActivityInboundCallsInterceptor } from '@temporalio/worker';
import { type Clock, systemClock } from '../../activities/clock.js';

/** The server's time stands still for nobody who works: shorter sleeps cost less than asking it to skip them. */
const SLEPT_MS = 100;

/**
 * The server skips time as soon as everybody sleeps: workflows in timers, activities in this clock. While anybody works,
 * its time goes on as ours does.
 */
export class ServerClock implements Clock {
  private readonly env: TestWorkflowEnvironment;
  private ahead: number;

  private constructor(env: TestWorkflowEnvironment, ahead: number) {
    this.env = env;
    this.ahead = ahead;
  }

  static async of(env: TestWorkflowEnvironment): Promise<ServerClock> {
    const clock = new ServerClock(env, 0);
    await clock.read();
    return clock;
  }

  now(): number {
    return Date.now() + this.ahead;
  }

  /** Hears what time it is: whoever has just begun to work, since time may have been skipped before. */
  async read(): Promise<void> {
    const asked = Date.now();
    this.ahead = (await this.env.currentTimeMs()) - asked;
  }

  /** The signal is heard when the sleep is over, which takes nobody any time. */
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (ms <= SLEPT_MS) {
      await systemClock.sleep(ms, signal);
      return;
    }
    await this.env.sleep(Math.ceil(ms));
    await this.read();
    signal?.throwIfAborted();
  }

  /** @param instant epoch milliseconds */
  async sleepUntil(instant: number): Promise<void> {
    await this.read();
    await this.sleep(Math.max(instant - this.now(), 0));
  }

  /** For workers: every activity knows what time it is when it begins. */
  readonly interceptor = (): { readonly inbound: ActivityInboundCallsInterceptor } => ({ inbound: this.reading });

  private readonly reading: ActivityInboundCallsInterceptor = {
    execute: async (input, next) => {
      await this.read();
      return next(input);
    },
  };
}
