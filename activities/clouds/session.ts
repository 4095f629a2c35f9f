/** A session: one account and one API. Every call is signed, paced, sent and read here. */
import type { z } from 'zod';
import type { Account } from '../../plan/accounts.js';
import type { Circuit } from '../circuit.js';
import { iso, type Clock } from '../clock.js';
import { abortable, type Pacer, type Pause } from '../limiter.js';
import { TransportError, type HttpCall, type Transport } from '../transport.js';
import type { Authenticator, Proof } from './authenticator.js';
import type { ClockOffset, CloudTime } from './cloud-time.js';
import { encodePath, encodeQuery } from './encode.js';
import { errorOf, type Envelope, oneLine, redacted, requestIdOf } from './envelopes.js';
import { AccountError, CloudError } from './errors.js';
import type { CloudApi, CloudResponse, ErrorClass, MutatingRequest, ReadRequest } from './port.js';
import type { ReadOptions } from './sessions.js';

/** How a send ended, before anybody judged the answer. */
export type Sent =
  /** A whole answer of any HTTP status came. */
  | { readonly kind: 'answered'; readonly at: number; readonly response: CloudResponse }
  /** Not one byte of the request left: refused connection, no slot in time, past `sendBy`, no credentials. */
  | { readonly kind: 'not-sent'; readonly reason: string; readonly retryInMs: number }
  /** The request, or a part of it, may have arrived; no whole answer came back. */
  | { readonly kind: 'unanswered'; readonly at: number; readonly reason: string };

export interface SendBounds {
  /** Epoch ms: checked right before the socket write; past it the answer is `not-sent`. */
  readonly sendBy: number;
  /** As `sendBy`, where a clock that was set meanwhile must not count. */
  readonly isLate?: () => boolean;
  /** Asked once the call has its turn, right before it is sent; with `false` the answer is `not-sent`. */
  readonly mayGo?: () => Promise<boolean>;
  /** From the socket write to the whole answer; past it the answer is `unanswered`. */
  readonly timeoutMs: number;
  /** Epoch ms by our clock: given up then at the latest, however late it left. */
  readonly answerBy?: number;
}

/** After a connection that could not be made. */
const RECONNECT_MS = 10_000;
/** After credentials or an endpoint that a person has to mend. */
const MEND_MS = 60_000;

export interface SessionParts {
  readonly classify: CloudApi['classify'];
  readonly account: Account;
  /** Huawei's project; empty at clouds without one, and for calls outside any. */
  readonly projectId: string;
  readonly clock: Clock;
  readonly transport: Transport;
  readonly origin: string;
  /** Of all calls of the account. */
  readonly pause: Pause;
  readonly reads: Pacer;
  readonly writes: Pacer;
  /** Of the account's submits to this service. */
  readonly circuit: Circuit;
  readonly authenticator: Authenticator;
  readonly cloudTime: CloudTime;
  readonly log: (line: string) => void;
  /** The cloud asked for fewer calls. */
  readonly throttled: () => void;
}

export class Session {
  readonly account: Account;
  readonly projectId: string;
  private readonly parts: SessionParts;

  constructor(parts: SessionParts) {
    this.parts = parts;
    this.account = parts.account;
    this.projectId = parts.projectId;
  }

  async read<T>(
    request: ReadRequest,
    schema: z.ZodType<T>,
    how: ReadOptions = {},
  ): Promise<{ body: T; headers: CloudResponse['headers'] }> {
    const method = request.method ?? 'GET';
    if (method !== 'GET' && request.query?.['dryRun'] !== 'true') {
      throw new TypeError(`a read may not ${method} /${request.path.join('/')}`);
    }
    const { reads, authenticator } = this.parts;
    for (let isRetry = false; ; isRetry = true) {
      await reads.take(how);
      // A login is shared: it goes on for the others when this caller goes.
      const proof = await abortable(authenticator.prove(), how.signal);
      try {
        return await this.readOnce(request, schema, proof, how.signal);
      } catch (error) {
        if (isRetry || !(error instanceof CloudError)) throw error;
        const mayDoBetter =
          error.errorClass === 'token' ? authenticator.refused(proof) : authenticator.signsAnew(proof, error.code);
        if (!mayDoBetter) throw error;
        // Once more: with another token, or another date and nonce, or keys that have been exchanged meanwhile.
      }
    }
  }

  private async readOnce<T>(
    request: ReadRequest,
    schema: z.ZodType<T>,
    proof: Proof,
    signal: AbortSignal | undefined,
  ): Promise<{ body: T; headers: CloudResponse['headers'] }> {
    const { transport } = this.parts;
    const method = request.method ?? 'GET';
    const call = this.prepare({ ...request, method }, proof);
    const label = `${method} ${call.path.replace(/\?.*/, '')}`;
    let response: CloudResponse;
    try {
      const exchange = await transport.read(signal === undefined ? call : { ...call, signal });
      this.parts.cloudTime.learn(exchange.response.headers['date'], exchange.at);
      response = redacted(exchange.response, proof);
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
    if (!isOk || (error !== null && !isData)) throw this.refusal(label, response, error, proof);
    if (!body.success) throw this.unreadable(label, response, body.error);
    return { body: body.data, headers: response.headers };
  }

  clockOffset(): ClockOffset | null {
    return this.parts.cloudTime.offset();
  }

  async send(request: MutatingRequest, { sendBy, isLate, mayGo, timeoutMs, answerBy }: SendBounds): Promise<Sent> {
    const { writes, transport, authenticator, circuit } = this.parts;
    let call: HttpCall;
    let proof: Proof;
    try {
      const grant = await writes.take({ by: sendBy });
      if (!grant.granted) {
        const reason = `the account's write rate leaves no slot for ${Math.ceil(grant.waitMs / 1000)} s`;
        return { kind: 'not-sent', reason, retryInMs: grant.waitMs };
      }
      proof = await authenticator.prove();
      call = { ...this.prepare(request, proof), timeoutMs, ...(answerBy === undefined ? {} : { answerBy }) };
    } catch (error) {
      if (error instanceof AccountError) return { kind: 'not-sent', reason: error.message, retryInMs: MEND_MS };
      if (error instanceof CloudError) return { kind: 'not-sent', reason: error.message, retryInMs: RECONNECT_MS };
      throw error;
    }
    if (mayGo !== undefined && !(await mayGo())) {
      return { kind: 'not-sent', reason: 'it may not be sent any more', retryInMs: 0 };
    }
    const blocked = circuit.blocked();
    if (blocked !== null) return { kind: 'not-sent', reason: blocked.reason, retryInMs: blocked.forMs };
    const trial = circuit.trying();
    try {
      const { at, response } = await transport.send(call, sendBy, isLate);
      const answer = redacted(response, proof);
      if (answer.status >= 500 || answer.json === undefined) circuit.notAnswered(`HTTP ${answer.status}`, trial);
      else circuit.answered();
      if (answer.status >= 400) {
        const errorClass = this.classOf(answer, errorOf(answer.json), proof);
        if (errorClass === 'throttled') this.slow(answer);
        // For the next one: this request itself is never sent again from here.
        if (errorClass === 'token') authenticator.refused(proof);
      }
      return { kind: 'answered', at, response: answer };
    } catch (error) {
      if (!(error instanceof TransportError)) {
        circuit.notSent(trial);
        throw error;
      }
      if (error.sentAt === null) {
        circuit.notSent(trial);
        return { kind: 'not-sent', reason: error.message, retryInMs: RECONNECT_MS };
      }
      circuit.notAnswered(error.message, trial);
      return { kind: 'unanswered', at: error.sentAt, reason: error.message };
    }
  }

  private prepare(
    request: Pick<ReadRequest, 'path' | 'query' | 'headers' | 'body'> & { readonly method: HttpCall['method'] },
    proof: Proof,
  ): HttpCall {
    const { origin, projectId } = this.parts;
    const path = encodePath(request.path);
    const query = encodeQuery(request.query ?? {});
    const body = request.body === undefined ? '' : JSON.stringify(request.body);
    const unproven: Record<string, string> = { accept: 'application/json' };
    if (body !== '') unproven['content-type'] = 'application/json';
    if (projectId !== '') unproven['x-project-id'] = projectId;
    for (const [name, value] of Object.entries(request.headers ?? {})) unproven[name.toLowerCase()] = value;
    const { method } = request;
    const headers = proof.headers({ method, host: new URL(origin).host, path, query, headers: unproven, body });
    return {
      method,
      origin,
      path: query === '' ? path : `${path}?${query}`,
      headers,
      body: body === '' ? null : body,
    };
  }

  private classOf({ status, json }: CloudResponse, error: Envelope | null, proof: Proof): ErrorClass {
    // Whoever answers so, cloud or proxy, did not take the token; with another one it costs one call to know. IAM's code
    // is its status, which says no more than none.
    const isBare = error === null || error.code === String(status);
    if (isBare && status === 401 && proof.token !== null) return 'token';
    // Without a code of the cloud's own it is a proxy or a load balancer that answers: nothing is settled by that.
    const isForeign = error === null && json === undefined && status < 500 && status !== 429 && status !== 408;
    if (isForeign) return 'transient';
    return this.parts.classify({ status, code: error?.code ?? null, message: error?.message ?? '' });
  }

  /** The cloud said no, or something in between us and the cloud did. */
  private refusal(label: string, response: CloudResponse, error: Envelope | null, proof: Proof): CloudError {
    const { status } = response;
    const errorClass = this.classOf(response, error, proof);
    const said = error === null ? shapeOf(response) : `${error.code} ${error.message}`;
    const hint = this.hint(errorClass, response, proof);
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
  private hint(errorClass: ErrorClass, response: CloudResponse, proof: Proof): string {
    const { account, authenticator, clock } = this.parts;
    switch (errorClass) {
      case 'denied':
        return response.status === 403
          ? `; account ${account.name} lacks the permission for this call`
          : proof.kind === 'keys'
            ? `; the keys of account ${account.name} were not accepted`
            : `; the token of account ${account.name} was not accepted`;
      case 'token':
        return authenticator.hint(proof);
      case 'clock-skew': {
        const theirs = Date.parse(response.headers['date'] ?? '');
        const cloud = Number.isNaN(theirs) ? 'is not known' : `is ${iso(theirs)}`;
        return `; clock skew: our clock is ${iso(clock.now())}, the cloud's ${cloud} (set this machine's clock)`;
      }
      case 'throttled':
        return `; no more calls for ${Math.ceil(this.slow(response) / 1000)} s`;
      default:
        return '';
    }
  }

  /** @returns the milliseconds until calls go on. */
  private slow(response: CloudResponse): number {
    const asked = Number(response.headers['retry-after'] ?? Number.NaN) * 1000;
    const pauseMs = this.parts.pause.begin(Number.isFinite(asked) ? asked : null);
    this.parts.throttled();
    this.parts.log(`account ${this.account.name} is throttled: its calls go on in ${Math.ceil(pauseMs / 1000)} s`);
    return pauseMs;
  }
}

/** What a body is that is no answer of the API; never the body itself. */
function shapeOf({ text, json }: CloudResponse): string {
  if (json !== undefined) return 'without an error code';
  if (text.trim() === '') return 'an empty body';
  return /^\s*</.test(text) ? 'an HTML page instead of JSON' : 'a body that is no whole JSON';
}
