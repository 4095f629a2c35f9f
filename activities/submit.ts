/**
 * Step 2, and the one path by which anything is changed at a cloud: look, decide, send once, classify the answer, and
 * where the answer was lost, look until evidence decides. See docs/submit-protocol.md.
 */
import { activityInfo, Context } from '@temporalio/activity';
import type { Gates } from '../calendar/gate.js';
import { endOf, freezeLabel, freezeOf, isActive } from '../workflows/contracts/freezes.js';
import type { SubmitHeartbeat, SubmitInput, SubmitResult } from '../workflows/contracts/steps.js';
import type { Finding, Operation, SentCall } from '../workflows/contracts/upgrade.js';
import { CLOCK_SKEW_MS, submitBounds, type SubmitBounds } from './bounds.js';
import { iso, Stopwatch } from './clock.js';
import { closureFor, SOON_MS } from './closure.js';
import type { CloudApi, CloudReader, CloudResponse, MutatingRequest } from './clouds/port.js';
import { answerOf, requestIdOf } from './answer.js';
import type { SendBounds, Sent } from './clouds/session.js';
import type { CloudSender } from './clouds/sessions.js';
import { decide, type Decision } from './decide.js';
import { driftFinding, driftFrom, NOT_AS_PLANNED } from './drift.js';
import { whyUnwell } from './health.js';
import { measureAnswer } from './metrics.js';
import {
  apiAndTarget,
  asFailure,
  beating,
  holdReason,
  isWorthRetrying,
  nameOf,
  readFailure,
  type StepDeps,
} from './step.js';
import { clientToken } from './token.js';

const BEAT_MS = 3_000;
/** A first attempt starts within this time of being scheduled, unless slots or the server were away. */
const PROMPT_MS = 10_000;
/** Throttled by the cloud: its penalties last minutes. */
const THROTTLED_RETRY_MS = 60_000;
/** A request that leaves so late before an edge could not be answered before it; at scale 1. */
const EDGE_GUARD_MS = 2_000;
/** For what was sent right before `startBy` to be seen on the server, once the cloud has answered. */
const SEEN_WITHIN_MS = 10_000;
/** The Temporal server could not be asked. */
const HOLD_RETRY_MS = 5_000;

export async function submit(deps: StepDeps, input: SubmitInput): Promise<SubmitResult> {
  try {
    const { api, target } = apiAndTarget(deps, input);
    const attempt = new SubmitAttempt(deps, api, target, input);
    return await beating(
      BEAT_MS * input.timing.scale,
      () => attempt.beat,
      () => attempt.run(),
    );
  } catch (error) {
    throw asFailure(error, !(isReplay() || input.unresolvedSince !== null), input.timing.scale);
  }
}

/**
 * Whether an attempt before this one may have run. Its number alone proves nothing: an operator's reset, a restored
 * backup or a lost disk write of the server brings the first one again, but never as promptly as the first time.
 */
function isReplay(): boolean {
  const { attempt, heartbeatDetails } = activityInfo();
  return attempt > 1 || sinceAskedMs() > PROMPT_MS || heartbeatDetails !== undefined;
}

/** By the machine's own clock, since it is the server's that is compared. */
function sinceAskedMs(): number {
  return Date.now() - activityInfo().scheduledTimestampMs;
}

/** What an attempt before this one has sent; one of an older release beat a line of text. */
function beatenCalls(): readonly SentCall[] {
  const beat = activityInfo().heartbeatDetails as SubmitHeartbeat | string | undefined;
  return typeof beat === 'string' ? [] : (beat?.calls ?? []);
}

/** One attempt of the activity: its bounds are fixed when it begins. */
class SubmitAttempt {
  /** What a person sees under Pending Activities. */
  seen = 'looking';
  private readonly deps: StepDeps;
  private readonly api: CloudApi;
  private readonly target: unknown;
  private readonly input: SubmitInput;
  private readonly bounds: SubmitBounds;
  private sender: CloudSender | null = null;
  private readonly beganAt: number;
  private readonly age: Stopwatch;
  /** With those that an attempt before this one has beaten. */
  private readonly calls: SentCall[] = [...beatenCalls()];
  /** What a send asks for: the target, or what the resource still lacks of it by the last look. */
  private asked: unknown;
  /** The time after which no earlier send can arrive or be invisible any more; `null` when none can be out. */
  private settling: { readonly since: Stopwatch; readonly ms: number } | null;
  private unresolvedSince: string | null;
  /** As the last look read them. */
  private version: string | null = null;
  private tags: Readonly<Record<string, string>> = {};
  /** By the last look that let it send, none or some: what it sends is for a resource that differs so. `null` before it. */
  private findings: readonly Finding[] | null = null;

  constructor(deps: StepDeps, api: CloudApi, target: unknown, input: SubmitInput) {
    this.deps = deps;
    this.api = api;
    this.target = target;
    this.asked = target;
    this.input = input;
    this.bounds = submitBounds(api.pace, input.timing.scale);
    this.beganAt = deps.clock.now();
    this.age = new Stopwatch(deps.clock);
    this.unresolvedSince = input.unresolvedSince;
    // This attempt knows nothing of what one before it did: that one may even be alive and send until its window closes,
    // so the settling time counts from here.
    const mayBeOut = [
      ...(isReplay() ? [this.beganAt] : []),
      ...(input.unresolvedSince === null ? [] : [Date.parse(input.unresolvedSince)]),
    ];
    const settlesAt = Math.max(...mayBeOut) + this.bounds.settlingMs;
    this.settling = mayBeOut.length === 0 ? null : { since: this.age, ms: settlesAt - this.beganAt };
  }

  get beat(): SubmitHeartbeat {
    return { waits: this.seen, until: null, calls: this.calls };
  }

  /**
   * While the rollout is on hold, waiting for anything else is waiting for its end; and what has sent nothing yet need not
   * wait in flight while nothing may be sent.
   */
  async run(): Promise<SubmitResult> {
    const result = await this.untilDecided();
    if (result.verdict !== 'busy' && result.verdict !== 'deferred') return result;
    const held = await holdReason(this.deps, this.input);
    if (held !== null) return { ...result, verdict: 'held-back', reason: `${held}; ${result.reason}` };
    // A new start counts its submissions from 1, what may be out is this one's to follow, and what serves nobody keeps its place.
    const isUntouched = this.settling === null && result.submission === 1 && result.unwell !== true;
    const closure = isUntouched ? await closureFor(this.deps, this.input, this.tags) : null;
    if (closure === null) return result;
    const busy = result.verdict === 'busy' ? { busy: true as const } : {};
    return { ...result, ...closure, ...busy, verdict: 'closed', reason: `${closure.reason}; ${result.reason}` };
  }

  private async untilDecided(): Promise<SubmitResult> {
    for (;;) {
      const decision = await this.look();
      this.seen = 'reason' in decision ? decision.reason : 'sending';
      if ('own' in decision && decision.own) this.noteUnheard('operation' in decision ? decision.operation : null);
      switch (decision.do) {
        case 'done':
          return this.result(decision.own ? 'submitted' : 'already-at-target', decision.reason, {
            operation: decision.own ? { id: null, since: this.unresolvedSince ?? iso(this.beganAt) } : null,
          });
        case 'follow':
          return this.result(decision.own ? 'submitted' : 'adopted', decision.reason, {
            operation: decision.operation,
          });
        case 'refuse':
          return this.result('refused', decision.reason, unwellIn(decision));
        case 'drifted':
          return this.result('drifted', decision.reason, this.mayBeginAnew(decision) ? { anew: true } : {});
        case 'wait':
          // Settled, and only busy with something else: the earlier send is proven to have come to nothing.
          return this.result(
            'busy',
            decision.reason,
            this.isSettled() ? { submission: this.input.submission + 1 } : unwellIn(decision),
          );
        case 'look-again':
          if (this.isOutOfPatience()) return this.result('unknown', decision.reason);
          await this.deps.clock.sleep(this.bounds.lookEveryMs, Context.current().cancellationSignal);
          continue;
        case 'send': {
          if (this.settling !== null) return this.provenNotAccepted();
          const ended = await this.send();
          if (ended !== null) return ended;
        }
      }
    }
  }

  /** May take calls of its own and fail as any read may. Only a look that a send waits for goes before other reads. */
  private async open(): Promise<CloudReader> {
    const { account } = this.input.spec.resource;
    const { sessions } = this.deps;
    this.sender ??= await sessions.sender(this.api, account);
    const urgent = this.settling === null || this.isSettled();
    return sessions.reader(this.api, account, { signal: Context.current().cancellationSignal, urgent });
  }

  /** Reads until the evidence is whole; a read that fails for good ends the step only if nothing can have been sent. */
  private async look(): Promise<Decision> {
    const { resource } = this.input.spec;
    const since = Date.parse(this.input.startedAt);
    for (;;) {
      try {
        const reader = await this.open();
        const state = await this.api.describe(reader, resource.id);
        const records = await this.api.operations(reader, resource.id, since);
        this.version = state.version;
        this.tags = state.tags;
        const decision = decide({
          state,
          standing: this.api.standing(state, this.target),
          operations: records.filter(({ operation }) => !this.input.knownOperations.includes(nameOf(operation))),
          expectedVersion: this.input.expectedVersion,
          mayHaveSent: this.settling !== null,
          settled: this.isSettled(),
          seenAt: iso(this.deps.clock.now()),
        });
        if (decision.do === 'done' && !decision.own) {
          // Right after somebody else's upgrade health may still come back.
          const unwell = await whyUnwell(this.api, reader, state);
          if (unwell !== null) return { do: 'wait', reason: unwell, unwell: true };
        }
        if (decision.do !== 'send') return decision;
        const offer = this.api.drift?.(state, this.target) ?? null;
        if (offer !== null) return { do: 'drifted', reason: offer };
        const drift = driftFrom(this.input.spec, state);
        if (drift !== null && drift.rule !== 'proceed') {
          return {
            do: drift.rule === 'fail' ? 'drifted' : 'wait',
            reason: `${NOT_AS_PLANNED}: ${drift.shown}`,
          };
        }
        this.findings = drift === null ? [] : [driftFinding(drift)];
        this.asked = this.api.remaining?.(state, this.target) ?? this.target;
        return decision;
      } catch (error) {
        const { message } = readFailure(error);
        this.seen = message;
        if (this.settling === null && !isWorthRetrying(error)) return { do: 'refuse', reason: message };
        if (this.isOutOfPatience()) {
          return this.settling === null
            ? { do: 'wait', reason: message }
            : { do: 'look-again', reason: `sent, and the truth cannot be read: ${message}` };
        }
        await this.deps.clock.sleep(this.bounds.lookEveryMs, Context.current().cancellationSignal);
      }
    }
  }

  /** Sends once and classifies the answer; `null` means that evidence must decide now. */
  private async send(): Promise<SubmitResult | null> {
    const { resource, targetLabel } = this.input.spec;
    const token = clientToken({
      rolloutRun: this.input.rolloutRun,
      resource,
      targetLabel,
      submission: this.input.submission,
    });
    if (this.sender === null) throw new TypeError('a send comes after a look');
    const sendBy = this.beganAt + this.bounds.sendWindowMs;
    const isLate = () => this.age.atMost() > this.bounds.sendWindowMs;
    if (isLate()) {
      const reason = `reading took longer than the ${Math.round(this.bounds.sendWindowMs / 1000)} s in which it may send`;
      return this.result('deferred', reason);
    }
    const edge = await this.edge(sendBy);
    if ('ended' in edge) return edge.ended;
    const request = this.api.submission({ projectId: this.sender.projectId }, resource.id, this.asked, token);
    let forbidden: SubmitResult | null = null;
    const mayGo = async () => {
      forbidden = (await this.freeze()) ?? (await this.hold());
      return forbidden === null;
    };
    const sent = await this.sender.send(request, { ...edge, isLate, mayGo });
    if (forbidden !== null) return forbidden;
    const answer = answerOf(this.api, sent, resource.id);
    measureAnswer(resource, answer.kind);
    if (sent.kind !== 'not-sent') {
      const response = sent.kind === 'answered' ? sent.response : undefined;
      this.calls.push(record(request, { at: iso(sent.at), answer: answer.kind, response }));
    }
    switch (answer.kind) {
      case 'accepted':
        return this.result('submitted', `accepted as ${answer.operationId ?? 'an operation without id'}`, {
          operation: { id: answer.operationId, since: iso(sentAt(sent, this.deps)) },
        });
      case 'refused':
        return this.result('refused', answer.reason);
      case 'busy':
        return this.result('busy', answer.reason);
      case 'throttled':
      case 'not-sent':
        return this.result('deferred', answer.reason, {
          retryInMs: sent.kind === 'not-sent' ? sent.retryInMs / this.input.timing.scale : THROTTLED_RETRY_MS,
        });
      case 'already-done':
        return this.checkAlreadyDone(answer.reason);
      case 'unknown':
        this.unresolvedSince = iso(sentAt(sent, this.deps));
        this.settling = { since: new Stopwatch(this.deps.clock), ms: this.bounds.settlingMs };
        this.seen = answer.reason;
        // At once: the request's id must outlive this worker.
        Context.current().heartbeat(this.beat);
        return null;
    }
  }

  /**
   * Whether a window is open for it, by the cloud's clock as well as by ours, and until when a send may go out. Near an
   * edge both ends of what the cloud's clock may show have to lie within; a request still under way at the edge is given up.
   */
  private async edge(sendBy: number): Promise<SendBounds | { readonly ended: SubmitResult }> {
    const { gate } = this.input.spec;
    const timeoutMs = this.bounds.sendTimeoutMs;
    if (gate === undefined) return { sendBy, timeoutMs };
    const later = (reason: string, inMs: number) => ({
      ended: this.result('deferred', reason, { retryInMs: inMs / this.input.timing.scale }),
    });
    const offset = this.sender?.clockOffset() ?? null;
    if (offset === null)
      return later('cannot tell what time it is at the cloud: its answers have no date', HOLD_RETRY_MS);
    const [least, most] = [Math.min(offset.least, 0), Math.max(offset.most, 0)];
    let gates: Gates;
    let hasBegun = true;
    try {
      if (this.deps.gatesOf === undefined) throw new RangeError('nobody can be asked');
      gates = await this.deps.gatesOf(this.input);
      // One that sends long before `startBy` need not ask.
      const latest = this.deps.clock.now() + most + this.bounds.sendWindowMs;
      if (latest + SOON_MS * this.input.timing.scale >= gates.startBy) {
        if (this.deps.begunOf === undefined) throw new RangeError('nobody can be asked');
        hasBegun = await this.deps.begunOf(this.input, gates.startBy);
      }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return later(`cannot tell whether its window is open: ${why}`, HOLD_RETRY_MS);
    }
    const now = this.deps.clock.now();
    const [first, last] = [gates.state(gate, now + least, hasBegun), gates.state(gate, now + most, hasBegun)];
    const seenBy = gates.startBy + timeoutMs + SEEN_WITHIN_MS;
    if (last.over && !hasBegun && now < seenBy) {
      return later(`${last.reason}; whether anything was under way by then is still to be seen`, seenBy - now);
    }
    const closes = last.closes === null ? Infinity : Date.parse(last.closes) - most;
    if (!last.open || closes - now <= EDGE_GUARD_MS * this.input.timing.scale) {
      const opensIn = last.open || last.until === null ? Infinity : Date.parse(last.until) - now - least;
      if (opensIn <= SOON_MS) return later(`${last.reason}; it opens soon`, opensIn);
      const reason = last.open ? `too little is left of ${last.reason}` : last.reason;
      return { ended: this.result('closed', reason, { over: last.over }) };
    }
    if (!first.open) return later("it has just opened, and not yet by the cloud's clock", most - least);
    const until = last.until === null ? Infinity : Date.parse(last.until) - most;
    const guard = EDGE_GUARD_MS * this.input.timing.scale;
    return { sendBy: Math.min(sendBy, until - 1, closes - guard), timeoutMs, answerBy: closes };
  }

  /** Whether a freeze covers it, by its tags as they are now. */
  private async freeze(): Promise<SubmitResult | null> {
    const { spec, rollout } = this.input;
    try {
      const known = (await this.deps.freezesOf?.()) ?? [];
      const now = this.deps.clock.now();
      // As a window's edge: ours and the cloud's clock both have to be past its end.
      const behind = Math.min(this.sender?.clockOffset()?.least ?? 0, 0);
      const holding = known.filter((freeze) => isActive(freeze, now + behind));
      const freeze = freezeOf(holding, { resource: spec.resource, rollout, tags: this.tags });
      if (freeze === null) return null;
      if (isActive(freeze, now)) return this.result('closed', freezeLabel(freeze), { over: false, freeze });
      const retryInMs = (endOf(freeze) - now - behind) / this.input.timing.scale;
      return this.result('deferred', `${freezeLabel(freeze)}, by the cloud's clock`, { retryInMs });
    } catch (error) {
      return this.untold('it is frozen', error);
    }
  }

  /** The last question before the send: whether people let the rollout send. */
  private async hold(): Promise<SubmitResult | null> {
    try {
      const hold = (await this.deps.holdOf?.(this.input)) ?? null;
      if (hold === null) return null;
      return hold.over ? this.result('closed', hold.reason, { over: true }) : this.result('held-back', hold.reason);
    } catch (error) {
      return this.untold('the rollout is on hold', error);
    }
  }

  /** Who cannot ask may not send. */
  private untold(what: string, error: unknown): SubmitResult {
    const reason = `cannot tell whether ${what}: ${error instanceof Error ? error.message : String(error)}`;
    return this.result('deferred', reason, { retryInMs: HOLD_RETRY_MS });
  }

  /** The cloud refused since it holds the target to be reached: true only if the resource says so too. */
  private async checkAlreadyDone(answer: string): Promise<SubmitResult> {
    const decision = await this.look();
    if (decision.do === 'done') return this.result('already-at-target', decision.reason);
    if (decision.do === 'follow') return this.result('adopted', decision.reason, { operation: decision.operation });
    // It changes just now, or cannot be read: the next look tells.
    if (decision.do === 'wait') return this.result('busy', decision.reason);
    return this.result('refused', answer);
  }

  /** The settling time passed without a trace: the earlier send was not accepted, and the next one is a new one. */
  private provenNotAccepted(): SubmitResult {
    this.unresolvedSince = null;
    return this.result('deferred', 'the earlier submit left no trace within its settling time: not accepted', {
      submission: this.input.submission + 1,
    });
  }

  /**
   * What was found may be the work of an attempt before this one, whose worker died before it could tell of it; what has no
   * name, or began before this activity was asked for, is surely somebody else's.
   */
  private noteUnheard(operation: Operation | null): void {
    if (this.calls.length > 0 || this.input.unresolvedSince !== null || this.sender === null) return;
    const at = operation?.since ?? iso(this.beganAt);
    if (operation?.id === null || Date.parse(at) < this.beganAt - sinceAskedMs() - CLOCK_SKEW_MS) return;
    const { projectId } = this.sender;
    const request = this.api.submission({ projectId }, this.input.spec.resource.id, this.asked, '');
    this.calls.push(record(request, { at, answer: 'unheard' }));
  }

  /** Whether the plan lets go on, or wait, what has another version than the precheck read. */
  private mayBeginAnew({ anew }: Extract<Decision, { do: 'drifted' }>): boolean {
    const { planned, drift } = this.input.spec;
    return anew === true && planned !== undefined && (drift?.version ?? 'fail') !== 'fail';
  }

  private isSettled(): boolean {
    return this.settling !== null && this.settling.since.atLeast() >= this.settling.ms;
  }

  private isOutOfPatience(): boolean {
    return this.deps.clock.now() >= this.beganAt + this.bounds.patienceMs;
  }

  private result(
    verdict: SubmitResult['verdict'],
    reason: string,
    more: Partial<
      Pick<SubmitResult, 'operation' | 'retryInMs' | 'submission' | 'over' | 'freeze' | 'unwell' | 'anew'>
    > = {},
  ): SubmitResult {
    return {
      verdict,
      reason,
      operation: null,
      version: this.version,
      calls: this.calls,
      ...(this.findings === null ? {} : { findings: this.findings }),
      retryInMs: 0,
      submission: this.input.submission,
      unresolvedSince: verdict === 'unknown' ? (this.unresolvedSince ?? iso(this.beganAt)) : null,
      ...more,
    };
  }
}

function unwellIn({ unwell }: Extract<Decision, { do: 'wait' | 'refuse' }>): Pick<SubmitResult, 'unwell'> {
  return unwell === true ? { unwell } : {};
}

function sentAt(sent: Sent, deps: StepDeps): number {
  return sent.kind === 'not-sent' ? deps.clock.now() : sent.at;
}

function record(
  request: MutatingRequest,
  { at, answer, response }: Pick<SentCall, 'at' | 'answer'> & { readonly response?: CloudResponse | undefined },
): SentCall {
  return {
    at,
    method: request.method,
    path: `/${request.path.join('/')}${queryOf(request)}`,
    answer,
    status: response?.status ?? null,
    requestId: response === undefined ? null : requestIdOf(response),
  };
}

/** The query as people read it: GES v1 names its action there. The client token would tell nobody anything. */
function queryOf({ query }: MutatingRequest): string {
  const parts = Object.entries(query ?? {})
    .filter(([name]) => name !== 'clientToken')
    .map(([name, value]) => `${name}=${value}`);
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}
