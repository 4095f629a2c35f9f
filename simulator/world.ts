/** What a service sees and does while it answers one request: its key's resources, at one instant. */
import type { Json } from '../workflows/contracts/json.js';
import { endedAt, isRunning, stageOf, versionsAt, type SimulatedOperation, type SimulatedResource } from './model.js';
import { digest, uuid } from './random.js';
import type { Remembered, Store } from './store.js';
import { count, countsOf, type AcceptedSubmit, type ViolationKind } from './truth.js';

/** Who asks; nobody's key for an upgrade begun elsewhere. */
export interface Caller {
  readonly account: string | null;
  readonly owner: string;
  readonly family: string;
  readonly requestId: string;
}

/** What a fault makes of an accepted submit. */
export interface Acceptance {
  readonly lagMs: number;
  readonly recordsGoneAfterMs: number | null;
}

export class World {
  readonly now: number;
  readonly requestId: string;
  /** The submit that this request got accepted. */
  accepted: AcceptedSubmit | null = null;
  readonly #store: Store;
  readonly #caller: Caller;
  readonly #acceptance: Acceptance;

  constructor(
    store: Store,
    caller: Caller,
    now: number,
    acceptance: Acceptance = { lagMs: 0, recordsGoneAfterMs: null },
  ) {
    this.#store = store;
    this.#caller = caller;
    this.#acceptance = acceptance;
    this.now = now;
    this.requestId = caller.requestId;
  }

  /** The owner's resources of this service, in a stable order. */
  resources(): readonly SimulatedResource[] {
    return this.#store.resourcesOf(this.#caller);
  }

  find(id: string): SimulatedResource | null {
    return this.#store.resource(this.#caller, id);
  }

  /** The resource's operations that the cloud lets show and that made it what it is, oldest first. */
  operations(resource: SimulatedResource): SimulatedOperation[] {
    const { changedAt = 0 } = resource;
    return this.#store
      .operationsOfOne(resource)
      .filter((operation) => operation.visibleAt <= this.now)
      .filter((operation) => (endedAt(operation, this.now) ?? Infinity) > changedAt);
  }

  /** Of all the owner's operations those that job lists and records know of, newest first. */
  records(): SimulatedOperation[] {
    return this.#store
      .operationsOf(this.#caller)
      .filter((operation) => operation.visibleAt <= this.now)
      .filter((operation) => operation.recordsGoneAt === null || this.now < operation.recordsGoneAt)
      .toSorted((a, b) => b.acceptedAt - a.acceptedAt);
  }

  /** The operation that the cloud knows to be running. */
  running(resource: SimulatedResource): SimulatedOperation | null {
    return this.operations(resource).findLast((operation) => isRunning(stageOf(operation, this.now))) ?? null;
  }

  /** Each component's version as the cloud shows it now. */
  versions(resource: SimulatedResource): Readonly<Record<string, string>> {
    return versionsAt(resource, this.operations(resource), this.now);
  }

  /** Starts an upgrade to `to`, and writes it down before anybody is told. */
  accept(
    resource: SimulatedResource,
    to: Readonly<Record<string, string>>,
    options: { readonly id: string; readonly clientToken?: string | null },
  ): SimulatedOperation {
    const { state } = this.#store;
    const { account, requestId } = this.#caller;
    const clientToken = options.clientToken ?? null;
    const { lagMs, recordsGoneAfterMs } = this.#acceptance;
    this.#noteOverlap(resource);
    const operation: SimulatedOperation = {
      id: options.id,
      family: resource.family,
      resource: resource.id,
      owner: resource.owner,
      account,
      from: this.versions(resource),
      to,
      fate: resource.fate,
      acceptedAt: this.now,
      durationMs: resource.durationMs,
      rollbackMs: resource.rollbackMs,
      ...(resource.stuckMs === undefined ? {} : { stuckMs: resource.stuckMs }),
      visibleAt: this.now + lagMs,
      recordsGoneAt: recordsGoneAfterMs === null ? null : this.now + recordsGoneAfterMs,
      requestId,
      clientToken,
    };
    state.operations.push(operation);
    if (account !== null) {
      this.accepted = {
        at: this.now,
        family: resource.family,
        resource: resource.id,
        account,
        target: to,
        requestId,
        clientToken,
        answerLost: false,
      };
      state.truth.submits.push(this.accepted);
      countsOf(state.truth, resource.id).accepted += 1;
    }
    this.#notePeaks();
    this.#store.save();
    return operation;
  }

  /** Notes a submit that is answered with `code`. */
  refuse(resource: string, code: string): void {
    const { truth } = this.#store.state;
    const known = this.find(resource);
    if (known !== null) this.#noteOverlap(known);
    const { account, family } = this.#caller;
    if (account !== null) truth.refused.push({ at: this.now, family, resource, account, code });
    countsOf(truth, resource).refused += 1;
    this.#store.save();
  }

  violation(kind: ViolationKind, detail: string): void {
    this.#store.state.truth.violations.push({ at: this.now, kind, account: this.#caller.account, detail });
    this.#store.save();
  }

  /** The first result of a client token, if the owner has used it. */
  remembered(token: string): Remembered | null {
    return this.#store.state.tokens[`${this.#caller.owner}/${token}`] ?? null;
  }

  remember(token: string, parameters: string, result: Json): void {
    this.#store.state.tokens[`${this.#caller.owner}/${token}`] = { parameters, result };
    this.#store.save();
  }

  /** Notes a submit that was answered from its token's first result. */
  replayed(resource: string): void {
    countsOf(this.#store.state.truth, resource).replays += 1;
    this.#store.save();
  }

  /** A new id, shaped like a UUID. */
  uuid(purpose: string): string {
    return newUuid(this.#store, purpose);
  }

  /** 64 hexadecimal digits that follow from the seed and `parts` alone. */
  digest(...parts: readonly (string | number)[]): string {
    return digest(this.#store.state.seed, ...parts);
  }

  /** Judged by what really runs, seen or not. */
  #noteOverlap(resource: SimulatedResource): void {
    if (this.#caller.account === null) return;
    const running = this.#store.operationsOfOne(resource).some((operation) => isRunning(stageOf(operation, this.now)));
    if (running) this.violation('submit-while-running', resource.id);
  }

  /** Upgrades in flight only ever grow by a submit: this is the moment to look. */
  #notePeaks(): void {
    const { operations, truth } = this.#store.state;
    const running = operations.filter(({ account }) => account !== null).filter((o) => isRunning(stageOf(o, this.now)));
    const byAccount: Record<string, number> = {};
    for (const { account, family } of running) count(byAccount, `${account}/${family}`);
    const { concurrentPeak } = truth;
    concurrentPeak.overall = Math.max(concurrentPeak.overall, running.length);
    for (const [key, number] of Object.entries(byAccount)) {
      concurrentPeak.byAccount[key] = Math.max(concurrentPeak.byAccount[key] ?? 0, number);
    }
  }
}

/** A new id of this simulator, unlike any that it gave out before. */
export function newUuid(store: Store, purpose: string): string {
  const { state } = store;
  state.sequence += 1;
  return uuid(state.seed, state.boots, purpose, state.sequence);
}
