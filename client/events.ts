/** `watch` for machines: one JSON object a line, the first one carrying the format's version. */
import type { ResourceRow, RolloutView } from './views.js';

/** Raised when a field changes its meaning or goes away; new fields and event types may come any time. */
export const WATCH_VERSION = 1;

export type WatchEvent =
  | {
      readonly type: 'start';
      readonly version: typeof WATCH_VERSION;
      readonly rollout: string;
      readonly ui: string | null;
    }
  /** The rollout, whenever its state, reason, counts or waves changed. */
  | { readonly type: 'rollout'; readonly rollout: RolloutView }
  /** One resource, whenever anything about it changed. */
  | { readonly type: 'resource'; readonly resource: ResourceRow }
  /** The last line. `exitCode` is the process's own. */
  | { readonly type: 'end'; readonly rollout: RolloutView; readonly exitCode: number };

export interface Seen {
  readonly view: RolloutView;
  readonly rows: readonly ResourceRow[];
}

/** What changed since the look before; everything, when there was none. Pending resources appear when they start. */
export function changesSince(before: Seen | null, now: Seen): WatchEvent[] {
  const known = new Map(before?.rows.map((row) => [row.workflowId, JSON.stringify(row)]));
  const events: WatchEvent[] = [];
  if (before === null || JSON.stringify(before.view) !== JSON.stringify(now.view)) {
    events.push({ type: 'rollout', rollout: now.view });
  }
  for (const row of now.rows) {
    const isNews = known.get(row.workflowId) !== JSON.stringify(row);
    if (isNews && (row.phase !== 'Pending' || known.has(row.workflowId)))
      events.push({ type: 'resource', resource: row });
  }
  return events;
}
