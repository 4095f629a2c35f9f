/** Any error as lines for a person: one each, without a stack. */
import { isGrpcServiceError } from '@temporalio/client';
import { InputError } from '../plan/errors.js';
import { answerIn } from '../temporal/errors.js';
import { EXIT } from './exit-codes.js';
import { ConflictError } from './rollouts.js';

/** gRPC status codes. */
const DEADLINE_EXCEEDED = 4;
const UNAVAILABLE = 14;
/** As a worker's errors name them. */
const CODES: Readonly<Record<string, number>> = { DeadlineExceeded: DEADLINE_EXCEEDED, Unavailable: UNAVAILABLE };

/** Wrong use of the command line: what, and what to do. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The name is another schedule's. */
export class ScheduleTakenError extends Error {
  override readonly name = 'ScheduleTakenError';

  constructor(schedule: string) {
    super(
      `there is a schedule ${schedule} already (\`uplift schedule update ${schedule}\` changes it, or choose another name)`,
    );
  }
}

/** What would be done is not what was approved: the file, a choice or an offer has changed. */
export class ChangedPlanError extends Error {
  override readonly name = 'ChangedPlanError';

  constructor(file: string, approved: string, now: string) {
    super(
      `${file} is not what was planned as ${approved}: it is ${now.slice(0, 12)} now, since the file, what its selectors choose or what a cloud offers has changed (plan again, and look)`,
    );
  }
}

/** What stderr shows of an error. */
export function errorLines(error: unknown): string[] {
  if (error instanceof InputError) return error.message.split('\n');
  // Loaded only where a worker is; its lines are like those of bad input.
  if (error instanceof Error && error.name === 'SettingsError') return error.message.split('\n');
  return [`uplift: ${whatWentWrong(error)}`];
}

export function exitCodeOfError(error: unknown): number {
  const isConflict =
    error instanceof ConflictError || error instanceof ChangedPlanError || error instanceof ScheduleTakenError;
  return isConflict ? EXIT.conflict : EXIT.error;
}

/** An error as one line. */
export function whatWentWrong(error: unknown): string {
  if (!(error instanceof Error)) return oneLine(String(error));
  const answer = grpcErrorIn(error);
  if (answer !== null) return told(oneLine(answer.details || answer.message), Number(answer.code));
  const toWorker = answerIn(error);
  if (toWorker !== null) return told(oneLine(toWorker.details), CODES[toWorker.code]);
  // The SDK has a class of its own for this answer, and keeps the server's no more.
  if (error.name === 'NamespaceNotFoundError') return told(oneLine(error.message), undefined);
  return oneLine(error.message);
}

/** What the server answered, since the SDK wraps it in a sentence of its own. */
export function grpcErrorIn(error: unknown): (Error & { readonly code: number; readonly details: string }) | null {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    if (isGrpcServiceError(inner)) return inner;
  }
  return null;
}

function told(details: string, code: number | undefined): string {
  if (code === DEADLINE_EXCEEDED || code === UNAVAILABLE) {
    const how = code === UNAVAILABLE ? `: ${details}` : ' in time';
    return `Temporal does not answer${how} (check that it runs, and --address; \`uplift doctor\` looks closer)`;
  }
  const remedy = /search attribute/i.test(details)
    ? ' (run `uplift doctor --fix`)'
    : /namespace/i.test(details)
      ? ' (check --namespace, or run `uplift doctor --fix`)'
      : '';
  return `Temporal answers: ${details}${remedy}`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
