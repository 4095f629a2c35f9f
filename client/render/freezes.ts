/** Freezes as people read them. */
import { coverLabel, type Freeze, isActive } from '../../workflows/contracts/freezes.js';
import type { Paint } from './paint.js';
import { renderTable } from './table.js';
import { duration, momentIn } from './text.js';

const COLUMNS = [
  { head: 'freeze', key: true },
  { head: 'what', wraps: true },
  { head: 'until' },
  { head: 'by' },
  { head: 'reason', wraps: true },
  { head: 'state', wraps: true },
] as const;

/** @param now milliseconds since the epoch */
export function renderFreezes(freezes: readonly Freeze[], width: number, now: number, paint: Paint): string {
  const rows = freezes.map((one) => [
    one.id,
    frozenLabel(one),
    momentIn(width, one.until, now),
    one.owner,
    one.reason,
    one.lifted !== undefined
      ? `lifted ${momentIn(width, one.lifted.at, now)} by ${one.lifted.by}: ${one.lifted.reason}`
      : isActive(one, now)
        ? `holds, for ${duration(Date.parse(one.until) - now)} more`
        : 'ended',
  ]);
  return renderTable(COLUMNS, rows, width, paint);
}

/** `account=prod, except service=dcs` */
export function frozenLabel({ scope, except }: Pick<Freeze, 'scope' | 'except'>): string {
  return `${coverLabel(scope)}${except.length === 0 ? '' : `, except ${coverLabel(except)}`}`;
}
