import { GracefulShutdownPeriodExpiredError, TransportError } from '@temporalio/worker';
import { describe, expect, it } from 'vitest';
import { atMost, type QueueWorker, runTogether } from '../../worker/together.js';

/** As the SDK has it of polls. */
const REFUSED = new TransportError('Request unauthorized.');
const TIMEOUT_MS = 60_000;

/** Time passes in sleeps only, and `at` that time things happen. */
class Scene {
  now = 0;
  private readonly events: { readonly at: number; readonly happen: () => void }[] = [];

  readonly clock = {
    now: () => this.now,
    sleep: async (ms: number, signal?: AbortSignal) => {
      this.now += ms;
      for (const event of this.events.splice(0)) {
        if (event.at <= this.now) event.happen();
        else this.events.push(event);
      }
      // What has been told meanwhile comes first.
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    },
  };

  at(at: number, happen: () => void): void {
    this.events.push({ at, happen });
  }

  /** As the SDK's: `shutdown` needs one that runs. `endsAfter` is how long it then takes; `null`: for ever. */
  worker(taskQueue: string, endsAfter: number | null = 0) {
    let state: ReturnType<QueueWorker['getState']> = 'INITIALIZED';
    let settle: { resolve: () => void; reject: (error: Error) => void } | undefined;
    return {
      options: { taskQueue },
      getState: () => state,
      run: () => {
        state = 'RUNNING';
        return new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
      },
      shutdown: () => {
        if (state !== 'RUNNING') throw new Error(`Not running. Current state: ${state}`);
        state = 'DRAINING';
        if (endsAfter === null) return;
        this.at(this.now + endsAfter, () => {
          state = 'STOPPED';
          settle?.resolve();
        });
      },
      /** Fails, and its `run` never tells. */
      fail: () => {
        state = 'FAILED';
      },
      /** Stops, and its `run` never tells. */
      stop: () => {
        state = 'STOPPED';
      },
      reject: (error: Error) => {
        state = 'FAILED';
        settle?.reject(error);
      },
    };
  }

  run(workers: readonly QueueWorker[], failureOf?: (taskQueue: string) => unknown): Promise<void> {
    const more = failureOf === undefined ? {} : { failureOf };
    return runTogether(workers, { clock: this.clock, timeoutMs: TIMEOUT_MS, ...more });
  }
}

describe('workers that run together', () => {
  it('end with what one has failed of, though its run never resolves', async () => {
    const scene = new Scene();
    const [main, submit, wait] = [scene.worker('main'), scene.worker('submit', 30_000), scene.worker('wait')];
    scene.at(5_000, submit.fail);
    const running = scene.run([main, submit, wait], (queue) => (queue === 'submit' ? REFUSED : undefined));
    await expect(running).rejects.toThrow(
      /^the worker has ended, since task queue submit was not served any more: Temporal refuses its polls: Request unauthorized \(correct the API key or certificate [^)]*UPLIFT_API_KEY_FILE[^)]*\)$/,
    );
    expect([main, submit, wait].map((one) => one.getState())).toEqual(['STOPPED', 'FAILED', 'STOPPED']);
  });

  it('let a submit under way finish first', async () => {
    const scene = new Scene();
    const [main, submit] = [scene.worker('main'), scene.worker('submit', 30_000)];
    scene.at(5_000, main.fail);
    await expect(scene.run([main, submit])).rejects.toThrow(
      'the worker has ended, since task queue main was not served any more (start it again, once Temporal answers; the log says more)',
    );
    expect(submit.getState()).toBe('STOPPED');
  });

  it('end at the timeout, when the others do not', async () => {
    const scene = new Scene();
    const [main, submit] = [scene.worker('main'), scene.worker('submit', null)];
    scene.at(5_000, main.fail);
    await expect(scene.run([main, submit], () => new Error('no\n more.'))).rejects.toThrow('any more: no more (start');
    expect(submit.getState()).toBe('DRAINING');
    expect(scene.now - 5_000).toBe(TIMEOUT_MS);
  });

  it('end when all have failed at once', async () => {
    const scene = new Scene();
    const workers = ['main', 'submit', 'wait'].map((queue) => scene.worker(queue));
    for (const one of workers) scene.at(5_000, one.fail);
    await expect(scene.run(workers)).rejects.toThrow('task queue main was not served any more');
    expect(scene.now).toBe(6_000);
  });

  it('tell what a run has thrown', async () => {
    const scene = new Scene();
    const [main, wait] = [scene.worker('main'), scene.worker('wait')];
    scene.at(5_000, () => wait.reject(REFUSED));
    await expect(scene.run([main, wait])).rejects.toThrow('task queue wait was not served any more: Temporal refuses');
    expect(main.getState()).toBe('STOPPED');
  });

  it('tell what one has failed of, and not what its letting go brought', async () => {
    const scene = new Scene();
    const main = scene.worker('main');
    scene.at(5_000, () => main.reject(new Error('Worker still in use: Expected 1 reference, but got 2')));
    await expect(scene.run([main], () => REFUSED)).rejects.toThrow(
      'any more: Temporal refuses its polls: Request unauthorized (',
    );
  });

  it('end without an error when they are told to, even though a run never resolves', async () => {
    const scene = new Scene();
    const [main, wait] = [scene.worker('main'), scene.worker('wait', null)];
    scene.at(5_000, main.shutdown);
    scene.at(9_000, wait.stop);
    await scene.run([main, wait]);
    expect(scene.now).toBe(10_000);
  });

  it('say at the timeout what was still under way', async () => {
    const scene = new Scene();
    const [main, submit] = [scene.worker('main'), scene.worker('submit', null)];
    scene.at(5_000, main.shutdown);
    const line = 'the worker was ended before its work on submit was, after 60 s (nothing is lost: another worker';
    await expect(scene.run([main, submit])).rejects.toThrow(line);

    const other = new Scene();
    const forced = other.worker('submit', null);
    other.at(5_000, forced.shutdown);
    other.at(65_000, () => forced.reject(new GracefulShutdownPeriodExpiredError('Timed out')));
    await expect(other.run([forced])).rejects.toThrow(line);
  });
});

describe('atMost', () => {
  it('does not wait for what has no end, and tells what fails before', async () => {
    await atMost(10, () => new Promise<void>(() => {}));
    await expect(atMost(60_000, () => Promise.reject(new Error('held')))).rejects.toThrow('held');
  });
});
