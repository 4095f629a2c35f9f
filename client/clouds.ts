/** The connection to the clouds, for the commands that read there: loading what it needs takes a process a while. */
import { systemClock } from '../activities/clock.js';
import { CLOUD_APIS } from '../activities/clouds/index.js';
import { openSessions, type Sessions } from '../activities/clouds/sessions.js';
import { createTransport } from '../activities/transport.js';
import { loadAccounts, loadWebhooks, type Account } from '../plan/accounts.js';
import { say } from './context.js';

export interface Clouds {
  readonly accounts: ReadonlyMap<string, Account>;
  readonly sessions: Sessions;
  /** Names of those that notices may go to. */
  readonly webhooks: readonly string[];
}

/**
 * Runs with the accounts file's sessions and closes their connections.
 *
 * @throws InputError for an accounts file that cannot be used
 */
export async function withClouds<T>(file: string, use: (clouds: Clouds) => Promise<T>): Promise<T> {
  const accounts = loadAccounts(file, CLOUD_APIS);
  const webhooks = [...loadWebhooks(file, CLOUD_APIS).keys()];
  const transport = createTransport({ clock: systemClock });
  try {
    const sessions = openSessions({ accounts, clock: systemClock, transport, env: process.env, log: say });
    return await use({ accounts, sessions, webhooks });
  } finally {
    await transport.close();
  }
}
