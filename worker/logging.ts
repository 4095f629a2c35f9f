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
 * The SDK's log lines, through ours. Its core prints a failed call as a Rust structure that holds the answer's headers, in
 * whichever field or in the message: what is left of it are the server's own words.
 *
 * @param failures is given the last error that was logged of each task queue's worker
 */
export function temporalLogger(log: Logger, failures = new Map<string, unknown>()): TemporalLogger {
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
  return new DefaultLogger('INFO', ({ level, message, meta = {} }) => {
    const { error, taskQueue } = meta;
    if (level === 'ERROR' && error !== undefined) failures.set(String(taskQueue), error);
    const about = Object.entries(meta).map(([name, value]) => [name, inWords(value)]);
    log[levels[level]](Object.fromEntries(about), withoutHeaders(message));
  });
}

function inWords(value: unknown): unknown {
  if (!(value instanceof Error) && typeof value !== 'string') return value;
  return answerIn(value)?.details ?? withoutHeaders(lineOf(value));
}

/** As Rust prints them: names and values in quotes. */
const HEADERS = /(?:, )?(?:metadata: )?(?:MetadataMap \{ )?headers: \{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}(?: \})?/g;

/** What is printed in yet another way is left out to the text's end. */
function withoutHeaders(text: string): string {
  return text.replaceAll(HEADERS, '').replace(/MetadataMap[^]*/, '…');
}
