/** Patches in recorded histories, and how a history of a rare way is recorded: from a test that goes it. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Client } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';

const HISTORIES = new URL('../histories/', import.meta.url);

/** As the SDK names the markers of `patched()`. */
const MARKER = 'core_patch';

interface RecordedHistory {
  readonly events: readonly {
    readonly markerRecordedEventAttributes?: {
      readonly markerName: string;
      readonly details: Readonly<Record<string, { readonly payloads: readonly { readonly data: string }[] }>>;
    };
  }[];
}

/** Names of the recorded histories' files. */
export function recordedHistories(): string[] {
  return readdirSync(HISTORIES).filter((file) => file.endsWith('.json'));
}

/** @param file one of `recordedHistories()` */
export function readHistory(file: string): RecordedHistory {
  return JSON.parse(readFileSync(new URL(file, HISTORIES), 'utf8')) as RecordedHistory;
}

/** The new ways that a history goes, by the names that the workflows give to `patched()`. */
export function patchesIn({ events }: RecordedHistory): string[] {
  return events.flatMap(({ markerRecordedEventAttributes: marker }) => {
    if (marker?.markerName !== MARKER) return [];
    const data = marker.details['patch-data']?.payloads[0]?.data ?? '';
    return [(JSON.parse(Buffer.from(data, 'base64').toString()) as { readonly id: string }).id];
  });
}

/**
 * With RECORD_PATCHES=1: writes a history of each patch that none in `test/histories/` holds yet, of the workflows that
 * a server has.
 */
export async function recordPatches(client: Client): Promise<void> {
  if (process.env['RECORD_PATCHES'] !== '1') return;
  const known = new Set(recordedHistories().flatMap((file) => patchesIn(readHistory(file))));
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  // The time-skipping server knows no other list.
  const asked = { namespace: client.options.namespace, maximumPageSize: 1_000, startTimeFilter: {} };
  const lists = await Promise.all([
    client.workflowService.listClosedWorkflowExecutions(asked),
    client.workflowService.listOpenWorkflowExecutions(asked),
  ]);
  for (const { execution, type } of lists.flatMap(({ executions }) => executions)) {
    const handle = client.workflow.getHandle(execution?.workflowId ?? '', execution?.runId ?? '');
    // Where it was recorded is nobody's business and no part of a replay.
    const json = historyToJSON(await handle.fetchHistory()).replaceAll(/\d+@[\w.-]+/g, 'recorder');
    const history = JSON.parse(json, (key, value: unknown) => (key === 'stackTrace' ? '' : value)) as RecordedHistory;
    const unknown = patchesIn(history).filter((patch) => !known.has(patch));
    if (unknown.length === 0) continue;
    for (const patch of unknown) known.add(patch);
    const name = `${type?.name ?? ''}-${unknown.join('-')}_${version}.json`;
    writeFileSync(new URL(name, HISTORIES), `${JSON.stringify(history)}\n`);
  }
}
