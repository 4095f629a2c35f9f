/** Temporal cannot be had as asked: one line saying what is wrong, where, and what to do about it. */
export class TemporalSetupError extends Error {
  override readonly name = 'TemporalSetupError';

  constructor(problem: string, remedy: string) {
    super(`${problem} (${remedy})`);
  }
}

/** An unknown thrown value as one line. */
export function lineOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s*\n\s*/g, ' ').trim();
}
