/** A shard as its page in the UI shows it. */
import type { Queued } from './shard-in-flight.js';
import { markdown } from './details.js';

/** Why nothing more starts although it could. */
export const NO_ROOM =
  'waits for the end of all that its shard has in flight: its history is long, and goes on in a new run then';

export const LOOKS = 'waits for the server to tell who upgrades some of it just now';

export interface ShardShown {
  readonly wave: string;
  readonly concurrency: number;
  /** `null` until its list was read. */
  readonly total: number | null;
  readonly ended: number;
  readonly inFlight: number;
  readonly failures: number;
  readonly lastFailure: string | null;
  readonly queue: readonly Queued[];
  /** Why people keep the rollout from sending; `null` while they do not. */
  readonly hold: string | null;
  readonly isFull: boolean;
  readonly isLooking: boolean;
  readonly frozen: { readonly count: number; readonly why: string } | null;
  /** Why none of the queue may start now, and until when. */
  readonly shut: string | null;
  /** Why each of those waits that wait for others' leases. */
  readonly leased: readonly string[];
}

/** @returns Markdown for the UI's current details */
export function shardDetails(shard: ShardShown): string {
  const { frozen, lastFailure } = shard;
  const [leased, ...others] = shard.leased;
  return markdown({
    state: `**${shard.ended} of ${shard.total ?? '?'} ended**, ${shard.inFlight} in flight, ${shard.failures} failed`,
    next: nextOf(shard),
    why: `wave ${shard.wave} lets it run up to ${shard.concurrency} at a time`,
    more: [
      ...(lastFailure === null ? [] : [['Latest failure:', lastFailure] as const]),
      ...(frozen === null ? [] : [[`${frozen.count} frozen:`, frozen.why] as const]),
      ...(leased === undefined ? [] : [[`${others.length + 1} wait:`, leased] as const]),
    ],
  });
}

function nextOf({ queue, hold, isFull, isLooking, frozen, shut }: ShardShown): string {
  if (hold !== null) return `nothing, while it is on hold: ${hold}`;
  if (isFull) return NO_ROOM;
  if (isLooking) return LOOKS;
  if (frozen?.count === queue.length) return frozen.why;
  return shut ?? queue[0]?.spec.resource.id ?? 'the end of those in flight';
}
