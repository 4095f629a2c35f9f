/** One request's way through the simulator: signature, fault, service, fault again, answer. */
import type { Clock } from '../activities/clock.js';
import type { Json } from '../workflows/contracts/json.js';
import { type Asked, befallsAcceptedSubmits, type Call, type Drawn, type Fault, type Faults } from './faults.js';
import { gateways, type Gateway } from './gateways.js';
import type { Iam } from './huawei/iam.js';
import type { Cloud, SimulatedCredentials } from './model.js';
import { findRoute, type Routed } from './router.js';
import type { Reply, Route, SimulatedRequest, SimulatedService } from './service.js';
import type { SignedRequest, Verdict } from './signatures/request.js';
import type { Store } from './store.js';
import { CallRates, count, countsOf } from './truth.js';
import { newUuid, World, type Acceptance } from './world.js';

export type Answer =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
    }
  /** The connection is torn down with a TCP reset. */
  | { readonly kind: 'reset' }
  /** A part of the answer, and then a TCP reset. */
  | { readonly kind: 'cut'; readonly status: number; readonly body: string };

/** Beyond the 15 minutes that both gateways accept. */
const SKEW_MS = 16 * 60_000;

const HTML = '<html>\r\n<head><title>Bad Gateway</title></head>\r\n<body><h1>Bad Gateway</h1></body>\r\n</html>\r\n';

/** A call on its way: the cloud is about to act on it, or has acted and is about to answer. */
export interface WatchedCall extends Asked {
  readonly point: 'arrived' | 'processed';
}

/** Told of every call to a service at both points; the call goes on when it returns, so that a test can hold it there. */
export type CallWatcher = (call: WatchedCall) => Promise<void> | void;

export interface RequestsOptions {
  readonly store: Store;
  readonly services: readonly SimulatedService[];
  readonly credentials: readonly SimulatedCredentials[];
  readonly iam: Iam;
  readonly faults: Faults;
  readonly clock: Clock;
  readonly onCall?: CallWatcher;
}

export class Requests {
  readonly #options: RequestsOptions;
  readonly #gateways = gateways();
  readonly #rates = new CallRates();
  readonly #submitRates = new CallRates();

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  async answer(request: SignedRequest): Promise<Answer> {
    const { store, services, iam } = this.#options;
    const { truth } = store.state;
    store.touch();
    truth.calls += 1;

    const routed = routeOf(services, request);
    const cloud = routed?.service.cloud ?? (request.path.startsWith('/openapi/') ? 'alibaba' : 'huawei');
    const gateway = this.#gateways[cloud];
    const requestId = gateway.requestId(newUuid(store, 'request'));
    const verify = (): Verdict => this.#verify(request, cloud, this.#options.clock.now());
    const ofIam = iam.answer(request, verify);
    if (ofIam !== null) return whole(ofIam, gateway, requestId);
    if (routed === null) {
      this.#unknownPath(request);
      return whole(gateway.unknownPath(requestId), gateway, requestId);
    }

    const verdict = verify();
    if (!verdict.ok) return this.#refuse(verdict, gateway, requestId);
    return this.#serve(request, routed, verdict.credentials, gateway, requestId);
  }

  /** Who calls: by a token where there is one, or by the signature. */
  #verify(request: SignedRequest, cloud: Cloud, now: number): Verdict {
    const { credentials, iam } = this.#options;
    const token = request.headers['x-auth-token'];
    if (cloud === 'huawei' && token !== undefined) return iam.verify(token);
    const keys = [...credentials, ...iam.keys()].filter((key) => key.cloud === cloud);
    return this.#gateways[cloud].verify(request, keys, now);
  }

  #refuse(verdict: Verdict & { readonly ok: false }, gateway: Gateway, requestId: string): Answer {
    count(this.#options.store.state.truth.signatureFailures, verdict.code);
    return whole(gateway.error(verdict.status, verdict.code, verdict.message, requestId), gateway, requestId);
  }

  async #serve(
    request: SignedRequest,
    routed: Routed,
    key: SimulatedCredentials,
    gateway: Gateway,
    requestId: string,
  ): Promise<Answer> {
    const { store, faults, clock, onCall } = this.#options;
    const { service, route, params } = routed;
    this.#rates.note(store.state.truth.callsPerSecondPeak, key.account, clock.now());
    if (params['owner'] !== undefined && params['owner'] !== key.owner) {
      return whole(gateway.denied(requestId), gateway, requestId);
    }
    const body = parseBody(request.body);
    if (body === null) return whole(gateway.badBody(requestId), gateway, requestId);

    const parsed: SimulatedRequest = { ...routed, method: request.method, headers: request.headers, body };
    const call = typeof route.call === 'function' ? route.call(parsed) : route.call;
    const { submitsPerSecondPeak } = store.state.truth;
    if (call === 'submit') this.#submitRates.note(submitsPerSecondPeak, key.account, clock.now());
    const resource = params['id'] ?? null;
    const caller = { account: key.account, owner: key.owner, family: service.family, requestId };
    const asked: Asked = { call, family: service.family, resource, account: key.account };
    await onCall?.({ ...asked, point: 'arrived' });
    const drawn = faults.draw(asked);

    if (drawn?.fault.kind === 'clock-skew') {
      const verdict = this.#verify(request, service.cloud, clock.now() + SKEW_MS);
      drawn.settle(!verdict.ok);
      if (!verdict.ok) return this.#refuse(verdict, gateway, requestId);
    }
    const before = beforeProcessing(drawn?.fault, gateway, requestId);
    if (before !== null) {
      drawn?.settle(true);
      return before;
    }
    if (drawn?.fault.kind === 'slow' && drawn.fault.processed === 'late') await clock.sleep(drawn.fault.delayMs);

    if (drawn?.fault.kind === 'race')
      beginElsewhere(new World(store, { ...caller, account: null }, clock.now()), resource, drawn.fault.to);

    const world = new World(store, caller, clock.now(), acceptance(drawn?.fault));
    this.#inspect(request, parsed, routed, world);
    if (resource !== null) this.#count(resource, call);
    const reply = route.handle(parsed, world);

    await onCall?.({ ...asked, point: 'processed' });
    if (drawn?.fault.kind === 'slow' && drawn.fault.processed === 'first') await clock.sleep(drawn.fault.delayMs);
    const isSpoilt = drawn !== null && drawn.fault.kind !== 'clock-skew';
    const answer = isSpoilt ? spoilt(reply, drawn, world, gateway, route) : whole(reply, gateway, requestId);
    store.touch();
    return answer;
  }

  /** What a strict reader of the documents would object to. */
  #inspect(request: SignedRequest, parsed: SimulatedRequest, routed: Routed, world: World): void {
    const { route } = routed;
    const where = `${request.method} ${request.path}`;
    const unknown = Object.keys(parsed.body).filter((field) => !(route.fields ?? []).includes(field));
    if (unknown.length > 0) world.violation('unknown-field', `${where}: ${unknown.join(', ')}`);
    const contentType = request.headers['content-type'] ?? '';
    if (request.body.length > 0 && !/^application\/json(;|$)/i.test(contentType)) {
      world.violation('wrong-content-type', `${where}: ${contentType === '' ? 'none' : contentType}`);
    }
    const action = request.headers['x-acs-action'];
    if (route.action !== undefined && route.action !== action) {
      world.violation('wrong-action', `${where}: ${action}, not ${route.action}`);
    }
  }

  #count(resource: string, call: Call): void {
    const { truth } = this.#options.store.state;
    if (call === 'read') countsOf(truth, resource).reads += 1;
    else if (call === 'dry-run') countsOf(truth, resource).dryRuns += 1;
    else if (call !== 'submit') countsOf(truth, resource).polls += 1;
  }

  #unknownPath(request: SignedRequest): void {
    const { store, clock } = this.#options;
    const asked = `${request.method} ${request.path}`;
    count(store.state.truth.unknownPaths, asked);
    if (request.method === 'GET') return;
    store.state.truth.violations.push({ at: clock.now(), kind: 'forbidden-method', account: null, detail: asked });
    store.save();
  }
}

function routeOf(services: readonly SimulatedService[], request: SignedRequest): Routed | null {
  try {
    return findRoute(services, request);
  } catch (error) {
    if (error instanceof URIError) return null;
    throw error;
  }
}

/** An upgrade that no client of ours submitted. */
function beginElsewhere(world: World, id: string | null, to: Readonly<Record<string, string>>): void {
  const resource = id === null ? null : world.find(id);
  if (resource !== null) world.accept(resource, to, { id: `${world.uuid('elsewhere')}000000001` });
}

/** `{}` for no body, `null` for one that is no JSON object. */
function parseBody(body: Buffer): Record<string, unknown> | null {
  if (body.length === 0) return {};
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

function whole(reply: Reply, gateway: Gateway, requestId: string): Answer {
  return {
    kind: 'answer',
    status: reply.status,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      [gateway.requestIdHeader]: requestId,
      ...reply.headers,
    },
    body: JSON.stringify(reply.body),
  };
}

/** The answer of a fault that keeps the request from the service; `null` when the service gets it. */
function beforeProcessing(fault: Fault | undefined, gateway: Gateway, requestId: string): Answer | null {
  if (fault?.kind === 'throttled') return whole(gateway.throttled(requestId), gateway, requestId);
  if (fault?.kind === 'reset' && !fault.processed) return { kind: 'reset' };
  if (fault?.kind === 'status' && !fault.processed) {
    return whole(gateway.unavailable(fault.status, requestId), gateway, requestId);
  }
  return null;
}

function acceptance(fault: Fault | undefined): Acceptance {
  return {
    lagMs: fault?.kind === 'visibility-lag' ? fault.lagMs : 0,
    recordsGoneAfterMs: fault?.kind === 'vanishing-records' ? fault.afterMs : null,
  };
}

/** What a fault makes of the service's answer. */
function spoilt(reply: Reply, drawn: Drawn, world: World, gateway: Gateway, route: Route): Answer {
  const { requestId } = world;
  const { fault } = drawn;
  const good = whole(reply, gateway, requestId);
  const lost = (answer: Answer): Answer => {
    drawn.settle(true);
    if (world.accepted !== null) world.accepted.answerLost = true;
    return answer;
  };
  if (good.kind !== 'answer') return good;
  switch (fault.kind) {
    case 'reset':
      return lost({ kind: 'reset' });
    case 'status':
      return lost(whole(gateway.unavailable(fault.status, requestId), gateway, requestId));
    case 'html':
      return lost({ kind: 'answer', status: fault.status, headers: { 'content-type': 'text/html' }, body: HTML });
    case 'truncated':
      return lost({ ...good, body: good.body.slice(0, Math.floor(good.body.length / 2)) });
    case 'cut':
      return lost({ kind: 'cut', status: good.status, body: good.body });
    case 'visibility-lag':
      if (fault.answerLost && world.accepted !== null) return lost({ kind: 'reset' });
      drawn.settle(world.accepted !== null);
      return good;
    case 'missing-field': {
      const field = fault.field ?? route.answerId ?? Object.keys(reply.body)[0] ?? '';
      if (reply.status >= 300 || !(field in reply.body)) {
        drawn.settle(false);
        return good;
      }
      return lost(whole({ ...reply, body: without(reply.body, field) }, gateway, requestId));
    }
    case 'extra-field':
      drawn.settle(true);
      return whole(
        { ...reply, body: { ...reply.body, addedInANewerVersion: { since: '2026-11' } } },
        gateway,
        requestId,
      );
    default:
      drawn.settle(befallsAcceptedSubmits(fault) ? world.accepted !== null : true);
      return good;
  }
}

function without(body: Reply['body'], field: string): Record<string, Json> {
  return Object.fromEntries(Object.entries(body).filter(([name]) => name !== field));
}
