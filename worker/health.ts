/** `/healthz` and `/readyz`: whether this process works, and whether it takes work. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { lineOf } from '../temporal/errors.js';
import type { ListenAddress } from './settings.js';
import { SettingsError } from './settings.js';

export interface HealthChecks {
  /** Why the process is to be started again; `null` while it works. */
  readonly broken: () => string | null;
  /** Why it takes no work just now, besides being broken; `null` while it does. */
  readonly notReady: () => string | null;
}

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Answers 200 or 503, with the reason as one line of text.
 *
 * @throws SettingsError when the address cannot be listened on
 */
export async function serveHealth({ host, port }: ListenAddress, checks: HealthChecks): Promise<HealthServer> {
  const answers: Readonly<Record<string, () => string | null>> = {
    '/healthz': checks.broken,
    '/readyz': () => checks.broken() ?? checks.notReady(),
  };
  const server = createServer((request, response) => {
    const answer = answers[new URL(request.url ?? '/', 'http://worker').pathname];
    const objection = answer === undefined ? 'there are /healthz and /readyz' : answer();
    const status = answer === undefined ? 404 : objection === null ? 200 : 503;
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
    response.end(`${objection ?? 'ok'}\n`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const place = `${host}:${port}`;
      reject(
        new SettingsError([
          `UPLIFT_HEALTH_ADDRESS: ${place} cannot be listened on: ${lineOf(error)} (free it, or use another)`,
        ]),
      );
    });
    server.listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
