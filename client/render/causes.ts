/** What holds a rollout, as `explain` tells it. */
import type { Cause } from '../explain/scene.js';
import type { Paint } from './paint.js';
import { renderTable } from './table.js';
import { momentAhead } from './text.js';

const COLUMNS = [
  { head: 'who', key: true },
  { head: 'why', wraps: true },
  { head: 'changes by', wraps: true },
  { head: 'at' },
] as const;

/** @param now milliseconds since the epoch */
export function renderCauses(causes: readonly Cause[], width: number, now: number, paint: Paint): string {
  const rows = causes.map(({ who, what, nextAt, changes }) => [
    who,
    what,
    changes,
    nextAt === null ? '' : momentAhead(width, nextAt, now),
  ]);
  return renderTable(COLUMNS, rows, width, paint);
}
