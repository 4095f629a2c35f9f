/** Tables for people, on stdout. */
import { plain } from '../client/render/paint.js';
import { renderTable } from '../client/render/table.js';

/** Aligned columns, the first one flush left. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const columns = head.map((name, at) => ({ head: name, align: at === 0 ? ('left' as const) : ('right' as const) }));
  return renderTable(columns, rows, Infinity, plain);
}

/** `12.3` */
export function fixed(value: number, digits = 1): string {
  return value.toFixed(digits);
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
