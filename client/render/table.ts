/** Tables without lines: two spaces between columns, a dim head, one column that gives way when space is short. */
import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import type { Paint } from './paint.js';
import { cutId } from './text.js';

export interface Column {
  readonly head: string;
  readonly align?: 'left' | 'right';
  /** The column that gives way first, by wrapping: at most one. */
  readonly wraps?: boolean;
  /** Holds ids: they are cut in the middle when wrapping is not enough. */
  readonly id?: boolean;
}

const INDENT = '  ';
const GAP = 2;
const NARROWEST_ID = 13;
const NARROWEST_WRAP = 24;

const LINES =
  'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid middle';
const NO_LINES = Object.fromEntries(LINES.split(' ').map((name) => [name, '']));

type Rows = readonly (readonly string[])[];

/**
 * @param width characters the table may take; `Infinity` for a pipe, where each row stays one line
 * @returns its lines, without an end
 */
export function renderTable(columns: readonly Column[], rows: Rows, width: number, paint: Paint): string {
  return drawn(columns, rows, fitted(columns, rows, width - INDENT.length), paint);
}

/** Several tables of the same columns, as wide in each, so that one can be read on from the other. */
export function renderTables(
  columns: readonly Column[],
  parts: readonly Rows[],
  width: number,
  paint: Paint,
): string[] {
  const widths = fitted(columns, parts.flat(), width - INDENT.length);
  return parts.map((rows) => drawn(columns, rows, widths, paint));
}

function drawn(columns: readonly Column[], rows: Rows, widths: readonly number[], paint: Paint): string {
  const table = new Table({
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    colWidths: widths.map((w, at) => (at < widths.length - 1 ? w + GAP : w)),
    colAligns: columns.map(({ align }) => align ?? 'left'),
    wordWrap: true,
    wrapOnWordBoundary: true,
  });
  table.push(columns.map(({ head }, at) => gapped(paint.dim(head), at, columns)));
  for (const row of rows) {
    table.push(
      row.map((cell, at) => gapped(columns[at]?.id === true ? cutId(cell, widths[at] ?? 0) : cell, at, columns)),
    );
  }
  return table
    .toString()
    .split('\n')
    .map((line) => (INDENT + line).trimEnd())
    .join('\n');
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
  columns.forEach(({ wraps }, at) => wraps === true && shrink(at, NARROWEST_WRAP));
  columns.forEach(({ id }, at) => id === true && shrink(at, NARROWEST_ID));
  return widths;
}

function lengthOf(cell: string): number {
  return stripVTControlCharacters(cell).length;
}
