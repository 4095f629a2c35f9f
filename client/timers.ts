/** What an upgrade waits for between two steps, as its history tells it: no worker is needed. */
import type { Client } from '@temporalio/client';
import { tsToMs } from '@temporalio/common/lib/time.js';
import { decoded } from './server-reads.js';

/** Events read back for a timer and the step before it. */
const EVENTS_BACK = 30;

export interface Timer {
  /** Empty where it does not say. */
  readonly why: string;
  /** Epoch ms. */
  readonly firesAt: number;
}

/** The latest timer that has neither fired nor been cancelled, from the end of the history; `null` where none runs. */
export async function pendingTimer(
  client: Client,
  { workflowId, runId }: { readonly workflowId: string; readonly runId: string | null },
): Promise<Timer | null> {
  const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize: EVENTS_BACK,
  });
  const events = history?.events ?? [];
  const over = new Set(
    events.map((event) =>
      String((event.timerFiredEventAttributes ?? event.timerCanceledEventAttributes)?.startedEventId),
    ),
  );
  const at = events.findIndex((event) => event.timerStartedEventAttributes != null && !over.has(String(event.eventId)));
  const event = events[at];
  if (event === undefined) return null;
  const summary = event.userMetadata?.summary;
  const shown = summary == null ? '' : String(await decoded(client, [summary]));
  const step = events.slice(at).find(({ activityTaskCompletedEventAttributes: ended }) => ended != null);
  const result = await decoded(client, step?.activityTaskCompletedEventAttributes?.result?.payloads);
  return {
    why: wholeReason(shown, result),
    firesAt: tsToMs(event.eventTime) + tsToMs(event.timerStartedEventAttributes?.startToFireTimeout),
  };
}

/** A summary has room for its beginning only: the step that led to the wait has told all of it. */
function wholeReason(summary: string, result: unknown): string {
  const { reason } = (result ?? {}) as { readonly reason?: unknown };
  const isCut = summary.endsWith('…') && typeof reason === 'string' && reason.startsWith(summary.slice(0, -1));
  return isCut ? reason : summary;
}
