import type { CloudError } from './errors.js';
import type { ErrorClass } from './port.js';

/** Codes of one service or layer, by what they mean to the steps above. A `*` at the end stands for any rest. */
export type ErrorTable = Readonly<Partial<Record<ErrorClass, readonly string[]>>>;

/** The class of `code` in the first table that knows it; otherwise the class that the HTTP status alone gives. */
export function classifyBy(
  tables: readonly ErrorTable[],
  { code, status }: Pick<CloudError, 'code' | 'status'>,
): ErrorClass {
  for (const table of tables) {
    for (const [errorClass, codes] of Object.entries(table) as [ErrorClass, readonly string[]][]) {
      if (code !== null && codes.some((known) => matches(known, code))) return errorClass;
    }
  }
  return classOfStatus(status);
}

/** What an HTTP status means where no code says more. */
function classOfStatus(status: number | null): ErrorClass {
  if (status === 401 || status === 403) return 'denied';
  if (status === 404) return 'not-found';
  if (status === 429) return 'throttled';
  return status !== null && status >= 400 && status < 500 && status !== 408 ? 'permanent' : 'transient';
}

function matches(known: string, code: string): boolean {
  return known.endsWith('*') ? code.startsWith(known.slice(0, -1)) : code === known;
}
