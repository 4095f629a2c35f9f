/** Tables without lines: two spaces between columns, a dim head, one column that gives way when space is short. */
import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import type { Paint } from './paint.js';
import { cutId, wrap } from './text.js';

export interface Column {
  readonly head: string;
  readonly align?: 'left' | 'right';
  /** Gives way first, by wrapping; the last such column before the others. */
  readonly wraps?: boolean;
  /** Holds ids: they are cut in the middle when wrapping is not enough. */
  readonly id?: boolean;
  /** Left out of narrower tables. */
  readonly fromWidth?: number;
}

const INDENT = '  ';
const GAP = 2;
const NARROWEST_ID = 13;
const NARROW_WRAP = 24;
const NARROWEST_WRAP = 17;

const LINES =
  'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid middle';
const NO_LINES = Object.fromEntries(LINES.split(' ').map((name) => [name, '']));

type Rows = readonly (readonly string[])[];

/**
 * @param width characters the table may take; `Infinity` for a pipe, where each row stays one line
 * @returns its lines, without an end
 */
export function renderTable(columns: readonly Column[], rows: Rows, width: number, paint: Paint): string {
  return renderTables(columns, [rows], width, paint).join('');
}

/** Several tables of the same columns, as wide in each, so that one can be read on from the other. */
export function renderTables(
  columns: readonly Column[],
  parts: readonly Rows[],
  width: number,
  paint: Paint,
): string[] {
  const kept = columns.flatMap(({ fromWidth = 0 }, at) => (width >= fromWidth ? [at] : []));
  const shown = columns.filter((_, at) => kept.includes(at));
  const cells = parts.map((rows) => rows.map((row) => kept.map((at) => row[at] ?? '')));
  const widths = fitted(shown, cells.flat(), width - INDENT.length);
  return cells.map((rows) => drawn(shown, rows, widths, paint));
}

function drawn(columns: readonly Column[], rows: Rows, widths: readonly number[], paint: Paint): string {
  const table = new Table({
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    colWidths: widths.map((w, at) => (at < widths.length - 1 ? w + GAP : w)),
    colAligns: columns.map(({ align }) => align ?? 'left'),
  });
  table.push(columns.map(({ head }, at) => gapped(paint.dim(head), at, columns)));
  for (const row of rows) {
    table.push(row.map((cell, at) => gapped(fit(cell, columns[at], widths[at] ?? 0), at, columns)));
  }
  return table
    .toString()
    .split('\n')
    .map((line) => (INDENT + line).trimEnd())
    .join('\n');
}

function fit(cell: string, column: Column | undefined, width: number): string {
  if (column?.id === true) return cutId(cell, width);
  return column?.wraps === true ? wrap(cell, width).join('\n') : cell;
}

/** The gap belongs to the left column; a right-aligned one has to bring it along. */
function gapped(cell: string, at: number, columns: readonly Column[]): string {
  return columns[at]?.align === 'right' && at < columns.length - 1 ? cell + ' '.repeat(GAP) : cell;
}

function fitted(columns: readonly Column[], rows: Rows, room: number): number[] {
  const widths = columns.map(({ head }, at) => Math.max(head.length, ...rows.map((row) => lengthOf(row[at] ?? ''))));
  const over = () => widths.reduce((sum, w) => sum + w, 0) + GAP * (widths.length - 1) - room;
  const shrink = (at: number, least: number) => {
    const excess = over();
    const own = widths[at];
    if (own !== undefined && excess > 0) widths[at] = Math.max(own - excess, Math.min(own, least));
  };
  const those = (which: (column: Column) => boolean | undefined) =>
    columns.flatMap((column, at) => (which(column) === true ? [at] : [])).toReversed();
  for (const at of those(({ wraps }) => wraps)) shrink(at, NARROW_WRAP);
  for (const at of those(({ id }) => id)) shrink(at, NARROWEST_ID);
  for (const at of those(({ wraps }) => wraps)) shrink(at, NARROWEST_WRAP);
  return widths;
}

function lengthOf(cell: string): number {
  return stripVTControlCharacters(cell).length;
}
