/** Tables for people, on stdout. */
import Table from 'cli-table3';

/** Lines with aligned columns, the first one flush left. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const printed = new Table({
    head: [...head],
    style: { head: [], border: [] },
    colAligns: head.map((_, at) => (at === 0 ? 'left' : 'right')),
  });
  printed.push(...rows.map((row) => [...row]));
  return printed.toString();
}

/** `12.3` */
export function fixed(value: number, digits = 1): string {
  return value.toFixed(digits);
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
