/**
 * Tables without lines: two spaces between columns, a dim head, one column that gives way when space is short. Where that is
 * not enough, each row is told as a record of its own: its id, and a line for each of its cells.
 */
import type { Paint } from './paint.js';
import { cutId, pad, widthOf, wrap } from './text.js';

export interface Column {
  readonly head: string;
  readonly align?: 'left' | 'right';
  /** Gives way first, by wrapping; the last such column before the others. */
  readonly wraps?: boolean;
  /** Holds ids: they are cut in the middle when wrapping is not enough. */
  readonly id?: boolean;
  /** Holds ids that a command takes: never cut, so that they can be copied. */
  readonly key?: boolean;
  /** Left out of narrower tables, and where there is no room for it. */
  readonly fromWidth?: number;
}

const INDENT = '  ';
const GAP = 2;
/** A shorter piece of an id tells nobody which it is. */
export const NARROWEST_ID = 13;
const NARROW_WRAP = 24;
const NARROWEST_WRAP = 17;
/** A longer word is broken where it has no room. */
const LONGEST_KEY = 40;

type Rows = readonly (readonly string[])[];

/**
 * @param width columns of a terminal that the table may take; `Infinity` for a pipe, where each row stays one line
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
  const wide = columns.flatMap(({ fromWidth = 0 }, at) => (width >= fromWidth ? [at] : []));
  const least = columns.flatMap(({ fromWidth }, at) => (fromWidth === undefined ? [at] : []));
  for (const kept of [wide, least]) {
    const shown = kept.flatMap((at) => columns[at] ?? []);
    const cells = parts.map((rows) => rows.map((row) => kept.map((at) => row[at] ?? '')));
    const widths = fitted(shown, cells.flat(), width - INDENT.length);
    if (widths !== null) return cells.map((rows) => drawn(shown, rows, widths, paint));
  }
  return parts.map((rows) => rows.flatMap((row) => record(columns, row, width, paint)).join('\n'));
}

function record(columns: readonly Column[], row: readonly string[], width: number, paint: Paint): string[] {
  const title = Math.max(
    columns.findIndex(({ key }) => key),
    0,
  );
  const told = columns.flatMap(({ head }, at) => (at === title || !row[at] ? [] : [{ head, cell: row[at] }]));
  const room = Math.max(...told.map(({ head }) => widthOf(head))) + GAP;
  const lines = told.flatMap(({ head, cell }) =>
    wrap(cell, Math.max(width - 2 * INDENT.length - room, NARROWEST_WRAP)).map(
      (line, at) => paint.dim(pad(at === 0 ? head : '', room)) + line,
    ),
  );
  return [INDENT + paint.bold(row[title] ?? ''), ...lines.map((line) => INDENT + INDENT + line)];
}

function drawn(columns: readonly Column[], rows: Rows, widths: readonly number[], paint: Paint): string {
  const head = columns.map((column) => [paint.dim(column.head)]);
  const body = rows.map((row) => columns.map((column, at) => fit(row[at] ?? '', column, widths[at] ?? 0)));
  return [head, ...body].flatMap((cells) => lines(cells, columns, widths)).join('\n');
}

/** A row: as many lines as its highest cell. */
function lines(cells: readonly (readonly string[])[], columns: readonly Column[], widths: readonly number[]): string[] {
  const height = Math.max(1, ...cells.map((cell) => cell.length));
  return Array.from({ length: height }, (_, line) => {
    const parts = columns.map(({ align }, at) => pad(cells[at]?.[line] ?? '', widths[at] ?? 0, align));
    return (INDENT + parts.join(' '.repeat(GAP))).trimEnd();
  });
}

function fit(cell: string, { id, wraps }: Column, width: number): string[] {
  if (id === true) return [cutId(cell, width)];
  return wraps === true ? wrap(cell, width) : cell.split('\n');
}

/** How wide each column becomes; `null` where they have not enough room together. */
function fitted(columns: readonly Column[], rows: Rows, room: number): number[] | null {
  const widths = columns.map(({ head }, at) => Math.max(widthOf(head), ...rows.map((row) => widthOf(row[at] ?? ''))));
  const over = () => widths.reduce((sum, w) => sum + w, 0) + GAP * (widths.length - 1) - room;
  const shrink = (at: number, least: number) => {
    const excess = over();
    const own = widths[at];
    if (own !== undefined && excess > 0) widths[at] = Math.max(own - excess, Math.min(own, least));
  };
  // What people copy from such tables stands in their prose, too.
  const hasKeys = columns.some(({ key }) => key);
  const narrowest = (at: number) =>
    hasKeys && over() > 0
      ? Math.max(NARROWEST_WRAP, ...rows.map((row) => Math.min(longestWord(row[at] ?? ''), LONGEST_KEY)))
      : NARROWEST_WRAP;
  const those = (which: (column: Column) => boolean | undefined) =>
    columns.flatMap((column, at) => (which(column) === true ? [at] : [])).toReversed();
  for (const at of those(({ wraps }) => wraps)) shrink(at, Math.max(NARROW_WRAP, narrowest(at)));
  for (const at of those(({ id }) => id)) shrink(at, NARROWEST_ID);
  for (const at of those(({ wraps }) => wraps)) shrink(at, narrowest(at));
  return over() > 0 ? null : widths;
}

function longestWord(cell: string): number {
  return Math.max(...cell.split(/\s+/).map(widthOf));
}
