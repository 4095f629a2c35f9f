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

/** A gRPC status that the server answered. */
export interface ServerAnswer {
  /** Its name, as `PermissionDenied`. */
  readonly code: string;
  /** The server's own words. */
  readonly details: string;
}

/** The answer in an error of the SDK's worker, whose text is a Rust structure with it and the headers; `null` for any other. */
export function answerIn(error: unknown): ServerAnswer | null {
  const [, code, details] = /\bStatus \{ code: (\w+), message: "((?:[^"\\]|\\.)*)"/.exec(lineOf(error)) ?? [];
  if (code === undefined || details === undefined) return null;
  return { code, details: details.replaceAll(/\\(["'\\])/g, '$1') || code };
}
