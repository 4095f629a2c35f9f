/** Any error as lines for a person: one each, without a stack. */
import { isGrpcServiceError } from '@temporalio/client';
import { InputError } from '../plan/errors.js';
import { EXIT } from './exit-codes.js';
import { ConflictError } from './rollouts.js';

/** Wrong use of the command line: what, and what to do. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What stderr shows of an error. */
export function errorLines(error: unknown): string[] {
  if (error instanceof InputError) return error.message.split('\n');
  return [`uplift: ${whatWentWrong(error)}`];
}

export function exitCodeOfError(error: unknown): number {
  return error instanceof ConflictError ? EXIT.conflict : EXIT.error;
}

function whatWentWrong(error: unknown): string {
  if (!(error instanceof Error)) return oneLine(String(error));
  // The SDK wraps what the server said in a sentence of its own.
  for (let inner: unknown = error; inner instanceof Error; inner = inner.cause) {
    if (isGrpcServiceError(inner))
      return `Temporal answers: ${oneLine(inner.details || inner.message)}${remedyFor(inner)}`;
  }
  return oneLine(error.message);
}

function remedyFor({ details, code }: { readonly details?: string; readonly code?: number }): string {
  if (/search attribute/i.test(details ?? '')) return ' (run `uplift doctor --fix`)';
  if (/namespace/i.test(details ?? '')) return ' (check --namespace, or run `uplift doctor --fix`)';
  // UNAVAILABLE and DEADLINE_EXCEEDED.
  if (Number(code) === 14 || Number(code) === 4)
    return ' (check that it runs, and --address; `uplift doctor` looks closer)';
  return '';
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
