/** Reads and writes what outlives rollouts, for the client and for activities alike; workflows/contracts/ledger.ts says how. */
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { decodeFromPayloadsAtIndex } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';
import { ledgerWorkflowId } from '../workflows/contracts/ids.js';
import { fold, type Kept, type LedgerEntry, type LedgerInput } from '../workflows/contracts/ledger.js';
import { MESSAGES } from '../workflows/contracts/messages.js';
import { QUEUES } from '../workflows/contracts/queues.js';
import { type ChangeOf, SECTIONS, sectionOf, type SectionName, type StateOf } from '../workflows/contracts/sections.js';
import { isNotFound } from './reads.js';

/** A change that the section did not take; the message says why. */
export class LedgerRefusal extends Error {
  override readonly name = 'LedgerRefusal';
}

/**
 * A section as it is now: with every change that the server has accepted, whether or not a worker has seen it. One
 * request to the server, of a few hundred events at most; a section that nobody has written to is empty.
 *
 * @throws the server's error; Error for a section or a change of a newer release
 */
export async function readLedger<Name extends SectionName>(client: Client, name: Name): Promise<StateOf<Name>> {
  return (await keptOf(client, name)).state;
}

/**
 * Changes a section, and begins it where nobody has yet. It holds when this returns, with or without a worker.
 *
 * @param requestId given again by a writer that tries again: the change is made once
 * @returns the section with the change
 * @throws LedgerRefusal; the server's error: then the change may have been made or not
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
      args: [{ section: name, ...before } satisfies LedgerInput],
      signal: MESSAGES.ledgerChange,
      signalArgs: [entry],
      staticSummary: `What outlives rollouts: ${name}`,
    });
  }
  const after = await keptOf(client, name);
  const refused = after.handled.find((one) => one.requestId === requestId)?.refused;
  if (refused !== undefined) throw new LedgerRefusal(refused);
  return after.state;
}

async function keptOf<Name extends SectionName>(client: Client, name: Name): Promise<Kept<StateOf<Name>>> {
  const section = sectionOf(name);
  const empty = { state: SECTIONS[name].empty as StateOf<Name>, handled: [] };
  const read = await runOf(client, ledgerWorkflowId(name));
  return read === null ? empty : (fold(section, read.input, read.entries) as Kept<StateOf<Name>>);
}

/** The latest run: what it began with, and what it was told since. `null` when there is none. */
async function runOf(
  client: Client,
  workflowId: string,
): Promise<{ readonly input: LedgerInput; readonly entries: readonly LedgerEntry[] } | null> {
  const { loadedDataConverter, namespace } = client.options;
  let input: LedgerInput | null = null;
  const entries: LedgerEntry[] = [];
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
    nextPageToken = page.nextPageToken?.length ? page.nextPageToken : null;
  } while (nextPageToken !== null);
  if (input === null) throw new Error(`the history of ${workflowId} has no beginning`);
  return { input, entries };
}
