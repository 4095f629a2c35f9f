/**
 * Markdown for the UI's current details. The first lines say what the state is, what comes next and why; tables follow.
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
/**
 * A line of a no-break space. The UI makes the frame of a text that ends with a table a line too low: then it cuts this one
 * off, and not the last row.
 */
export const AFTER_TABLE = '\n\n\u00a0';

export function markdown({ state, next, why, more = [], tables = [] }: Details): string {
  const lines = [['Next:', next], ['Why:', why], ...more].map(([label, text]) => `**${label}** ${text}`);
  const shown = tables.filter(({ rows }) => rows.length > 0).map(table);
  const text = [[state, ...lines].join(BREAK), ...shown].join('\n\n');
  return shown.length === 0 ? text : `${text}${AFTER_TABLE}`;
}

function table({ head, rows }: Table): string {
  const row = (cells: readonly (string | number)[]) => `| ${cells.map(cell).join(' | ')} |`;
  return [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');
}

/** A bar in a cell would end it. */
function cell(text: string | number): string {
  return String(text).replaceAll('|', '\\|').replaceAll('\n', ' ');
}
