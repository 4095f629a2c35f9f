/** Keeps the processes of a local stack alive: one that ends unasked is started again. */
import { setTimeout as delay } from 'node:timers/promises';

/** A process that runs; `ended` resolves with how it ended, asked or not. */
export interface Running {
  readonly pid: number;
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

export interface Supervised<T extends Running> {
  /** The one that runs now. */
  current(): T;
  stop(): Promise<void>;
}

/** Before every start but the first after a crash: a loop of crashes must not take a whole core. */
const RESTART_MS = 500;
/** More than so many ends in a row without a minute's peace: something is broken, and restarting hides it. */
const MOST_RESTARTS = 20;
const PEACE_MS = 60_000;

/**
 * Starts a process and starts it again, in the same way, whenever it ends unasked.
 *
 * @param report told one line about every unasked end
 * @throws what the first start throws
 */
export async function supervise<T extends Running>(
  name: string,
  start: () => Promise<T>,
  report: (line: string) => void,
): Promise<Supervised<T>> {
  let running = await start();
  let stopping = false;
  const watch = async (): Promise<void> => {
    let restarts = 0;
    for (;;) {
      const startedAt = Date.now();
      const how = await running.ended;
      if (stopping) return;
      restarts = Date.now() - startedAt > PEACE_MS ? 0 : restarts + 1;
      if (restarts > MOST_RESTARTS) {
        report(`${name} ended again (${how}): it is left alone now`);
        return;
      }
      report(`${name} ended (${how}): starting it again`);
      for (let waitMs = restarts > 1 ? RESTART_MS : 0; ; waitMs = RESTART_MS) {
        await delay(waitMs);
        if (stopping) return;
        try {
          running = await start();
          break;
        } catch (error) {
          report(`${name} does not start: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
      // Asked to stop while it was starting: the one that was stopped then is not this one.
      if (stopping) return running.stop();
      report(`${name} runs again, pid ${running.pid}`);
    }
  };
  const watched = watch();
  return {
    current: () => running,
    stop: async () => {
      stopping = true;
      await running.stop();
      await watched;
    },
  };
}
