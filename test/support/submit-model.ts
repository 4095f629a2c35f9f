/**
 * Everything that may befall a submit, as data: what the network and the cloud make of each call, when attempts begin,
 * freeze, die or outlive their time, what the server makes of it. `play` runs the real submit path through it, against
 * the simulated clouds in this process and on a virtual clock, and tells what reached the cloud.
 */
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { apiFor, CLOUD_APIS } from '../../activities/clouds/index.js';
import type { CloudResponse } from '../../activities/clouds/port.js';
import { openSessions } from '../../activities/clouds/sessions.js';
import type { Clock } from '../../activities/clock.js';
import { precheck } from '../../activities/precheck.js';
import type { StepDeps } from '../../activities/step.js';
import { submit } from '../../activities/submit.js';
import { TransportError, type Exchange, type HttpCall, type Transport } from '../../activities/transport.js';
import { Faults } from '../../simulator/faults.js';
import { Iam } from '../../simulator/huawei/iam.js';
import { Inventory, seedInventory } from '../../simulator/inventory.js';
import { Requests } from '../../simulator/requests.js';
import { SERVICES } from '../../simulator/server.js';
import { Store } from '../../simulator/store.js';
import type { Fate } from '../../simulator/model.js';
import type { Truth } from '../../simulator/truth.js';
import type { PrecheckResult, SubmitInput, SubmitResult } from '../../workflows/contracts/steps.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { accountsOf, CLOUD_ENV, CREDENTIALS, specsOf } from './clouds.js';
import { VirtualClock } from './virtual-clock.js';

/** What comes back of a call that the cloud has dealt with. */
export const SPOILT = ['reset', 'late', '500', '502', '503', '504', 'html', 'truncated', 'empty', 'no-id'] as const;
/** What comes back of a call that no service has seen. */
export const TURNED_AWAY = ['refused-connection', 'reset', '503', 'html', 'throttled'] as const;

export type CallFate =
  /** The cloud deals with it `delayMs` after it was written. */
  | { readonly reaches: true; readonly delayMs: number; readonly answer: 'whole' | (typeof SPOILT)[number] }
  | { readonly reaches: false; readonly delayMs: number; readonly answer: (typeof TURNED_AWAY)[number] };

export interface AttemptPlan {
  /**
   * How it comes about once the attempt before it has not told the server its end (or has, and all the same): as the
   * next attempt; as the first one again, since the server lost what it knew or an operator reset the activity; in
   * another run of the workflow, reset to before the submit or to its very beginning; in a workflow of another rollout,
   * since this one was terminated.
   */
  readonly begins: 'retried' | 'replayed' | 'reset' | 'reset-to-the-beginning' | 'applied-anew';
  /** After the one before it ended, or where that one was left alive, began. */
  readonly afterMs: number;
  /** This machine's clock is off by so much. */
  readonly skewMs: number;
  /** Before its submit, or its call of this number, the process stands still for so long. */
  readonly freezes: readonly { readonly before: 'submit' | number; readonly ms: number }[];
  /** The process ends there: before a byte is written, or with the answer under way. */
  readonly dies: { readonly at: 'submit' | number; readonly when: 'before' | 'after' } | null;
  /** Nobody waits for its end: the server holds it to be dead, and it is not. */
  readonly isLeftAlive: boolean;
  /** It ends, and the server never hears of it. */
  readonly isUnheard: boolean;
}

export interface SubmitPlan {
  readonly family: string;
  readonly startsAt: number;
  /** Of the service's longest, how long an accepted submit stays invisible: 0 to 1. */
  readonly lag: number;
  readonly durationMs: number;
  readonly fate: Fate;
  /** Of the first calls that were written: each takes the next one. Later ones fare well. */
  readonly sends: readonly CallFate[];
  readonly reads: readonly CallFate[];
  readonly attempts: readonly AttemptPlan[];
}

export interface Played {
  /** What a submit never may do, as sentences. */
  readonly violations: readonly string[];
  readonly verdict: SubmitResult['verdict'] | 'no end';
  readonly accepted: number;
  readonly written: number;
  readonly truth: Truth;
}

interface Write {
  readonly at: number;
  /** Epoch ms; `null` while it is on its way. */
  dealtWithAt: number | null;
  accepted: boolean;
}

/** The process is gone: whatever it was about to do does not happen. */
class Died extends Error {
  override readonly name = 'Died';
}

const QUIETLY = { logger: new DefaultLogger('ERROR') };
const ORIGIN = 'http://127.0.0.1:1';
/** In every API's words at once. */
const ERROR_BODY = JSON.stringify({
  errorCode: 'GES.7006',
  errorMessage: 'internal',
  error_code: 'APIGW.0201',
  error_msg: 'backend timeout',
  Code: 'InternalServerError',
  Message: 'internal',
});
const WELL: CallFate = { reaches: true, delayMs: 20, answer: 'whole' };
const UNDISTURBED: AttemptPlan = {
  begins: 'retried',
  // As soon as a workflow ever asks again.
  afterMs: 5_000,
  skewMs: 0,
  freezes: [],
  dies: null,
  isLeftAlive: false,
  isUnheard: false,
};
/** So often an undisturbed workflow may ask again before it counts as one that never ends. */
const PATIENCE = 20;
/** Later than a first attempt ever starts. */
const LATE_MS = 11_000;

class World {
  readonly clock: VirtualClock;
  readonly writes: Write[] = [];
  readonly violations: string[] = [];
  readonly spec: UpgradeSpec;
  readonly store: Store;
  private readonly requests: Requests;
  private readonly sends: CallFate[];
  private readonly reads: CallFate[];

  constructor(plan: SubmitPlan) {
    this.clock = new VirtualClock({ startsAt: plan.startsAt, inProcess: true });
    this.sends = [...plan.sends];
    this.reads = [...plan.reads];
    const durationMs = { min: plan.durationMs, max: plan.durationMs };
    const inventory = seedInventory({ seed: 'model', graphs: 2, engines: 1, caches: 1, clusters: 1, durationMs }).map(
      (one) => ({
        ...one,
        fate: plan.fate,
      }),
    );
    this.store = new Store('model', inventory, undefined);
    const { store, clock } = this;
    const faults = new Faults(store.state.faults, 'model', store.state.truth.faults, () => {});
    const iam = new Iam({ store, credentials: CREDENTIALS, clock });
    this.requests = new Requests({ store, services: SERVICES, credentials: CREDENTIALS, iam, faults, clock });
    const [family = '', index = '0'] = plan.family.split('#');
    const spec = specsOf(new Inventory(store, SERVICES, clock), family)[Number(index)];
    const api = apiFor(CLOUD_APIS, spec?.resource.service ?? '');
    if (spec === undefined || api === undefined) throw new Error(`no resource of ${plan.family}`);
    this.spec = spec;
    const lagMs = Math.floor(plan.lag * api.pace.visibilityLagMs);
    if (lagMs > 0) faults.add({ fault: { kind: 'visibility-lag', lagMs }, times: 1_000 });
  }

  /** A worker process of its own: it knows nothing of the others. */
  deps(clock: Clock, transport: Transport): StepDeps {
    const endpoints = Object.fromEntries(SERVICES.map(({ family }) => [family, ORIGIN]));
    const sessions = openSessions({ accounts: accountsOf(endpoints), clock, transport, env: CLOUD_ENV });
    return { apis: CLOUD_APIS, sessions, clock };
  }

  fateOf(call: HttpCall): CallFate {
    return (isSubmit(call) ? this.sends.shift() : this.reads.shift()) ?? WELL;
  }

  /** The request is on the wire. */
  noteWrite(): Write {
    const write: Write = { at: this.clock.now(), dealtWithAt: null, accepted: false };
    for (const [index, earlier] of this.writes.entries()) {
      const gap = `${(write.at - earlier.at) / 1000} s after send ${index + 1}`;
      if (earlier.accepted) this.violations.push(`sent again ${gap}, which was accepted`);
      else if (earlier.dealtWithAt === null) this.violations.push(`sent again ${gap}, which was still on its way`);
    }
    this.writes.push(write);
    return write;
  }

  async dealWith(call: HttpCall): Promise<CloudResponse> {
    const [path = '', query = ''] = call.path.split('?');
    const headers = { host: new URL(call.origin).host, ...call.headers };
    const body = Buffer.from(call.body ?? '');
    const answer = await this.requests.answer({ method: call.method, path, query, headers, body });
    if (answer.kind !== 'answer') throw new Error('the simulator has no faults of its own here');
    return responseOf(answer.status, answer.body, answer.headers);
  }
}

function isSubmit({ method, path }: HttpCall): boolean {
  return method !== 'GET' && !path.includes('dryRun=true');
}

function responseOf(status: number, text: string, headers: CloudResponse['headers'] = {}): CloudResponse {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status, headers, json, text };
}

/** The wire of one attempt's process. */
function wireOf(world: World, plan: AttemptPlan, clock: Clock, fateOf: (call: HttpCall) => CallFate): Transport {
  let calls = 0;
  let isDead = false;

  const exchange = async (call: HttpCall, timeoutMs: number, isLate: (at: number) => boolean): Promise<Exchange> => {
    if (isDead) throw new Died();
    calls += 1;
    const number = calls;
    const isHere = (place: 'submit' | number) => (place === 'submit' ? isSubmit(call) : place === number);
    for (const { before, ms } of plan.freezes) if (isHere(before)) await clock.sleep(ms);
    const end = plan.dies !== null && isHere(plan.dies.at) ? plan.dies.when : null;
    if (end !== null) isDead = true;
    if (end === 'before') throw new Died();
    const at = clock.now();
    // The one fence that the real wire has, and at the same place.
    if (isLate(at)) throw new TransportError('too late to send', null);

    const fate = fateOf(call);
    if (!fate.reaches && fate.answer === 'refused-connection') throw new TransportError('connection refused', null);
    const write = isSubmit(call) ? world.noteWrite() : null;
    const answered = (async (): Promise<CloudResponse> => {
      await world.clock.sleep(fate.delayMs);
      const before = world.store.state.truth.submits.length;
      const response = fate.reaches ? spoilt(fate.answer, await world.dealWith(call)) : turnedAway(fate.answer);
      if (write !== null) {
        write.dealtWithAt = world.clock.now();
        write.accepted = world.store.state.truth.submits.length > before;
      }
      if (response === null) throw new TransportError('connection lost', at);
      return response;
    })();
    if (end === 'after') {
      answered.catch(() => {});
      throw new Died();
    }
    const late = fate.delayMs > timeoutMs || fate.answer === 'late';
    if (late) {
      answered.catch(() => {});
      await world.clock.sleep(timeoutMs);
      throw new TransportError('no whole answer', at);
    }
    return { at, response: await answered };
  };
  return {
    read: (call) => exchange(call, 15_000, () => false),
    send: (call, sendBy, isLate) =>
      exchange(call, call.timeoutMs ?? 30_000, (at) => at > sendBy || isLate?.() === true),
    close: async () => {},
  };
}

/** `null` for a lost one. */
function spoilt(answer: 'whole' | (typeof SPOILT)[number], good: CloudResponse): CloudResponse | null {
  switch (answer) {
    case 'whole':
    case 'late':
      return good;
    case 'reset':
      return null;
    case 'html':
      return responseOf(200, '<html><h1>Bad Gateway</h1></html>');
    case 'truncated':
      return responseOf(good.status, good.text.slice(0, Math.floor(good.text.length / 2)));
    case 'empty':
      return responseOf(good.status, '');
    case 'no-id':
      return responseOf(good.status, '{}');
    default:
      return responseOf(Number(answer), ERROR_BODY);
  }
}

/** By the gateway, or by something before it. */
function turnedAway(answer: (typeof TURNED_AWAY)[number]): CloudResponse | null {
  switch (answer) {
    case 'throttled':
      return responseOf(429, '{"error_code":"APIGW.0308","error_msg":"slow down","Code":"Throttling.User"}');
    case 'html':
      return responseOf(502, '<html><h1>Bad Gateway</h1></html>');
    case '503':
      return responseOf(503, ERROR_BODY);
    default:
      return null;
  }
}

/** Runs the plan, and then the workflow as it goes on undisturbed, to its end. */
export async function play(plan: SubmitPlan): Promise<Played> {
  const world = new World(plan);
  const { clock, spec } = world;
  const startedAt = new Date(clock.now()).toISOString();
  const step = { rollout: 'r', rolloutRun: 'run', spec, timing: { scale: 1 } };

  // Only what submits do is disturbed.
  const check = async (terminatedAt = -Infinity): Promise<PrecheckResult> => {
    const wire = wireOf(world, UNDISTURBED, clock, () => WELL);
    const recently = (_id: string, withinMs: number) => Promise.resolve(terminatedAt > clock.now() - withinMs);
    const deps = { ...world.deps(clock, wire), terminations: { recently } };
    return (await new MockActivityEnvironment({}, QUIETLY).run(() => precheck(deps, step))) as PrecheckResult;
  };
  const inputAfter = ({ version, knownOperations }: PrecheckResult, unresolvedSince: string | null): SubmitInput => ({
    ...step,
    expectedVersion: version,
    submission: 1,
    unresolvedSince,
    knownOperations,
    startedAt,
  });
  const runAttempt = (
    own: AttemptPlan,
    input: SubmitInput,
    attempt: number,
    isLate: boolean,
  ): Promise<SubmitResult> => {
    const off: Clock = { now: () => clock.now() + own.skewMs, sleep: (ms, signal) => clock.sleep(ms, signal) };
    const deps = world.deps(
      off,
      wireOf(world, own, off, (call) => world.fateOf(call)),
    );
    const scheduledTimestampMs = Date.now() - (isLate ? LATE_MS : 0);
    return new MockActivityEnvironment({ attempt, scheduledTimestampMs }, QUIETLY).run(() => submit(deps, input));
  };

  const checked = await check();
  if (checked.verdict !== 'clear') throw new Error(`the precheck says ${checked.verdict}`);
  let input = inputAfter(checked, null);
  let attempt = 1;
  let last: SubmitResult | null = null;
  let isFirst = true;
  const alive: Promise<unknown>[] = [];
  const attempts = [...plan.attempts, ...Array<AttemptPlan>(PATIENCE).fill(UNDISTURBED)];

  for (const [index, own] of attempts.entries()) {
    const isDisturbed = index < plan.attempts.length;
    let isLate = false;
    if (!isFirst) {
      const before = clock.now();
      await clock.sleep(own.afterMs);
      if (own.begins === 'applied-anew') {
        const known = await check(before);
        if (known.verdict === 'already-at-target') {
          last = { ...EMPTY, verdict: 'already-at-target' };
          continue;
        }
        const anew = { rolloutRun: `run-${index}`, startedAt: new Date(clock.now()).toISOString() };
        input = { ...inputAfter(known, known.unresolvedSince ?? null), ...anew };
        attempt = 1;
      } else if (own.begins === 'reset' || own.begins === 'reset-to-the-beginning') {
        const known = own.begins === 'reset' ? checked : await check();
        if (known.verdict === 'already-at-target') {
          last = { ...EMPTY, verdict: 'already-at-target' };
          continue;
        }
        input = inputAfter(known, new Date(clock.now()).toISOString());
        attempt = 1;
      } else if (last !== null && !isFinal(last)) {
        input = { ...input, submission: last.submission, unresolvedSince: last.unresolvedSince };
        attempt = 1;
      } else if (last !== null && !isDisturbed) {
        break;
      } else if (own.begins === 'replayed' || last !== null) {
        attempt = 1;
        isLate = true;
      } else {
        attempt += 1;
      }
    }
    isFirst = false;
    const ending = runAttempt(own, input, attempt, isLate).catch((error: unknown) => {
      if (error instanceof Died || (error instanceof Error && error.cause instanceof Died)) return null;
      throw error;
    });
    if (own.isLeftAlive) {
      alive.push(ending);
      last = null;
    } else {
      const ended = await ending;
      last = own.isUnheard ? null : ended;
    }
  }
  await Promise.all(alive);
  const { truth } = world.store.state;
  return {
    violations: [
      ...world.violations,
      ...truth.violations.map(({ kind, detail }) => `${kind}: ${detail}`),
      ...(truth.submits.length > 1 ? [`${truth.submits.length} submits were accepted`] : []),
    ],
    verdict: last === null ? 'no end' : last.verdict,
    accepted: truth.submits.length,
    written: world.writes.length,
    truth,
  };
}

const EMPTY: SubmitResult = {
  verdict: 'unknown',
  reason: '',
  operation: null,
  version: null,
  calls: [],
  retryInMs: 0,
  submission: 1,
  unresolvedSince: null,
};

function isFinal({ verdict }: SubmitResult): boolean {
  return verdict !== 'deferred' && verdict !== 'unknown' && verdict !== 'busy';
}
