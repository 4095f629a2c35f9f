/** Patches in recorded histories, and how a history of a rare way is recorded: from a test that goes it. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Client } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';

const HISTORIES = new URL('../histories/', import.meta.url);
const WORKFLOWS = new URL('../../workflows/', import.meta.url);

/** As the SDK names the markers of `patched()`. */
const MARKER = 'core_patch';

interface RecordedHistory {
  readonly events: readonly {
    readonly workflowExecutionStartedEventAttributes?: {
      readonly workflowType: { readonly name: string };
      readonly continuedExecutionRunId?: string;
    };
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

/** The workflow type of a history. */
export function typeOf({ events }: RecordedHistory): string {
  return events[0]?.workflowExecutionStartedEventAttributes?.workflowType.name ?? '';
}

/** A later run's, which begins with what the run before it has handed on: its type; else nothing. */
export function laterRunIn(history: RecordedHistory): string[] {
  const { continuedExecutionRunId = '' } = history.events[0]?.workflowExecutionStartedEventAttributes ?? {};
  return continuedExecutionRunId === '' ? [] : [`${typeOf(history)} later-run`];
}

/** The new ways that a history goes, each as `TYPE NAME`: its workflow's type, and what that gives to `patched()`. */
export function patchesIn(history: RecordedHistory): string[] {
  return history.events.flatMap(({ markerRecordedEventAttributes: marker }) => {
    if (marker?.markerName !== MARKER) return [];
    const data = marker.details['patch-data']?.payloads[0]?.data ?? '';
    const { id } = JSON.parse(Buffer.from(data, 'base64').toString()) as { readonly id: string };
    return [`${typeOf(history)} ${id}`];
  });
}

/**
 * The patches that each workflow type asks, as `TYPE NAME`, by its type's file and all that it imports. A name that two
 * types ask is two patches, since a history of one says nothing of the other.
 *
 * @param read the text of a file in `workflows/`, by its name
 */
export function patchesAsked(read = (file: string) => readFileSync(new URL(file, WORKFLOWS), 'utf8')): string[] {
  const types = [...read('index.ts').matchAll(/^export \{ (\w+) \} from '\.\/([\w-]+)\.js'/gm)];
  return types.flatMap(([, type, root]) => {
    const files = new Set([`${root}.ts`]);
    // A set grows while it is gone through.
    for (const file of files) {
      const imports = captured(read(file), /^(?:import|export) (?!type\b)[^;']*from '\.\/([\w-]+)\.js'/gm);
      for (const one of imports) files.add(`${one}.ts`);
    }
    const names = [...files].flatMap((file) => patchNames(read(file)));
    return [...new Set(names)].map((name) => `${type} ${name}`);
  });
}

/** The names of all patches that any file in `workflows/` asks. */
export function patchNamesAnywhere(): string[] {
  const sources = readdirSync(WORKFLOWS).filter((file) => file.endsWith('.ts'));
  return sources.flatMap((file) => patchNames(readFileSync(new URL(file, WORKFLOWS), 'utf8')));
}

function patchNames(text: string): string[] {
  return captured(text, /(?:patched|deprecatePatch)\('([^']+)'\)/g);
}

function captured(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, one]) => one ?? '');
}

/**
 * With RECORD_PATCHES=1: writes a history of each type's patch that none in `test/histories/` holds yet, and of a later run,
 * of the workflows that a server has.
 */
export async function recordPatches(client: Client): Promise<void> {
  if (process.env['RECORD_PATCHES'] !== '1') return;
  const ways = (history: RecordedHistory) => [...patchesIn(history), ...laterRunIn(history)];
  const known = new Set(recordedHistories().flatMap((file) => ways(readHistory(file))));
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  // The time-skipping server knows no other list.
  const asked = { namespace: client.options.namespace, maximumPageSize: 1_000, startTimeFilter: {} };
  const lists = await Promise.all([
    client.workflowService.listClosedWorkflowExecutions(asked),
    client.workflowService.listOpenWorkflowExecutions(asked),
  ]);
  for (const { execution } of lists.flatMap(({ executions }) => executions)) {
    const handle = client.workflow.getHandle(execution?.workflowId ?? '', execution?.runId ?? '');
    // Where it was recorded is nobody's business and no part of a replay.
    const json = historyToJSON(await handle.fetchHistory()).replaceAll(/\d+@[\w.-]+/g, 'recorder');
    const history = JSON.parse(json, (key, value: unknown) => (key === 'stackTrace' ? '' : value)) as RecordedHistory;
    const unknown = ways(history).filter((way) => !known.has(way));
    if (unknown.length === 0) continue;
    for (const way of unknown) known.add(way);
    const names = [...new Set(unknown)].map((way) => way.slice(way.indexOf(' ') + 1));
    const name = `${typeOf(history)}-${names.join('-')}_${version}.json`;
    writeFileSync(new URL(name, HISTORIES), `${JSON.stringify(history)}\n`);
  }
}
