/**
 * Whether people let an upgrade send: read from the server right before each send, so that a pause of its rollout, or a
 * cancel of anything above it, reaches what is queued.
 */
import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { LRUCache } from 'lru-cache';
import { type CancelRequest, cancelRequestOf, type Hold, holdOf, type Run } from '../temporal/hold.js';
import { isNotFound } from '../temporal/reads.js';
import { rolloutWorkflowId } from '../workflows/contracts/ids.js';
import type { Clock } from './clock.js';
import { CoalescedRead } from './coalesced-read.js';
import { ownRun } from './step.js';

/** How long the server may take to answer. */
const WITHIN_MS = 5_000;

/** The looks at so many runs are kept: a look of its own in vain is all that one more costs. */
const KEPT = 50;

interface RolloutRun {
  /** Its id. */
  readonly rollout: string;
  readonly rolloutRun: string;
}

/**
 * Why nothing may be sent now; `null` while things may. A rollout that nobody knows holds nothing.
 *
 * @throws the server's error: who cannot ask may not send
 */
export function rolloutHold({ rollout, rolloutRun }: RolloutRun): Promise<Hold | null> {
  return asked(null, (client) => holdOf(client, rolloutWorkflowId(rollout), rolloutRun));
}

/** As `rolloutHold`, for many at a time. */
export function holdReader(clock: Clock, look = rolloutHold): (of: RolloutRun) => Promise<Hold | null> {
  const looks = sharedLooks(clock, ({ rolloutRun }: RolloutRun) => rolloutRun, look);
  return ({ rollout, rolloutRun }) => looks({ rollout, rolloutRun });
}

/**
 * Whether somebody asked a run to cancel; one that nobody knows was not.
 *
 * @throws the server's error: who cannot ask may not send
 */
function cancelRequest(run: Run, isQuiet: boolean): Promise<CancelRequest> {
  return asked({ isCancelled: false, startedBy: null }, (client) => cancelRequestOf(client, run, isQuiet));
}

/**
 * Why nothing more of an upgrade is sent: it was cancelled, or its shard or its wave was and no worker has passed that on
 * yet. `null` while none was. Its rollout's own cancel is `holdReader`'s.
 */
export function cancelReader(
  clock: Clock,
  look = cancelRequest,
): (upgrade: Run, rollout: string) => Promise<Hold | null> {
  const above = sharedLooks(
    clock,
    ({ runId }: Run) => runId,
    // It is busy with its other upgrades, and passes on what it is told between two of its tasks.
    (run) => look(run, false),
  );
  return async (upgrade, rollout) => {
    let run = upgrade;
    // Nobody else asks of the upgrade itself.
    let asked = await look(upgrade, true);
    while (!asked.isCancelled) {
      if (asked.startedBy === null || asked.startedBy.workflowId === rolloutWorkflowId(rollout)) return null;
      run = asked.startedBy;
      asked = await above(run);
    }
    return { reason: `${run.workflowId} was cancelled`, over: true };
  };
}

/** Both, of the upgrade whose step asks. */
export function holdsReader(clock: Clock): (of: RolloutRun) => Promise<Hold | null> {
  const holdOf = holdReader(clock);
  const cancelOf = cancelReader(clock);
  return async (rollout) => {
    const [cancelled, held] = await Promise.all([cancelOf(ownRun(), rollout.rollout), holdOf(rollout)]);
    return cancelled ?? held;
  };
}

/**
 * Looks once for all submits of this process that come to their send while a look is under way: theirs begins when that
 * one has ended, so none of them trusts a look that is older than its question.
 */
function sharedLooks<Of, T>(clock: Clock, keyOf: (of: Of) => string, look: (of: Of) => Promise<T>) {
  const looks = new LRUCache<string, CoalescedRead<T>>({ max: KEPT });
  return (of: Of): Promise<T> => {
    const key = keyOf(of);
    const known = looks.get(key) ?? new CoalescedRead(clock, 0, () => look(of));
    looks.set(key, known);
    return known.answer();
  };
}

/** @param unknown the answer for a workflow that the server does not know */
async function asked<T>(unknown: T, ask: (client: Client) => Promise<T>): Promise<T> {
  const { client } = Context.current();
  try {
    return await client.withDeadline(Date.now() + WITHIN_MS, () => ask(client));
  } catch (error) {
    if (isNotFound(error)) return unknown;
    throw error;
  }
}
