/** The worker processes that are alive, as a task queue's pollers tell: an account's rates are divided among them. */
import type { NativeConnection } from '@temporalio/worker';
import { ALONE, type Turn } from '../activities/limiter.js';
import type { Clock } from '../activities/clock.js';
import { QUEUES } from '../workflows/contracts/queues.js';

export interface PeersOptions {
  readonly connection: NativeConnection;
  readonly namespace: string;
  /** The queue whose pollers are counted: for workflow tasks, or, on an account's own queue, for activities. */
  readonly taskQueue: string;
  /** This process's own, as its workers tell the server. */
  readonly identity: string;
  readonly clock: Clock;
  /** One line, for operators. */
  readonly log: (line: string) => void;
}

/** Between two looks. Whoever gets another place waits for longer than this: by then everybody counts as it does. */
const LOOK_EVERY_MS = 2_000;
const FIRST_LOOKS_MS = 200;
const NEW_PLACE_WAITS_MS = 2 * LOOK_EVERY_MS;
/** A poll lasts a minute: who has not been heard of for longer is dead, and its turns are free. */
const DEAD_AFTER_MS = 75_000;
/** Workflow tasks take milliseconds, so their slots never fill: a worker full of waits still polls for them. */
const WORKFLOW_QUEUE = 1;
/** Slots for reads are many more than one account has upgrades in flight: they hardly fill either. */
const ACTIVITY_QUEUE = 2;

/**
 * Watches the pollers and keeps this process's turn up to date. Nothing is granted before the process has seen itself
 * among them; while the server cannot be asked, the last answer stands.
 */
export class Peers {
  private readonly options: PeersOptions;
  private readonly ending = new AbortController();
  private seen: Turn | null = null;
  private heard: ReadonlyMap<string, number> = new Map();
  private watching: Promise<void> = Promise.resolve();
  private failing = false;

  constructor(options: PeersOptions) {
    this.options = options;
  }

  /** Until the server has seen this process, always a moment from now. */
  turn(): Turn {
    return this.seen ?? { ...ALONE, notBefore: this.options.clock.now() + FIRST_LOOKS_MS };
  }

  /** Why no call may be made now; `null` when the server sees this process. */
  objection(): string | null {
    if (this.seen === null) return 'the server has not seen it yet';
    return this.failing ? 'the server does not answer' : null;
  }

  start(): void {
    this.watching = this.watch();
  }

  async stop(): Promise<void> {
    this.ending.abort();
    await this.watching;
  }

  private async watch(): Promise<void> {
    const { clock, log } = this.options;
    while (!this.ending.signal.aborted) {
      try {
        this.heard = hear(this.heard, await this.pollers(), clock.now());
        const turn = turnOf([...this.heard.keys()], this.options.identity, this.seen, clock.now());
        if (turn !== null && turn.count !== (this.seen?.count ?? 1)) {
          log(`${turn.count} workers share each account's rates`);
        }
        this.seen = turn;
        this.failing = false;
      } catch (error) {
        // The server is away: whoever was there a moment ago is counted on.
        const waits = this.seen === null ? '; no call is made before it answers' : '';
        if (!this.failing)
          log(`the workers cannot be counted: ${error instanceof Error ? error.message : String(error)}${waits}`);
        this.failing = true;
      }
      await clock.sleep(this.seen === null ? FIRST_LOOKS_MS : LOOK_EVERY_MS, this.ending.signal).catch(() => {});
    }
  }

  private async pollers(): Promise<Poller[]> {
    const { connection, namespace, taskQueue } = this.options;
    const { pollers } = await connection.workflowService.describeTaskQueue({
      namespace,
      taskQueue: { name: taskQueue },
      taskQueueType: taskQueue === QUEUES.main ? WORKFLOW_QUEUE : ACTIVITY_QUEUE,
    });
    return (pollers ?? []).map(({ identity, lastAccessTime }) => ({
      identity: identity ?? '',
      polledAt: Number(lastAccessTime?.seconds ?? 0) * 1000,
    }));
  }
}

interface Poller {
  readonly identity: string;
  /** Epoch ms of the server's clock. */
  readonly polledAt: number;
}

/**
 * Who was heard of lately, and when by our own clock: measured against the newest poll, since the server's may be off. A
 * server that was started again has forgotten its pollers; whom it does not name is remembered for as long.
 */
export function hear(
  heard: ReadonlyMap<string, number>,
  pollers: readonly Poller[],
  now: number,
): ReadonlyMap<string, number> {
  const newest = Math.max(...pollers.map(({ polledAt }) => polledAt));
  const all = new Map(heard);
  for (const { identity, polledAt } of pollers) all.set(identity, now - (newest - polledAt));
  return new Map([...all].filter(([, at]) => now - at < DEAD_AFTER_MS));
}

/**
 * This process's turn among those alive. A newcomer's begins only when the others have had time to count it, and so does
 * the new place of one whose neighbours came or went: by the old count, another one may still have the same tick. Who was
 * alone need not wait, since newcomers do; nor who is alone now. While the server does not see it, or not any more, nothing
 * better than before is known.
 */
export function turnOf(alive: readonly string[], identity: string, before: Turn | null, now: number): Turn | null {
  const all = [...new Set(alive)].toSorted();
  const index = all.indexOf(identity);
  const count = all.length;
  if (index < 0 || (before?.index === index && before.count === count)) return before;
  if (count === 1) return { index, count, notBefore: now };
  return { index, count, notBefore: before?.count === 1 ? before.notBefore : now + NEW_PLACE_WAITS_MS };
}
