import { DefaultLogger, type Logger as TemporalLogger } from '@temporalio/worker';
import { type DestinationStream, type LevelWithSilent, type Logger, pino } from 'pino';
import { scrub } from '../activities/secrets.js';

/** Structured logs on stderr, one JSON object a line, scrubbed of secrets as a whole. */
export function createLog(
  level: LevelWithSilent = 'info',
  destination: DestinationStream = pino.destination(2),
): Logger {
  const hooks = { streamWrite: scrub };
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, hooks }, destination);
}

/** The SDK's log lines, through ours. */
export function temporalLogger(log: Logger): TemporalLogger {
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
  return new DefaultLogger('INFO', ({ level, message, meta }) => {
    log[levels[level]](meta ?? {}, message);
  });
}
