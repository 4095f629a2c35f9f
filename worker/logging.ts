import { DefaultLogger, type Logger as TemporalLogger } from '@temporalio/worker';
import { type DestinationStream, type LevelWithSilent, type Logger, pino } from 'pino';
import { scrub } from '../activities/secrets.js';
import { answerIn, lineOf } from '../temporal/errors.js';

/** Structured logs on stderr, one JSON object a line, scrubbed of secrets as a whole. */
export function createLog(
  level: LevelWithSilent = 'info',
  destination: DestinationStream = pino.destination(2),
): Logger {
  const hooks = { streamWrite: scrub };
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, hooks }, destination);
}

/**
 * The SDK's log lines, through ours: of an error its own words, since it may be a structure that holds headers.
 *
 * @param failures is given the last error that was logged of each task queue's worker
 */
export function temporalLogger(log: Logger, failures = new Map<string, unknown>()): TemporalLogger {
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
  return new DefaultLogger('INFO', ({ level, message, meta }) => {
    const { error, ...about } = meta ?? {};
    if (level === 'ERROR' && error !== undefined) failures.set(String(about['taskQueue']), error);
    const told = error === undefined ? {} : { error: answerIn(error)?.details ?? lineOf(error) };
    log[levels[level]]({ ...about, ...told }, message);
  });
}
