/**
 * One HTTP exchange, with the one thing that matters about a broken one kept apart: whether the request may have
 * reached the other side. No redirects, no retries, no reuse of a connection for a send.
 */
import { Agent, Client, type Dispatcher } from 'undici';
import type { Clock } from './clock.js';
import type { CloudResponse } from './clouds/port.js';

export interface HttpCall {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** `https://ges.cn-north-4.myhuaweicloud.com` */
  readonly origin: string;
  /** Path and query, encoded as they were signed. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /** PEM: the only authorities that may vouch for the other side; left out, those that Node trusts. */
  readonly ca?: string;
  /** Milliseconds from the socket write to the whole answer. Default 15 s for a read, 30 s for a send. */
  readonly timeoutMs?: number;
  /** Epoch ms: the whole answer has to be there by then, where that is sooner. */
  readonly answerBy?: number;
  readonly signal?: AbortSignal;
}

export interface Exchange {
  /** Epoch ms, right before the socket write. */
  readonly at: number;
  readonly response: CloudResponse;
}

export interface Transport {
  /**
   * Over kept-alive connections.
   *
   * @throws TransportError; the signal's reason when that aborted.
   */
  read(call: HttpCall): Promise<Exchange>;
  /**
   * Over a connection of its own, since a stale one would make the outcome ambiguous. `sendBy` (epoch ms) is checked
   * right before the socket write, and so is `isLate`.
   *
   * @throws TransportError
   */
  send(call: HttpCall, sendBy: number, isLate?: () => boolean): Promise<Exchange>;
  close(): Promise<void>;
}

export interface TransportOptions {
  readonly clock: Clock;
  /** Milliseconds for name, connection and TLS together. Default 5 s. */
  readonly connectTimeoutMs?: number;
  /** A larger answer is none of these APIs'. Default 8 MiB. */
  readonly maxBodyBytes?: number;
}

/** An exchange that brought no whole answer. Its message is one line without any header or body. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
  /** Epoch ms of the socket write; `null` only when not one byte of the request has left. */
  readonly sentAt: number | null;

  constructor(message: string, sentAt: number | null) {
    super(message);
    this.sentAt = sentAt;
  }
}

const READ_TIMEOUT_MS = 15_000;
const SEND_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 5_000;
const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** Shorter than what load balancers keep idle connections for, so that we close first. */
const IDLE_MS = 20_000;

export function createTransport(options: TransportOptions): Transport {
  const connectTimeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
  const maxBodyBytes = options.maxBodyBytes ?? MAX_BODY_BYTES;
  // Time-outs are ours, of whole phases; undici's are of the gaps between bytes.
  const connection = (ca: string | undefined) => ({
    connect: { timeout: connectTimeoutMs, ...(ca === undefined ? {} : { ca }) },
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const agents = new Map<string | undefined, Agent>();
  // A connection of its own for each choice of authorities: one that was let in by others is not shared.
  const agentFor = (ca: string | undefined): Agent => {
    const known = agents.get(ca);
    if (known !== undefined) return known;
    const agent = new Agent({ ...connection(ca), keepAliveTimeout: IDLE_MS, keepAliveMaxTimeout: IDLE_MS });
    agents.set(ca, agent);
    return agent;
  };
  const limits = { clock: options.clock, connectTimeoutMs, maxBodyBytes };

  return {
    read: (call) =>
      exchange(agentFor(call.ca), { timeoutMs: READ_TIMEOUT_MS, ...call }, { ...limits, sendBy: Infinity }),
    async send(call, sendBy, isLate) {
      const client = new Client(call.origin, { ...connection(call.ca), pipelining: 0 });
      try {
        return await exchange(client, { timeoutMs: SEND_TIMEOUT_MS, ...call }, { ...limits, sendBy, isLate });
      } finally {
        await client.destroy();
      }
    },
    close: async () => {
      await Promise.all([...agents.values()].map((agent) => agent.destroy()));
    },
  };
}

interface Limits {
  readonly clock: Clock;
  readonly connectTimeoutMs: number;
  readonly maxBodyBytes: number;
  readonly sendBy: number;
  readonly isLate?: (() => boolean) | undefined;
}

async function exchange(
  dispatcher: Dispatcher,
  call: HttpCall & { readonly timeoutMs: number },
  { clock, connectTimeoutMs, maxBodyBytes, sendBy, isLate }: Limits,
): Promise<Exchange> {
  const { signal } = call;
  signal?.throwIfAborted();

  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | null = null;
    let sentAt: number | null = null;
    let settled = false;
    let status = 0;
    let headers: Record<string, string> = {};
    let chunks: Buffer[] = [];
    let size = 0;

    const settle = (conclude: () => void): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      conclude();
    };
    const fail = (error: unknown): void => {
      settle(() => {
        reject(error);
        controller?.abort(new Error('given up'));
      });
    };
    const onAbort = (): void => {
      fail(signal?.reason);
    };
    let timer = setTimeout(() => {
      fail(new TransportError(`no connection to ${call.origin} within ${seconds(connectTimeoutMs)}`, null));
    }, connectTimeoutMs);
    signal?.addEventListener('abort', onAbort, { once: true });

    const handler: Dispatcher.DispatchHandler = {
      // undici calls this with a connected socket in hand and nothing written; an abort here leaves it so.
      onRequestStart(given) {
        controller = given;
        if (settled) {
          given.abort(new Error('given up before sending'));
          return;
        }
        if (sentAt !== null) {
          fail(new TransportError('connection lost after sending', sentAt));
          return;
        }
        const now = clock.now();
        if (now > sendBy || isLate?.() === true) {
          const past = now > sendBy ? `${seconds(now - sendBy)} past` : 'by the machine’s own time past';
          fail(new TransportError(`too late to send: ${past} the attempt's deadline`, null));
          return;
        }
        sentAt = now;
        clearTimeout(timer);
        const timeoutMs = Math.min(call.timeoutMs, Math.max((call.answerBy ?? Infinity) - now, 0));
        timer = setTimeout(() => {
          fail(new TransportError(`no whole answer within ${seconds(timeoutMs)}`, sentAt));
        }, timeoutMs);
      },
      // Again for the real answer when an informational one came first.
      onResponseStart(_controller, statusCode, received) {
        status = statusCode;
        headers = flat(received);
        chunks = [];
        size = 0;
      },
      onResponseData(_controller, chunk) {
        size += chunk.length;
        chunks.push(chunk);
        if (size > maxBodyBytes) fail(new TransportError(`the answer is larger than ${maxBodyBytes} bytes`, sentAt));
      },
      onResponseEnd() {
        const at = sentAt ?? clock.now();
        const text = Buffer.concat(chunks).toString('utf8');
        settle(() => {
          resolve({ at, response: { status, headers, json: parsed(text), text } });
        });
      },
      onResponseError(_controller, error) {
        fail(new TransportError(explain(error, call.origin, sentAt !== null), sentAt));
      },
    };
    const { method, origin, path, body } = call;
    dispatcher.dispatch({ method, origin, path, body, headers: { ...call.headers } }, handler);
  });
}

function flat(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const all: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) all[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value;
  }
  return all;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}

/** One line for a person; never the error's own text where that could quote what was sent. */
function explain(error: Error, origin: string, sent: boolean): string {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the host of ${origin} does not resolve (${code})`;
    case 'ECONNREFUSED':
      return `connection refused by ${origin}`;
    case 'UND_ERR_CONNECT_TIMEOUT':
      return `no connection to ${origin} in time`;
    case 'ECONNRESET':
    case 'EPIPE':
    case 'UND_ERR_SOCKET':
      return sent ? `connection to ${origin} lost before a whole answer` : `connection to ${origin} lost (${code})`;
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
      return 'the answer was cut short';
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'CERT_SIGNATURE_FAILURE':
      return `the certificate of ${origin} is not trusted (${code}; of a private cloud, name the authority as the account's caFile)`;
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `the certificate of ${origin} is not valid for it, or not now (${code})`;
    default:
      return `${sent ? 'no whole answer from' : 'no connection to'} ${origin} (${code})`;
  }
}
