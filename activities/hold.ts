/** Whether people let a rollout send: read from the server right before each send, so that a pause reaches what is queued. */
import { Context } from '@temporalio/activity';
import { type Hold, holdOf } from '../temporal/hold.js';
import { isNotFound } from '../temporal/reads.js';
import { rolloutWorkflowId } from '../workflows/contracts/ids.js';
import type { Clock } from './clock.js';
import { Together } from './together.js';

/** How long the server may take to answer. */
const WITHIN_MS = 5_000;

/** So many rollouts' looks are kept: a look of its own in vain is all that one more costs. */
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
export async function rolloutHold({ rollout, rolloutRun }: RolloutRun): Promise<Hold | null> {
  const { client } = Context.current();
  try {
    return await client.withDeadline(Date.now() + WITHIN_MS, () =>
      holdOf(client, rolloutWorkflowId(rollout), rolloutRun),
    );
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

/**
 * As `rolloutHold`, once for all submits of this process that come to their send while a look is under way: theirs begins
 * when that one has ended, so none of them trusts a look that is older than its question.
 */
export function holdReader(clock: Clock, look = rolloutHold): (of: RolloutRun) => Promise<Hold | null> {
  const looks = new Map<string, Together<Hold | null>>();
  return ({ rollout, rolloutRun }) => {
    const known = looks.get(rolloutRun) ?? new Together(clock, 0, () => look({ rollout, rolloutRun }));
    const [oldest] = looks.keys();
    if (looks.size >= KEPT && oldest !== undefined && !looks.has(rolloutRun)) looks.delete(oldest);
    looks.set(rolloutRun, known);
    return known.answer();
  };
}
