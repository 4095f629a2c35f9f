/** What keeps failing, as people read it. */
import type { QuarantineRow } from '../quarantine.js';
import type { Paint } from './paint.js';
import { renderTable } from './table.js';
import { momentIn } from './text.js';

const COLUMNS = [
  { head: 'upgrade', key: true },
  { head: 'failures in a row' },
  { head: 'since' },
  { head: 'latest', wraps: true },
  { head: 'released', wraps: true },
] as const;

/** @param now milliseconds since the epoch */
export function renderQuarantine(rows: readonly QuarantineRow[], width: number, now: number, paint: Paint): string {
  const cells = rows.map(({ workflowId, failures, since, last, released }) => [
    workflowId,
    String(failures),
    momentIn(width, since, now),
    `${last.rollout}: ${last.reason}`,
    released === undefined ? '' : `${momentIn(width, released.at, now)} by ${released.by}: ${released.reason}`,
  ]);
  return renderTable(COLUMNS, cells, width, paint);
}
