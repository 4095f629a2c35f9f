/**
 * Markdown for the UI's current details. Its frame shows about six lines, so the first ones say what the state is, what
 * comes next and why; a table follows.
 */
export interface Details {
  readonly state: string;
  readonly next: string;
  readonly why: string;
  /** More lines of the same kind: label and text. */
  readonly more?: readonly (readonly [label: string, text: string])[];
  readonly tables?: readonly Table[];
}

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

/** Two spaces at a line's end keep the line. */
const BREAK = '  \n';

export function markdown({ state, next, why, more = [], tables = [] }: Details): string {
  const lines = [['Next:', next], ['Why:', why], ...more].map(([label, text]) => `**${label}** ${text}`);
  const shown = tables.filter(({ rows }) => rows.length > 0).map(table);
  return [[state, ...lines].join(BREAK), ...shown].join('\n\n');
}

function table({ head, rows }: Table): string {
  const row = (cells: readonly (string | number)[]) => `| ${cells.map(cell).join(' | ')} |`;
  return [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');
}

/** A bar in a cell would end it. */
function cell(text: string | number): string {
  return String(text).replaceAll('|', '\\|').replaceAll('\n', ' ');
}
