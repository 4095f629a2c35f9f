/** What a rollout leaves at the server: events and bytes, as visibility has them of ended workflows. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@temporalio/client';

export interface Histories {
  readonly workflows: number;
  readonly events: number;
  readonly bytes: number;
  /** The workflow with the most events. */
  readonly largest: { readonly id: string; readonly events: number };
}

const SETTLES_WITHIN_MS = 30_000;

/**
 * All ended workflows of the server, once as many upgrades are among them as there were.
 *
 * @param upgrade the type of those that count as upgrades
 * @param types left out: all that there are
 */
export async function histories(
  client: Client,
  upgrades: number,
  upgrade = 'upgrade',
  types?: readonly string[],
): Promise<Histories> {
  const query = `WorkflowType = '${upgrade}' AND ExecutionStatus != 'Running'`;
  const only = types === undefined ? '' : ` AND WorkflowType IN (${types.map((type) => `'${type}'`).join(', ')})`;
  // Visibility follows a moment later.
  for (let waited = 0; waited < SETTLES_WITHIN_MS; waited += 250) {
    if ((await client.workflow.count(query)).count >= upgrades) break;
    await delay(250);
  }
  let sum: Histories = { workflows: 0, events: 0, bytes: 0, largest: { id: '', events: 0 } };
  for await (const run of client.workflow.list({
    query: `ExecutionStatus != 'Running'${only}`,
    pageSize: 1_000,
  })) {
    const { historyLength: events, historySize: bytes = 0, workflowId: id } = run;
    sum = {
      workflows: sum.workflows + 1,
      events: sum.events + events,
      bytes: sum.bytes + bytes,
      largest: events > sum.largest.events ? { id, events } : sum.largest,
    };
  }
  return sum;
}

/** Bytes of the largest single payload in any history but those of upgrades, of which the largest few are looked at. */
export async function largestPayload(client: Client): Promise<number> {
  let most = 0;
  const look = async (query: string, atMost: number): Promise<void> => {
    let looked = 0;
    for await (const { workflowId, runId } of client.workflow.list({ query })) {
      const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
      most = Math.max(most, ...(events ?? []).flatMap((event) => payloadSizes(event)));
      looked += 1;
      if (looked >= atMost) return;
    }
  };
  await look("WorkflowType != 'upgrade'", Infinity);
  await look("WorkflowType = 'upgrade'", UPGRADES_LOOKED_AT);
  return most;
}

const UPGRADES_LOOKED_AT = 100;

/** Of all payloads anywhere in a message. */
function payloadSizes(message: unknown): number[] {
  if (typeof message !== 'object' || message === null) return [];
  if ('data' in message && message.data instanceof Uint8Array) return [message.data.length];
  if (ArrayBuffer.isView(message)) return [];
  return Object.values(message).flatMap(payloadSizes);
}
