/** One act on many rollouts: those that run, and that a visibility query chooses. */
import type { Client } from '@temporalio/client';
import { isNotFound, mapAtOnce } from '../temporal/reads.js';
import { rolloutWorkflowId } from '../workflows/contracts/ids.js';
import { CONFIRMED_WITHIN_MS, hearing, mustFollow, type Order, type RolloutRun, sendControl } from './control.js';
import { grpcErrorIn, UsageError, whatWentWrong } from './errors.js';
import { EXIT } from './exit-codes.js';
import { NotTakenError } from './upgrades.js';

/** More than a person can have meant, and can have looked at. */
const MOST = 1_000;
/** gRPC status code. */
const INVALID_ARGUMENT = 3;

export interface Chosen extends RolloutRun {
  readonly rollout: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
}

/** What became of the act at one rollout. */
export interface Acted extends Chosen {
  /**
   * `recorded`: the server has it, and no worker has heard it yet. `ended`: the rollout ended before it was sent.
   * `refused`: nothing was sent, since it would not follow.
   */
  readonly outcome: 'heard' | 'recorded' | 'ended' | 'refused' | 'failed';
  /** `null` when nothing was sent. */
  readonly requestId: string | null;
  /** Why it was refused, or failed. */
  readonly error: string | null;
  /** As of `Hearing`. */
  readonly also?: string;
}

/**
 * The running rollouts that a query chooses, oldest first. Visibility may lag about a second behind.
 *
 * @param query in Temporal's list filter syntax (https://docs.temporal.io/list-filter)
 * @param most rollouts that one command may act on
 * @throws UsageError for a query that the server cannot read, and when it chooses more than `most`
 */
export async function chooseRollouts(client: Client, query: string, most = MOST): Promise<Chosen[]> {
  const chosen: Chosen[] = [];
  try {
    // By itself first: what is wrong stands where the person wrote it, and nothing in it closes our brackets.
    await client.workflow.count(query);
    const restricted = `WorkflowType = 'rollout' AND ExecutionStatus = 'Running'`;
    const whole = query.trim() === '' ? restricted : `${restricted} AND (${query})`;
    for await (const run of client.workflow.list({ query: whole })) {
      const { workflowId, runId, startTime } = run;
      const rollout = workflowId.slice(rolloutWorkflowId('').length);
      chosen.push({ rollout, workflowId, runId, startedAt: startTime.toISOString() });
      if (chosen.length > most) break;
    }
  } catch (error) {
    const answer = grpcErrorIn(error);
    if (Number(answer?.code) !== INVALID_ARGUMENT) throw error;
    throw new UsageError(
      `--query cannot be used: ${answer?.details} (the syntax: https://docs.temporal.io/list-filter; what it can ask for: \`docs/reference.md\`)`,
    );
  }
  if (chosen.length > most) {
    throw new UsageError(`--query chooses more than ${most} rollouts, and nothing was sent: narrow it`);
  }
  return chosen.toSorted((a, b) => (a.startedAt < b.startedAt ? -1 : 1));
}

/**
 * Sends an act to each of them, as `control` to one, under a request id of its own. First to all, then it waits for the workers, so that
 * none is sent late because another one's worker is away.
 */
export async function controlAll(client: Client, chosen: readonly Chosen[], act: Order): Promise<Acted[]> {
  const sent = await mapAtOnce(chosen, async (run): Promise<Acted> => {
    try {
      await mustFollow(client, run.rollout, act);
      const requestId = await sendControl(client, run, act);
      return { ...run, outcome: 'recorded', requestId, error: null };
    } catch (error) {
      if (isNotFound(error)) return { ...run, outcome: 'ended', requestId: null, error: null };
      const outcome = error instanceof NotTakenError ? 'refused' : 'failed';
      return { ...run, outcome, requestId: null, error: whatWentWrong(error) };
    }
  });
  const until = Date.now() + CONFIRMED_WITHIN_MS;
  return mapAtOnce(sent, async (one): Promise<Acted> => {
    if (one.requestId === null) return one;
    // Whatever goes wrong with asking, the server has it.
    const { heard, also } = await hearing(client, one, one.requestId, until).catch(() => ({
      heard: false,
      also: null,
    }));
    return heard ? { ...one, outcome: 'heard', ...(also === null ? {} : { also }) } : one;
  });
}

/** The exit code after an act on all of them. */
export function exitCodeOfActs(acted: readonly Acted[]): number {
  if (acted.some(({ outcome }) => outcome === 'failed' || outcome === 'refused')) return EXIT.error;
  return acted.some(({ outcome }) => outcome === 'recorded') ? EXIT.waiting : EXIT.done;
}
