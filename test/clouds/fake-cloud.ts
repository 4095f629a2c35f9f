/** A cloud that answers what a test tells it to, over real HTTP on loopback. */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Account } from '../../plan/accounts.js';
import type { Clock } from '../../activities/clock.js';
import { openSessions, type SessionOptions, type Sessions } from '../../activities/clouds/sessions.js';
import { createTransport } from '../../activities/transport.js';

export interface Reply {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  /** A string is sent as it is; anything else as JSON. */
  readonly body: unknown;
}

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface FakeCloud {
  readonly url: string;
  readonly seen: Seen[];
  /** Answers by `GET /path` (no query), or by a function of the request; what is not there is a 404. */
  answers: Record<string, Reply | ((request: Seen) => Reply)>;
  sessions(options: { clock: Clock } & Partial<SessionOptions>): Sessions;
  close(): Promise<void>;
}

/** Keys that no log, error or answer may show. */
export const KEYS = { AK: 'AK-fake', SK: 'SK-s3cr3t/fake+', SECURITY_TOKEN: 'ST-s3cr3t==' };

export function accountAt(url: string, cloud: 'huawei' | 'alibaba', more: Partial<Account> = {}): Account {
  return {
    name: cloud === 'huawei' ? 'hw' : 'ali',
    cloud,
    region: cloud === 'huawei' ? 'cn-north-4' : 'cn-hangzhou',
    projectId: cloud === 'huawei' ? 'p1' : '',
    credentials: { kind: 'env', prefix: 'FAKE' },
    endpoints: { ges: url, cse: url, dcs: url, elasticsearch: url },
    allowPlainHttp: false,
    rates: { reads: 1000, writes: 1000 },
    concurrency: 20,
    ...more,
  };
}

export async function startFakeCloud(): Promise<FakeCloud> {
  const seen: Seen[] = [];
  const transports: { close(): Promise<void> }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://fake');
      const { method = '', headers } = request;
      const asked: Seen = { method, path: url.pathname, query: url.searchParams, headers, body };
      seen.push(asked);
      const found = cloud.answers[`${method} ${url.pathname}`];
      const reply = typeof found === 'function' ? found(asked) : found;
      response.writeHead(reply?.status ?? (reply === undefined ? 404 : 200), reply?.headers);
      response.end(typeof reply?.body === 'string' ? reply.body : JSON.stringify(reply?.body ?? {}));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const cloud: FakeCloud = {
    url,
    seen,
    answers: {},
    sessions(options) {
      const transport = createTransport({ clock: options.clock });
      transports.push(transport);
      const accounts = [accountAt(url, 'huawei'), accountAt(url, 'alibaba')];
      return openSessions({
        accounts: new Map(accounts.map((account) => [account.name, account])),
        transport,
        env: {
          FAKE_AK: KEYS.AK,
          FAKE_SK: KEYS.SK,
          FAKE_SECURITY_TOKEN: KEYS.SECURITY_TOKEN,
          FAKE_ACCESS_KEY_ID: KEYS.AK,
          FAKE_ACCESS_KEY_SECRET: KEYS.SK,
        },
        ...options,
      });
    },
    async close() {
      await Promise.all(transports.map((transport) => transport.close()));
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return cloud;
}
