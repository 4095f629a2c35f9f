/** The workers of one process run together, and end together within a bound. */
import { GracefulShutdownPeriodExpiredError, TransportError, type Worker } from '@temporalio/worker';
import { type Clock, systemClock } from '../activities/clock.js';
import { answerIn, lineOf } from '../temporal/errors.js';

/** What is needed of an SDK's worker. */
export interface QueueWorker extends Pick<Worker, 'run' | 'shutdown' | 'getState'> {
  readonly options: { readonly taskQueue: string };
}

export interface TogetherOptions {
  readonly clock: Clock;
  /** Milliseconds from the first one's end, or the order to end, to the last one's. */
  readonly timeoutMs: number;
  /** What a worker has failed of: its `run` may never tell, or tell of an error in its letting go instead. */
  readonly failureOf?: (taskQueue: string) => unknown;
}

/** A queue is not served any more, or what was under way did not end in time. One line with its remedy. */
class WorkerEndError extends Error {
  override readonly name = 'WorkerEndError';
}

const LOOK_EVERY_MS = 250;
/** One that has ended has nothing left to do than to tell so: what takes longer hangs. */
const LETTING_GO_MS = 1_000;

/**
 * Resolves when all have ended. One that ends takes the others down: half a worker would look alive and do half the work.
 * States are watched, since the `run` of one that has failed may never resolve: it lets go of its polls first, and while
 * the server refuses them, they do not end.
 *
 * @throws WorkerEndError when one has failed, or some are still at work when the time is up
 */
export async function runTogether(workers: readonly QueueWorker[], options: TogetherOptions): Promise<void> {
  const { clock, timeoutMs } = options;
  const thrown = new Map<QueueWorker, unknown>();
  let open = workers.length;
  const settled = new AbortController();
  for (const worker of workers) {
    void worker
      .run()
      .catch((error: unknown) => thrown.set(worker, error))
      .finally(() => {
        if (--open === 0) settled.abort();
      });
  }
  // What one throws that has stopped is of its letting go.
  const hasFailed = (one: QueueWorker) =>
    one.getState() === 'FAILED' || (thrown.has(one) && one.getState() !== 'STOPPED');
  const failed = () => workers.find(hasFailed);
  const hasEnded = (one: QueueWorker) => thrown.has(one) || ['STOPPED', 'FAILED'].includes(one.getState());
  let endBy = Infinity;
  let first: QueueWorker | undefined;
  while (open > 0 && clock.now() < endBy) {
    await clock.sleep(LOOK_EVERY_MS, settled.signal).catch(() => {});
    first ??= failed();
    if (endBy === Infinity && workers.some((one) => thrown.has(one) || one.getState() !== 'RUNNING')) {
      endBy = clock.now() + timeoutMs;
      shutDown(workers);
    }
    if (workers.every(hasEnded)) endBy = Math.min(endBy, clock.now() + LETTING_GO_MS);
  }
  first ??= failed();
  if (first !== undefined) {
    const { taskQueue } = first.options;
    throw ended(taskQueue, options.failureOf?.(taskQueue) ?? thrown.get(first), timeoutMs);
  }
  const busy = workers.filter((one) => !hasEnded(one)).map((one) => one.options.taskQueue);
  if (busy.length > 0) throw tooLate(busy.join(', '), timeoutMs);
}

/** Orders those that are at work to end. */
export function shutDown(workers: readonly QueueWorker[]): void {
  for (const one of workers) if (one.getState() === 'RUNNING') one.shutdown();
}

function ended(taskQueue: string, cause: unknown, timeoutMs: number): WorkerEndError {
  if (cause instanceof GracefulShutdownPeriodExpiredError) return tooLate(taskQueue, timeoutMs);
  // A poll's end has the server's words, without its status.
  const isRefused = cause instanceof TransportError;
  const words = cause === undefined ? '' : (answerIn(cause)?.details ?? lineOf(cause)).replace(/\.$/, '');
  const what = isRefused ? `: Temporal refuses its polls: ${words}` : words === '' ? '' : `: ${words}`;
  const remedy = isRefused
    ? "correct the API key or certificate that it uses, in UPLIFT_API_KEY_FILE or its profile, or the namespace, and start it again: they are read at a worker's start"
    : 'start it again, once Temporal answers; the log says more';
  return new WorkerEndError(
    `the worker has ended, since task queue ${taskQueue} was not served any more${what} (${remedy})`,
  );
}

function tooLate(taskQueues: string, timeoutMs: number): WorkerEndError {
  return new WorkerEndError(
    `the worker was ended before its work on ${taskQueues} was, after ${timeoutMs / 1000} s (nothing is lost: another worker takes over; raise UPLIFT_SHUTDOWN_TIMEOUT to wait for longer)`,
  );
}

/** Does the work, and waits for no longer than `ms` milliseconds until it is done. */
export async function atMost(ms: number, work: () => Promise<void>): Promise<void> {
  const done = new AbortController();
  try {
    await Promise.race([work(), systemClock.sleep(ms, done.signal)]);
  } finally {
    done.abort();
  }
}
