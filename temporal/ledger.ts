/** Reads and writes what outlives rollouts, for the client and for activities alike; workflows/contracts/ledger.ts says how. */
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { temporal } from '@temporalio/proto';
import { decodeFromPayloadsAtIndex } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';
import { ledgerWorkflowId } from '../workflows/contracts/ids.js';
import { fold, type Kept, type LedgerEntry, type LedgerInput } from '../workflows/contracts/ledger.js';
import { MESSAGES } from '../workflows/contracts/messages.js';
import { QUEUES } from '../workflows/contracts/queues.js';
import { type ChangeOf, SECTIONS, sectionOf, type SectionName, type StateOf } from '../workflows/contracts/sections.js';
import { isTaken, onceHandedBack } from './handed-back.js';
import { isNotFound } from './reads.js';

/** A little longer than the time-out of a workflow's task, after which everything can be seen. */
const WITHIN_MS = 12_000;

/** A change that the section did not take; the message says why. */
export class LedgerRefusal extends Error {
  override readonly name = 'LedgerRefusal';
}

/**
 * A section as it is now: with every change that the server has accepted, whether or not a worker has seen it. One
 * request to the server, of a few hundred events at most; a section that nobody has written to is empty.
 *
 * @param withinMs so long it waits for a worker that has a task of the ledger just now
 * @throws TaskTaken; the server's error; Error for a section or a change of a newer release
 */
export async function readLedger<Name extends SectionName>(
  client: Client,
  name: Name,
  withinMs = WITHIN_MS,
): Promise<StateOf<Name>> {
  const whole = await onceHandedBack(ledgerWorkflowId(name), withinMs, async () => {
    const read = await keptOf(client, name);
    if (read.end === 'idle') return read;
    if (read.end === 'taken' || (await isTakenNow(client, name))) return null;
    // Nobody has had it since that question, so what it was told by then stands in the history.
    return keptOf(client, name);
  });
  return whole.state;
}

/**
 * Changes a section, and begins it where nobody has yet. It holds when this returns, with or without a worker.
 *
 * @param requestId given again by a writer that tries again: the change is made once
 * @returns the section with the change
 * @throws LedgerRefusal; TaskTaken: then the change is made, or refused, once the task is over; the server's error: then the
 * change may have been made or not
 */
export async function writeLedger<Name extends SectionName>(
  client: Client,
  name: Name,
  change: ChangeOf<Name>,
  requestId: string = randomUUID(),
): Promise<StateOf<Name>> {
  const before = await keptOf(client, name);
  const entry: LedgerEntry<ChangeOf<Name>> = { requestId, at: new Date().toISOString(), change };
  if (before.handled.every((one) => one.requestId !== requestId)) {
    await client.workflow.signalWithStart('ledger', {
      workflowId: ledgerWorkflowId(name),
      taskQueue: QUEUES.main,
      // Only where none runs: somebody has terminated it, and what it kept is carried on.
      args: [{ section: name, state: before.state, handled: before.handled } satisfies LedgerInput],
      signal: MESSAGES.ledgerChange,
      signalArgs: [entry],
      staticSummary: `What outlives rollouts: ${name}`,
    });
  }
  // Kept back by the server, while a worker has a task of the ledger.
  const { state, refused } = await onceHandedBack(ledgerWorkflowId(name), WITHIN_MS, async () => {
    const after = await keptOf(client, name);
    const own = after.handled.find((one) => one.requestId === requestId);
    return own === undefined ? null : { state: after.state, refused: own.refused };
  });
  if (refused !== undefined) throw new LedgerRefusal(refused);
  return state;
}

async function keptOf<Name extends SectionName>(
  client: Client,
  name: Name,
): Promise<Kept<StateOf<Name>> & Pick<Run, 'end'>> {
  const section = sectionOf(name);
  const read = await runOf(client, ledgerWorkflowId(name));
  if (read === null) return { state: SECTIONS[name].empty as StateOf<Name>, handled: [], end: 'idle' };
  return { ...(fold(section, read.input, read.entries) as Kept<StateOf<Name>>), end: read.end };
}

/** What a run began with, and what it was told since. */
interface Run {
  readonly input: LedgerInput;
  readonly entries: readonly LedgerEntry[];
  /** While a worker has its task, there may be more that it was told; of a task that is tried again no history tells. */
  readonly end: 'idle' | 'taken' | 'tried-again';
}

/** The latest run. `null` when there is none. */
async function runOf(client: Client, workflowId: string): Promise<Run | null> {
  const { loadedDataConverter, namespace } = client.options;
  let input: LedgerInput | null = null;
  const entries: LedgerEntry[] = [];
  let last: temporal.api.history.v1.IHistoryEvent | undefined;
  let nextPageToken: Uint8Array | null = null;
  do {
    const page: Awaited<ReturnType<typeof client.workflowService.getWorkflowExecutionHistory>> | null =
      await client.workflowService
        .getWorkflowExecutionHistory({ namespace, execution: { workflowId }, nextPageToken })
        .catch((error: unknown) => {
          if (isNotFound(error)) return null;
          throw error;
        });
    if (page === null) return null;
    for (const event of page.history?.events ?? []) {
      const started = event.workflowExecutionStartedEventAttributes;
      const told = event.workflowExecutionSignaledEventAttributes;
      if (started != null) {
        input = await decodeFromPayloadsAtIndex<LedgerInput>(loadedDataConverter, 0, started.input?.payloads);
      } else if (told?.signalName === MESSAGES.ledgerChange) {
        entries.push(await decodeFromPayloadsAtIndex<LedgerEntry>(loadedDataConverter, 0, told.input?.payloads));
      }
    }
    last = page.history?.events?.at(-1) ?? last;
    nextPageToken = page.nextPageToken?.length ? page.nextPageToken : null;
  } while (nextPageToken !== null);
  if (input === null) throw new Error(`the history of ${workflowId} has no beginning`);
  return { input, entries, end: endAt(last) };
}

function endAt(last: temporal.api.history.v1.IHistoryEvent | undefined): Run['end'] {
  if (last?.workflowTaskStartedEventAttributes != null) return 'taken';
  const isTriedAgain =
    last?.workflowTaskFailedEventAttributes != null ||
    last?.workflowTaskTimedOutEventAttributes != null ||
    (last?.workflowTaskScheduledEventAttributes?.attempt ?? 1) > 1;
  return isTriedAgain ? 'tried-again' : 'idle';
}

async function isTakenNow(client: Client, name: SectionName): Promise<boolean> {
  return isTaken((await client.workflow.getHandle(ledgerWorkflowId(name)).describe()).raw.pendingWorkflowTask);
}
