/** The API key for Temporal from a file, so that it can be exchanged while the worker runs. */
import type { NativeConnection } from '@temporalio/worker';
import type { Logger } from 'pino';
import type { Clock } from '../activities/clock.js';
import { keepPassingSecret } from '../activities/secrets.js';
import type { ServerTarget } from '../temporal/connection.js';
import { lineOf } from '../temporal/errors.js';
import { readSecretFile, refusedFile } from '../temporal/secret-file.js';

const VARIABLE = 'UPLIFT_API_KEY_FILE';
const READ_EVERY_MS = 30_000;

export class ApiKeyFile {
  private readonly path: string;
  private used = '';

  constructor(path: string) {
    this.path = path;
  }

  /** @throws TemporalSetupError when it cannot be read, others can read it, or it holds anything but one key */
  read(): string {
    this.used = readKey(this.path);
    return this.used;
  }

  /** Gives the connection each new key; ends when `signal` is aborted. While the file cannot be read, the old one stays. */
  async follow(
    connection: Pick<NativeConnection, 'setApiKey'>,
    clock: Clock,
    log: Pick<Logger, 'info' | 'warn'>,
    signal: AbortSignal,
  ): Promise<void> {
    for (;;) {
      await clock.sleep(READ_EVERY_MS, signal).catch(() => {});
      if (signal.aborted) return;
      try {
        const key = readKey(this.path);
        if (key === this.used) continue;
        await connection.setApiKey(key);
        this.used = key;
        log.info('the new API key for Temporal is used from now on');
      } catch (error) {
        log.warn(`the API key for Temporal stays as it was: ${lineOf(error)}`);
      }
    }
  }
}

/** The target with this key, whatever else its profile says. */
export function withApiKey(target: ServerTarget, apiKey: string): ServerTarget {
  return { ...target, options: { ...target.options, apiKey } };
}

function readKey(path: string): string {
  const key = readSecretFile(VARIABLE, path).trim();
  // Whatever it is: none of it is to be seen.
  for (const line of key.split(/\s+/)) keepPassingSecret(line);
  const objection = key === '' ? 'is empty' : /^[\x21-\x7e]+$/.test(key) ? null : 'holds more than a key';
  if (objection === null) return key;
  throw refusedFile(VARIABLE, path, objection, 'name a file that holds the key alone, on one line');
}
