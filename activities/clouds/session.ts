/** Sessions: an account's credentials, endpoint, limits and signature, joined to one API. */
import type { z } from 'zod';
import { endpointObjection, type Account } from '../../plan/accounts.js';
import { iso, type Clock } from '../clock.js';
import { openCredentials, type Credentials } from '../credentials.js';
import { ALONE, Pacer, type Turn } from '../limiter.js';
import { TransportError, type HttpCall, type Transport } from '../transport.js';
import type { Cloud } from './cloud.js';
import { encodePath, encodeQuery } from './encode.js';
import { errorOf, oneLine, requestIdOf } from './envelopes.js';
import { AccountError, CloudError } from './errors.js';
import { CLOUDS } from './index.js';
import type { CloudApi, CloudReader, CloudResponse, ErrorClass, MutatingRequest, ReadRequest } from './port.js';

/** How a send ended, before anybody judged the answer. */
export type Sent =
  /** A whole answer of any HTTP status came. */
  | { readonly kind: 'answered'; readonly at: number; readonly response: CloudResponse }
  /** Not one byte of the request left: refused connection, no slot in time, past `sendBy`, no credentials. */
  | { readonly kind: 'not-sent'; readonly reason: string; readonly retryInMs: number }
  /** The request, or a part of it, may have arrived; no whole answer came back. */
  | { readonly kind: 'unanswered'; readonly at: number; readonly reason: string };

/** The only thing that can change something at a cloud. `activities/submit.ts` alone may hold one (lint enforces it). */
export interface CloudSender {
  /** Sends once; never throws for anything the network or the cloud does. */
  send(request: MutatingRequest, bounds: SendBounds): Promise<Sent>;
}

export interface SendBounds {
  /** Epoch ms: checked right before the socket write; past it the answer is `not-sent`. */
  readonly sendBy: number;
  /** From the socket write to the whole answer; past it the answer is `unanswered`. */
  readonly timeoutMs: number;
}

export interface Sessions {
  /** @throws AccountError for an account or credentials that cannot be used. */
  reader(api: CloudApi, account: string, signal?: AbortSignal): Promise<CloudReader>;
  /** @throws AccountError */
  sender(api: CloudApi, account: string): Promise<CloudSender>;
}

export interface SessionOptions {
  readonly accounts: ReadonlyMap<string, Account>;
  readonly clock: Clock;
  readonly transport: Transport;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Multiplies the pauses after a throttled answer: 1 is production, as in `Timing.scale`. */
  readonly scale?: number;
  /** This process's turn among those that share the accounts' rates; left out: alone. */
  readonly turn?: () => Turn;
  /** One line, for operators. */
  readonly log?: (line: string) => void;
}

/** After a connection that could not be made. */
const RECONNECT_MS = 10_000;
/** After credentials or an endpoint that a person has to mend. */
const MEND_MS = 60_000;

/** Opens accounts on first use and keeps their rates for as long as it lives: one per process. */
export function openSessions(options: SessionOptions): Sessions {
  const { clock, transport, scale = 1 } = options;
  const credentials = openCredentials(options.env);
  const pacers = new Map<string, Pacer>();

  const open = async (api: CloudApi, name: string): Promise<Session> => {
    const account = options.accounts.get(name);
    if (account === undefined) {
      const known = [...options.accounts.keys()].join(', ') || 'none';
      throw new AccountError(`account ${name} is not in the accounts file (it has ${known})`);
    }
    const cloud = CLOUDS.find((one) => one.name === account.cloud);
    if (cloud === undefined || account.cloud !== api.cloud) {
      throw new AccountError(
        `account ${name} is of cloud ${account.cloud}, and ${api.service} is of ${api.cloud} (name another account)`,
      );
    }
    const pacer = (kind: 'reads' | 'writes'): Pacer => {
      const key = `${kind} ${name}`;
      const { firstMs, maxMs } = cloud.throttlePause;
      const found =
        pacers.get(key) ??
        new Pacer({
          clock,
          rate: account.rates[kind],
          turn: options.turn ?? (() => ALONE),
          firstPauseMs: firstMs * scale,
          maxPauseMs: maxMs * scale,
        });
      pacers.set(key, found);
      return found;
    };
    return new Session({
      api,
      account,
      cloud,
      clock,
      transport,
      origin: originOf(cloud, api, account),
      reads: pacer('reads'),
      writes: pacer('writes'),
      credentials: () => credentials.resolve(account, cloud.variables),
      log: options.log ?? (() => {}),
    });
  };

  return {
    async reader(api, account, signal) {
      const session = await open(api, account);
      return {
        region: session.account.region,
        projectId: session.account.projectId,
        now: () => clock.now(),
        read: async (request, schema) => (await session.read(request, schema, signal)).body,
        readWithHeaders: (request, schema) => session.read(request, schema, signal),
      };
    },
    async sender(api, account) {
      const session = await open(api, account);
      return { send: (request, bounds) => session.send(request, bounds) };
    },
  };
}

/** @throws AccountError naming the regions there are, or what is wrong with the override. */
function originOf(cloud: Cloud, api: CloudApi, account: Account): string {
  const override = account.endpoints[api.family];
  if (override !== undefined) {
    const objection = endpointObjection(override, account.allowPlainHttp);
    if (objection === null) return new URL(override).origin;
    throw new AccountError(
      `account ${account.name}: its endpoint for ${api.family} ${objection.message} (${objection.remedy})`,
    );
  }
  const endpoint = cloud.endpoint(api.family, account.region);
  if ('url' in endpoint) return endpoint.url;
  throw new AccountError(`account ${account.name}: ${endpoint.problem} (or set its endpoints.${api.family})`);
}

interface SessionParts {
  readonly api: CloudApi;
  readonly account: Account;
  readonly cloud: Cloud;
  readonly clock: Clock;
  readonly transport: Transport;
  readonly origin: string;
  readonly reads: Pacer;
  readonly writes: Pacer;
  readonly credentials: () => Credentials;
  readonly log: (line: string) => void;
}

class Session {
  readonly account: Account;
  private readonly parts: SessionParts;

  constructor(parts: SessionParts) {
    this.parts = parts;
    this.account = parts.account;
    // Fails here and now rather than in the middle of a step.
    parts.credentials();
    if (parts.cloud.hasProjects && parts.account.projectId === '') {
      throw new AccountError(`account ${parts.account.name} has no projectId (add it to the accounts file)`);
    }
  }

  async read<T>(
    request: ReadRequest,
    schema: z.ZodType<T>,
    signal: AbortSignal | undefined,
  ): Promise<{ body: T; headers: CloudResponse['headers'] }> {
    const method = request.method ?? 'GET';
    if (method !== 'GET' && request.query?.['dryRun'] !== 'true') {
      throw new TypeError(`a read may not ${method} /${request.path.join('/')}`);
    }
    try {
      return await this.readOnce(request, schema, signal);
    } catch (error) {
      // Signed anew: another nonce, and keys that may have been exchanged meanwhile.
      if (error instanceof CloudError && error.errorClass === 'token') return this.readOnce(request, schema, signal);
      throw error;
    }
  }

  private async readOnce<T>(
    request: ReadRequest,
    schema: z.ZodType<T>,
    signal: AbortSignal | undefined,
  ): Promise<{ body: T; headers: CloudResponse['headers'] }> {
    const { reads, transport } = this.parts;
    await reads.take(signal === undefined ? {} : { signal });
    const credentials = this.parts.credentials();
    const method = request.method ?? 'GET';
    const call = this.sign({ ...request, method }, credentials);
    const label = `${method} ${call.path.replace(/\?.*/, '')}`;
    let response: CloudResponse;
    try {
      const exchange = await transport.read(signal === undefined ? call : { ...call, signal });
      response = withoutKeys(exchange.response, credentials);
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      throw new CloudError(`${label}: ${error.message}`, {
        errorClass: 'transient',
        call: label,
        status: null,
        code: null,
        requestId: null,
        sent: error.sentAt !== null,
      });
    }

    const isOk = response.status >= 200 && response.status < 300;
    const error = errorOf(response.json);
    const body = schema.safeParse(response.json);
    const isData = body.success && request.errorFieldsAreData === true;
    if (!isOk || (error !== null && !isData)) throw this.refusal(label, response, error);
    if (!body.success) throw this.unreadable(label, response, body.error);
    return { body: body.data, headers: response.headers };
  }

  async send(request: MutatingRequest, { sendBy, timeoutMs }: SendBounds): Promise<Sent> {
    const { writes, transport } = this.parts;
    let call: HttpCall;
    let credentials: Credentials;
    try {
      const grant = await writes.take({ by: sendBy });
      if (!grant.granted) {
        const reason = `the account's write rate leaves no slot for ${Math.ceil(grant.waitMs / 1000)} s`;
        return { kind: 'not-sent', reason, retryInMs: grant.waitMs };
      }
      credentials = this.parts.credentials();
      call = { ...this.sign(request, credentials), timeoutMs };
    } catch (error) {
      if (!(error instanceof AccountError)) throw error;
      return { kind: 'not-sent', reason: error.message, retryInMs: MEND_MS };
    }
    try {
      const { at, response } = await transport.send(call, sendBy);
      const answer = withoutKeys(response, credentials);
      if (answer.status >= 400 && this.classOf(answer.status, errorOf(answer.json)) === 'throttled') {
        this.slow(writes, answer);
      }
      return { kind: 'answered', at, response: answer };
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      if (error.sentAt === null) return { kind: 'not-sent', reason: error.message, retryInMs: RECONNECT_MS };
      return { kind: 'unanswered', at: error.sentAt, reason: error.message };
    }
  }

  private sign(
    request: Pick<ReadRequest, 'path' | 'query' | 'headers' | 'body'> & { readonly method: HttpCall['method'] },
    credentials: Credentials,
  ): HttpCall {
    const { cloud, origin, clock, account } = this.parts;
    const path = encodePath(request.path);
    const query = encodeQuery(request.query ?? {});
    const body = request.body === undefined ? '' : JSON.stringify(request.body);
    const unsigned: Record<string, string> = { accept: 'application/json' };
    if (body !== '') unsigned['content-type'] = 'application/json';
    if (account.projectId !== '') unsigned['x-project-id'] = account.projectId;
    for (const [name, value] of Object.entries(request.headers ?? {})) unsigned[name.toLowerCase()] = value;
    const { method } = request;
    const headers = cloud.sign(
      { method, host: new URL(origin).host, path, query, headers: unsigned, body },
      credentials.reveal(),
      clock.now(),
    );
    return {
      method,
      origin,
      path: query === '' ? path : `${path}?${query}`,
      headers,
      body: body === '' ? null : body,
    };
  }

  private classOf(status: number, error: { code: string; message: string } | null): ErrorClass {
    return this.parts.api.classify({ status, code: error?.code ?? null, message: error?.message ?? '' });
  }

  /** The cloud said no, or something in between us and the cloud did. */
  private refusal(label: string, response: CloudResponse, error: { code: string; message: string } | null): CloudError {
    const { status } = response;
    // Without a code of the cloud's own it is a proxy or a load balancer that answers: nothing is settled by that.
    const isForeign = error === null && status < 500 && status !== 429 && status !== 408;
    const errorClass = isForeign && response.json === undefined ? 'transient' : this.classOf(status, error);
    const said = error === null ? shapeOf(response) : `${error.code} ${error.message}`;
    const hint = this.hint(errorClass, response);
    return this.fail(label, response, errorClass, error?.code ?? null, `HTTP ${status} ${said}${hint}`);
  }

  private unreadable(label: string, response: CloudResponse, problem: z.ZodError): CloudError {
    const issue = problem.issues[0];
    const what =
      response.json === undefined || issue === undefined
        ? `HTTP ${response.status} with ${shapeOf(response)}`
        : `the answer's field ${issue.path.join('.') || '(top)'} is missing or not as documented: ${issue.message}`;
    return this.fail(label, response, 'transient', null, what);
  }

  private fail(
    label: string,
    response: CloudResponse,
    errorClass: ErrorClass,
    code: string | null,
    what: string,
  ): CloudError {
    const requestId = requestIdOf(response);
    const suffix = requestId === null ? '' : ` (request ${requestId})`;
    const { status } = response;
    const facts = { errorClass, call: label, status, code, requestId, sent: true };
    return new CloudError(`${label}: ${oneLine(what)}${suffix}`, facts);
  }

  /** What a person can do about it. */
  private hint(errorClass: ErrorClass, response: CloudResponse): string {
    const { account, clock, reads } = this.parts;
    switch (errorClass) {
      case 'denied':
        return response.status === 403
          ? `; account ${account.name} lacks the permission for this call`
          : `; the keys of account ${account.name} were not accepted`;
      case 'clock-skew': {
        const theirs = Date.parse(response.headers['date'] ?? '');
        const cloud = Number.isNaN(theirs) ? 'is not known' : `is ${iso(theirs)}`;
        return `; clock skew: our clock is ${iso(clock.now())}, the cloud's ${cloud} (set this machine's clock)`;
      }
      case 'throttled':
        return `; no more reads for ${Math.ceil(this.slow(reads, response) / 1000)} s`;
      default:
        return '';
    }
  }

  /** @returns the milliseconds until calls go on. */
  private slow(pacer: Pacer, response: CloudResponse): number {
    const asked = Number(response.headers['retry-after'] ?? Number.NaN) * 1000;
    const pauseMs = pacer.slow(Number.isFinite(asked) ? asked : null);
    this.parts.log(`account ${this.account.name} is throttled: calls go on in ${Math.ceil(pauseMs / 1000)} s`);
    return pauseMs;
  }
}

/**
 * Some clouds quote the string to sign, token included, when a signature does not match. Looked for in the parsed
 * body, since the raw one may have escaped it.
 */
function withoutKeys(response: CloudResponse, credentials: Credentials): CloudResponse {
  const isJson = response.json !== undefined;
  const given = isJson ? JSON.stringify(response.json) : response.text;
  const text = credentials.redact(given);
  return text === given ? response : { ...response, text, json: isJson ? (JSON.parse(text) as unknown) : undefined };
}

/** What a body is that is no answer of the API; never the body itself. */
function shapeOf({ text, json }: CloudResponse): string {
  if (json !== undefined) return 'without an error code';
  if (text.trim() === '') return 'an empty body';
  return /^\s*</.test(text) ? 'an HTML page instead of JSON' : 'a body that is no whole JSON';
}
