/** How long the history of a shard's run may become, and when the rest of the shard goes on in a new run. */
import { patched, workflowInfo } from '@temporalio/workflow';
import { SHARD_SIZE } from './contracts/rollout.js';

/** What 400 upgrades need that start and end one after the other, undisturbed, and some 200 events to wait for windows. */
const MOST_EVENTS = 3_900;

/** Of an upgrade that starts and ends alone; together they need fewer. */
const EVENTS_TO_START = 5;
const EVENTS_TO_END = 4;

export class ShardHistory {
  /** Nothing more is started in this run: once what is in flight has ended, the rest goes on in a new one. */
  isFull = false;

  /** Of those that may start, as many as can start and end within the bound beside those in flight. */
  fitting<T>(next: readonly T[], inFlight: number): readonly T[] {
    if (this.isFull) return [];
    const left = MOST_EVENTS - workflowInfo().historyLength - EVENTS_TO_END * inFlight;
    const room = Math.max(Math.floor(left / (EVENTS_TO_START + EVENTS_TO_END)), 0);
    // Shards of older releases had one run, however long it became.
    if ((room > 0 && next.length <= room) || !patched('new-run')) return next;
    this.isFull = room === 0;
    return next.slice(0, room);
  }

  /** Whether so many that have not started, with none in flight, are a new run's: this one has room for fewer. */
  isTooLongFor(queued: number): boolean {
    // More than the most are a new run's as well, and none begins with too many.
    const needed = (EVENTS_TO_START + EVENTS_TO_END) * Math.min(queued, SHARD_SIZE);
    return (this.isFull || workflowInfo().historyLength + needed > MOST_EVENTS) && patched('new-run');
  }
}
