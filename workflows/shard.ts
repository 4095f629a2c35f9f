/** At most 400 upgrades of a wave, some of them in flight at a time. */
import {
  CancellationScope,
  ChildWorkflowCancellationType,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  patched,
  setCurrentDetails,
  setHandler,
  sleep,
  startChild,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { GateState } from './contracts/calendar.js';
import type { SkipOrder } from './contracts/control.js';
import { rolloutWorkflowId, upgradeWorkflowId, waveWorkflowId } from './contracts/ids.js';
import { addFailures, tally } from './contracts/outcome.js';
import type {
  Counts,
  FailureCounts,
  Limits,
  Share,
  ShardInput,
  ShardProgress,
  ShardResult,
  ShardStatus,
  UpgradeEnd,
} from './contracts/rollout.js';
import { ATTRIBUTES } from './contracts/search-attributes.js';
import type { LockOwner } from './contracts/steps.js';
import {
  FAILED_OUTCOMES,
  GOOD_OUTCOMES,
  type FailureClass,
  type Outcome,
  type Phase,
  type UpgradeInput,
  type UpgradeResult,
  type UpgradeSpec,
} from './contracts/upgrade.js';
import { markdown } from './details.js';
import { failedUpgrade, rootReason } from './failures.js';
import { drawn, drawsOf, groupLimits, limitsOf, requirement, RISK, startable } from './limits.js';
import {
  goOnSignal,
  grantSignal,
  shardProgressSignal,
  shardStatusQuery,
  shardWordSignal,
  skipOrderSignal,
  upgradeHeldBackSignal,
  upgradeOverdueSignal,
} from './messages.js';
import { growing, pauseAt, type Growing } from './pauses.js';
import { ShardShare } from './sharing.js';
import { lockOwners, readGates, readInventory } from './steps.js';
import type { upgrade } from './upgrade.js';

/** Words to the rollout per shard: enough for a bar to move, few enough to keep both histories bounded. */
const PROGRESS_STEPS = 10;

/** Between two looks at leases that others hold. */
const LOCK_LOOK_MS: Growing = { first: 30_000, longest: 30 * 60_000 };

export async function shard(input: ShardInput): Promise<ShardResult> {
  const run = new ShardRun(input);
  setHandler(shardStatusQuery, () => run.status());
  setHandler(upgradeOverdueSignal, (workflowId) => {
    run.chargeOverdue(workflowId);
  });
  setHandler(grantSignal, (grant) => {
    run.hear(grant);
  });
  setHandler(skipOrderSignal, (order) => {
    run.leaveOut(order);
  });
  setHandler(upgradeHeldBackSignal, (workflowId) => {
    run.holdBack(workflowId);
  });

  await run.read();
  run.watchWindows();
  await run.startAll();
  await run.waitForAll();
  return run.end();
}

interface Queued {
  readonly spec: UpgradeSpec;
  readonly draws: readonly string[];
}

interface InFlight extends Queued {
  /** `null` while it is being started. */
  runId: string | null;
}

class ShardRun {
  private readonly input: ShardInput;
  private limits: Limits;
  private readonly share: ShardShare;
  /** `null` until its list was read: before that it cannot say what it wants. */
  private total: number | null = null;
  private queue: Queued[] = [];
  private readonly inFlight = new Map<string, InFlight>();
  private readonly ends: UpgradeEnd[] = [];
  private failures = 0;
  private byClass: FailureCounts = {};
  /** Upgrades that found the rollout on hold right before their send. */
  private readonly heldBack = new Set<string>();
  /** Found to be upgraded by others, and not judged yet. */
  private readonly conflicts: Queued[] = [];
  /** Those of the queue that wait for others, and why. */
  private readonly locked = new Map<Queued, string>();
  private watchesLocks = false;
  private readonly skips = new Map<string, string>();
  /** Names that others wait for. */
  private readonly awaited: { readonly open: Map<string, number>; readonly missed: Set<string> };
  /** Charged while they ran: their end charges nothing more. */
  private readonly overdue = new Set<string>();
  private stopped = false;
  private lastFailure: string | null = null;
  private readonly running: Promise<void>[] = [];
  private speaking = false;
  /** What the rollout's windows say, by gate; before the first answer nothing that waits at one may start. */
  private gates: Readonly<Record<string, GateState>> = {};

  constructor(input: ShardInput) {
    this.input = input;
    this.limits = limitsOf(input);
    this.share = new ShardShare(input.share ?? alone(this.limits));
    this.awaited = { open: new Map(), missed: new Set(input.missed) };
    for (const order of input.skips ?? []) this.leaveOut(order);
  }

  /** Its part of the inventory. Nothing is started yet, so that a shard that cannot read it ends without an upgrade. */
  async read(): Promise<void> {
    const { upgrades, inventory } = this.input;
    const specs = upgrades ?? (inventory === undefined ? [] : await readInventory(inventory));
    this.total = specs.length;
    this.limits = { ...groupLimits(specs), ...this.limits };
    this.queue = specs.map((spec) => ({ spec, draws: drawsOf(spec) }));
    const provided = specs.flatMap(({ provides = [] }) => provides);
    for (const name of provided) this.awaited.open.set(name, (this.awaited.open.get(name) ?? 0) + 1);
    this.tellWave();
    this.show();
  }

  /** Asks at each edge of the windows, once for all that waits: a constant number of events for an opening. */
  watchWindows(): void {
    if (this.gatesAwaited().length === 0) return;
    const { rollout, rolloutRun } = this.input;
    const watch = async (): Promise<void> => {
      for (let waiting = this.gatesAwaited(); waiting.length > 0; waiting = this.gatesAwaited()) {
        const asked = await readGates({ rollout, rolloutRun, gates: waiting, hasStarted: this.hasStarted() });
        this.gates = { ...this.gates, ...asked };
        this.show();
        this.tellWave();
        const edges = Object.values(asked).flatMap(({ until }) => (until === null ? [] : [Date.parse(until)]));
        // Without an edge all that waits is open for good, or never opens: nothing is left to be asked.
        if (edges.length === 0) return;
        const untilEdge = Math.max(Math.min(...edges) - Date.now(), 1_000);
        await condition(() => this.gatesAwaited().length === 0 || this.whyOver() !== null, untilEdge);
        if (this.whyOver() !== null) return;
      }
    };
    // It ends with the shard's own scope; what cannot be asked stays shut, and the server tries again.
    void watch().catch(() => undefined);
  }

  /** Starts upgrades as the budget and the limits leave room, until none is left or the shard is stopped. */
  async startAll(): Promise<void> {
    try {
      while (this.queue.length > 0 || this.mayComeBack()) {
        await condition(
          () => this.isIdle() || this.whyOver() !== null || this.mayStart().length > 0 || this.inVain().length > 0,
        );
        if (this.whyOver() !== null) break;
        for (const next of this.inVain()) await this.skip(next);
        const started = await Promise.allSettled(this.mayStart().map((next) => this.start(next)));
        for (const one of started) if (one.status === 'rejected') throw one.reason;
        await this.judgeConflicts();
        this.tellWave();
      }
    } catch (error) {
      if (!isCancellation(error)) throw error;
      this.stopped = true;
    }
  }

  /** Whether something in flight may find its window closed, and then wait for the next one. */
  private mayComeBack(): boolean {
    return [...this.inFlight.values()].some(({ spec }) => spec.gate !== undefined);
  }

  private isIdle(): boolean {
    return this.queue.length === 0 && !this.mayComeBack();
  }

  /** What was submitted is followed to its end, also when the shard was cancelled. */
  async waitForAll(): Promise<void> {
    await CancellationScope.nonCancellable(() => Promise.all(this.running));
  }

  end(): ShardResult {
    const why = this.stopped ? 'the rollout was stopped first' : (this.whyOver() ?? '');
    const outcome = this.share.skipped && !this.stopped ? 'Skipped' : 'NotStarted';
    for (const next of this.queue) {
      const { spec } = next;
      this.ends.push(endOf(spec, null, outcome, [why, this.locked.get(next)].filter(Boolean).join('; ')));
      for (const name of spec.provides ?? []) this.awaited.missed.add(name);
    }
    this.show();
    const { ends, stopped, failures, byClass } = this;
    return { ends, stopped, failures, byClass, missed: [...this.awaited.missed] };
  }

  hear(grant: Share['grant']): void {
    this.share.hear(grant);
    if (this.share.hold === null) this.letGo();
    this.tellWave();
    this.show();
  }

  status(): ShardStatus {
    return {
      total: this.total ?? 0,
      inFlight: [...this.inFlight].flatMap(([workflowId, { runId }]) =>
        runId === null ? [] : [{ workflowId, runId }],
      ),
      ends: this.ends,
    };
  }

  /** Only what has not started can be left out. */
  leaveOut({ shard: number, workflowId, why }: SkipOrder): void {
    if (number === this.input.shard) this.skips.set(workflowId, why);
  }

  /** It waits for the end of the hold; a hold that is over already is told at once. */
  holdBack(workflowId: string): void {
    this.heldBack.add(workflowId);
    if (this.share.hold === null) this.letGo();
  }

  /** An operation past its deadline is charged to the budget once, whatever it comes to in the end. */
  chargeOverdue(workflowId: string): void {
    const upgrade = this.inFlight.get(workflowId);
    if (upgrade === undefined || this.overdue.has(workflowId)) return;
    this.overdue.add(workflowId);
    if (this.isCharged('timeout')) this.failures += 1;
    this.lastFailure = `${upgrade.spec.resource.id}: overdue, and followed on`;
    this.tellWave();
    this.show();
  }

  private async start(next: Queued): Promise<void> {
    const { spec } = next;
    this.queue.splice(this.queue.indexOf(next), 1);
    const workflowId = upgradeWorkflowId(spec.resource);
    const flying: InFlight = { ...next, runId: null };
    this.inFlight.set(workflowId, flying);
    try {
      const child = await startChild<typeof upgrade>('upgrade', {
        workflowId,
        args: [this.upgradeInput(spec)],
        // A parent that is gone asks its upgrades to stop; it never takes them down (docs/design.md).
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
        cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        staticSummary: `${spec.resource.id} to ${spec.targetLabel}`,
        staticDetails: `${spec.resource.service} in account ${spec.resource.account}, rollout ${this.input.rollout}, ${this.input.wave}`,
        typedSearchAttributes: attributesOf(this.input.rollout, spec),
      });
      flying.runId = child.firstExecutionRunId;
      this.running.push(this.follow(spec, workflowId, child.firstExecutionRunId, () => child.result()));
    } catch (error) {
      this.inFlight.delete(workflowId);
      if (isCancellation(error)) this.queue.unshift(next);
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      this.conflicts.push(next);
    }
  }

  /** Others upgrade these just now: each waits, is skipped or fails, as its plan says, and the owner is named. */
  private async judgeConflicts(): Promise<void> {
    const conflicts = this.conflicts.splice(0);
    if (conflicts.length === 0) return;
    // Shards of older releases skipped them without a look.
    const owners = patched('lock-owners') ? await lockOwners(conflicts.map(leaseOf)) : [];
    for (const [at, next] of conflicts.entries()) {
      const { spec } = next;
      const owner = owners[at];
      if (owner === null) {
        // It has ended meanwhile.
        this.queue.push(next);
        continue;
      }
      const reason = `another upgrade of this resource is running: ${leaseOf(next)}${owner === undefined ? '' : ` of ${describeOwner(owner)}`}`;
      switch (spec.onLocked) {
        case 'wait':
          this.locked.set(next, reason);
          this.queue.push(next);
          break;
        case 'fail':
          await this.add(endOf(spec, null, 'Refused', reason), spec, 'precheck');
          break;
        default:
          await this.add(endOf(spec, null, 'Skipped', reason), spec);
      }
    }
    if (this.locked.size > 0 && !this.watchesLocks) void this.watchLocks();
    this.show();
  }

  /** Looks at all leases together, less and less often, so that weeks of waiting keep the history short. */
  private async watchLocks(): Promise<void> {
    this.watchesLocks = true;
    try {
      for (let look = 0; this.locked.size > 0; look += 1) {
        const waiting = [...this.locked.keys()];
        const wait = pauseAt(this.input.timing.scale, growing(LOCK_LOOK_MS, look));
        await sleep(wait, { summary: `${waiting.length} resources are upgraded by others` });
        const owners = await lockOwners(waiting.map(leaseOf));
        for (const [at, next] of waiting.entries()) {
          const owner = owners[at];
          if (owner === null) this.locked.delete(next);
        }
        this.tellWave();
        this.show();
      }
    } catch (error) {
      if (!isCancellation(error)) throw error;
    } finally {
      this.watchesLocks = false;
    }
  }

  private async follow(
    spec: UpgradeSpec,
    workflowId: string,
    runId: string,
    result: () => Promise<UpgradeResult>,
  ): Promise<void> {
    let end: UpgradeEnd;
    let failedIn: FailureClass | null = null;
    try {
      const ended = await result();
      if (ended.again === true && this.mayStartAgain(workflowId, ended)) return;
      end = endFrom(spec, runId, ended);
    } catch (error) {
      const failed = failedUpgrade(error);
      // Terminated or cancelled by hand: what the cloud does is not known here, and the next apply adopts it.
      end =
        failed === null
          ? endOf(spec, runId, 'Held', `its workflow ended without a result: ${rootReason(error)}`)
          : endFrom(spec, runId, failed);
      failedIn = failed?.failedIn ?? null;
    }
    this.inFlight.delete(workflowId);
    await CancellationScope.nonCancellable(() => this.add(end, spec, failedIn));
  }

  /** Its window closed before anything was sent: back into the queue, for the next opening. */
  private mayStartAgain(workflowId: string, { reason }: UpgradeResult): boolean {
    const flying = this.inFlight.get(workflowId);
    const gate = flying?.spec.gate;
    if (flying === undefined || gate === undefined || this.stopped || this.whyOver() !== null) return false;
    this.inFlight.delete(workflowId);
    this.queue.unshift({ spec: flying.spec, draws: flying.draws });
    const known = this.gates[gate];
    if (known !== undefined) this.gates = { ...this.gates, [gate]: { ...known, open: false, reason } };
    this.tellWave();
    this.show();
    return true;
  }

  private async add(end: UpgradeEnd, { resource, provides = [] }: UpgradeSpec, failedIn: FailureClass | null = null) {
    this.ends.push(end);
    for (const name of provides) {
      this.awaited.open.set(name, (this.awaited.open.get(name) ?? 1) - 1);
      if (!GOOD_OUTCOMES.includes(end.outcome)) this.awaited.missed.add(name);
    }
    if (FAILED_OUTCOMES.includes(end.outcome)) {
      const step = failedIn ?? (end.outcome === 'Held' ? 'timeout' : 'upgrade');
      this.byClass = addFailures(this.byClass, { [step]: 1 });
      const wasCharged = this.overdue.has(end.workflowId) && this.isCharged('timeout');
      if (this.isCharged(step) && !wasCharged) this.failures += 1;
      this.lastFailure = `${resource.id}: ${end.outcome}: ${end.reason}`;
    }
    this.tellWave();
    this.show();
    const total = this.total ?? 0;
    if (this.ends.length % Math.ceil(total / PROGRESS_STEPS) !== 0 && this.ends.length !== total) return;
    try {
      const handle = getExternalWorkflowHandle(rolloutWorkflowId(this.input.rollout), this.input.rolloutRun);
      await handle.signal(shardProgressSignal, this.progress());
    } catch (error) {
      // A rollout that is gone needs no progress; the upgrades go on.
      if (isCancellation(error)) throw error;
    }
  }

  private progress(): ShardProgress {
    return {
      wave: this.input.index,
      shard: this.input.shard,
      inFlight: this.inFlight.size,
      counts: this.counts(),
      failures: this.failures,
      failure: this.lastFailure,
    };
  }

  private counts(): Counts {
    return tally(this.ends.map(({ outcome }) => outcome));
  }

  /** Why nothing more is started; `null` while things may be. */
  private whyOver(): string | null {
    return this.share.stop ?? (this.failures > this.input.failuresLeft ? 'the failure budget was spent first' : null);
  }

  /** The upgrades that wave, budget and account have room for now. */
  private mayStart(): Queued[] {
    if (this.share.hold !== null) return [];
    const next = startable(this.ready(), this.uses(), { ...this.limits, ...this.share.limits() });
    // One at a time, as the histories of shards that older releases started have it.
    return this.input.share === undefined ? next.slice(0, 1) : next;
  }

  /** Those that wait for nothing. */
  private ready(): Queued[] {
    return this.queue.filter(
      (next) => !this.locked.has(next) && requirement(next.spec, this.awaited) === 'met' && this.isOpen(next.spec),
    );
  }

  private isOpen({ gate }: UpgradeSpec): boolean {
    return gate === undefined || this.gates[gate]?.open === true;
  }

  /** The gates that something waits at, or may wait at again. */
  private gatesAwaited(): number[] {
    const waiting = [...this.queue, ...this.inFlight.values()].flatMap(({ spec }) => spec.gate ?? []);
    return [...new Set(waiting)].filter((gate) => this.gates[gate]?.over !== true);
  }

  private hasStarted(): boolean {
    return this.input.index > 1 || this.input.shard > 1 || this.inFlight.size + this.ends.length > 0;
  }

  /** Those whose turn will not come: left out by a person, or waiting for what did not come. */
  private inVain(): Queued[] {
    return this.queue.filter(({ spec }) => this.whySkipped(spec) !== null);
  }

  private whySkipped(spec: UpgradeSpec): string | null {
    const byHand = this.skips.get(upgradeWorkflowId(spec.resource));
    if (byHand !== undefined) return byHand;
    const gate = spec.gate === undefined ? undefined : this.gates[spec.gate];
    if (gate?.over === true) return gate.reason;
    const lacking = requirement(spec, this.awaited);
    return typeof lacking === 'object' ? `it waits for ${lacking.missed}, which did not reach its target` : null;
  }

  private async skip(next: Queued): Promise<void> {
    const why = this.whySkipped(next.spec) ?? '';
    this.queue.splice(this.queue.indexOf(next), 1);
    this.locked.delete(next);
    const isTooLate = next.spec.gate !== undefined && this.gates[next.spec.gate]?.over === true;
    await this.add(endOf(next.spec, null, isTooLate ? 'NotStarted' : 'Skipped', why), next.spec);
  }

  /** Whoever was held back may send. */
  private letGo(): void {
    for (const workflowId of this.heldBack) {
      const { runId } = this.inFlight.get(workflowId) ?? { runId: null };
      if (runId === null) continue;
      // One that has ended meanwhile needs no word.
      void getExternalWorkflowHandle(workflowId, runId)
        .signal(goOnSignal)
        .catch(() => undefined);
    }
    this.heldBack.clear();
  }

  private isCharged(step: FailureClass): boolean {
    return this.input.counts?.includes(step) ?? true;
  }

  private uses(): Limits {
    const uses = drawn(Object.keys(this.limits), this.inFlight.values());
    if (!(RISK in uses)) return uses;
    // One that was charged for being overdue can fail the budget no second time.
    const isCharged = (workflowId: string) => this.overdue.has(workflowId) && this.isCharged('timeout');
    const charged = [...this.inFlight.keys()].filter(isCharged).length;
    return { ...uses, [RISK]: this.inFlight.size - charged + this.failures };
  }

  /** Tells the wave what this shard gives back or lacks; one word at a time, so that they add up while one is under way. */
  private tellWave(): void {
    if (this.speaking || this.total === null || this.input.share?.step == null) return;
    const names = Object.keys(this.share.limits());
    const uses = this.uses();
    // Slots and risk are the wave's to bound: this is all that could be used, if it gave enough.
    const own = Object.fromEntries(Object.entries(this.limits).filter(([name]) => name.includes(':')));
    const word = this.share.word({
      wants: drawn(names, startable(this.ready(), uses, own), uses),
      uses: Object.fromEntries(names.map((name) => [name, uses[name] ?? 0])),
      failures: this.failures,
      isStuck: this.inFlight.size === 0 && this.queue.length > 0,
    });
    if (word === null) return;
    this.speaking = true;
    const { rollout, rolloutRun, index, shard: number } = this.input;
    const wave = getExternalWorkflowHandle(waveWorkflowId(rollout, rolloutRun, index));
    // Sent also while the shard is being stopped; a wave that is gone needs no word.
    void CancellationScope.nonCancellable(() => wave.signal(shardWordSignal, { shard: number, ...word }))
      .catch(() => undefined)
      .finally(() => {
        this.speaking = false;
        this.tellWave();
      });
  }

  private upgradeInput(spec: UpgradeSpec): UpgradeInput {
    const { rollout, rolloutRun, wave, timing } = this.input;
    return { rollout, rolloutRun, wave, spec, timing };
  }

  /** Why nothing of what is left may start now, and until when; `null` while some may. */
  private whyShut(): string | null {
    const [next] = this.queue;
    if (next === undefined || this.queue.some(({ spec }) => this.isOpen(spec))) return null;
    const gate = next.spec.gate === undefined ? undefined : this.gates[next.spec.gate];
    return gate === undefined ? 'the windows, asked just now' : `${gate.until ?? 'never'}: ${gate.reason}`;
  }

  private show(): void {
    const { wave, concurrency } = this.input;
    setCurrentDetails(
      markdown({
        state: `**${this.ends.length} of ${this.total ?? '?'} ended**, ${this.inFlight.size} in flight, ${this.failures} failed`,
        next:
          this.share.hold !== null
            ? `nothing, while it is on hold: ${this.share.hold}`
            : (this.whyShut() ?? this.queue[0]?.spec.resource.id ?? 'the end of those in flight'),
        why: `wave ${wave} runs up to ${concurrency} at a time`,
        more: [
          ...(this.lastFailure === null ? [] : [['Latest failure:', this.lastFailure] as const]),
          ...[...this.locked.values()].slice(0, 1).map((reason) => [`${this.locked.size} wait:`, reason] as const),
        ],
      }),
    );
  }
}

function leaseOf({ spec }: Queued): string {
  return upgradeWorkflowId(spec.resource);
}

function describeOwner({ rollout, since, phase }: LockOwner): string {
  return `rollout ${rollout} since ${since}, in phase ${phase}`;
}

/** Of a shard that shares its wave's limits with nobody. */
function alone(limits: Limits): Share {
  return { grant: { number: 0, answers: 0, limits, tellAfter: Infinity, stop: null }, step: null };
}

function attributesOf(rollout: string, { resource, targetLabel }: UpgradeSpec) {
  return [
    { key: ATTRIBUTES.rollout, value: rollout },
    { key: ATTRIBUTES.cloud, value: resource.cloud },
    { key: ATTRIBUTES.service, value: resource.service },
    { key: ATTRIBUTES.region, value: resource.region },
    { key: ATTRIBUTES.account, value: resource.account },
    { key: ATTRIBUTES.resource, value: resource.id },
    { key: ATTRIBUTES.target, value: targetLabel },
    { key: ATTRIBUTES.phase, value: 'Precheck' satisfies Phase },
  ];
}

function endFrom(spec: UpgradeSpec, runId: string, result: UpgradeResult): UpgradeEnd {
  return {
    ...endOf(spec, runId, result.outcome, result.reason),
    fromVersion: result.fromVersion,
    toVersion: result.toVersion,
  };
}

/** Reasons are cut here, since a shard's answer holds 400 of them; the upgrade's own page has the whole one. */
function endOf(spec: UpgradeSpec, runId: string | null, outcome: Outcome, reason: string): UpgradeEnd {
  return {
    workflowId: upgradeWorkflowId(spec.resource),
    runId,
    outcome,
    reason: reason.length <= 300 ? reason : `${reason.slice(0, 299)}…`,
    fromVersion: spec.plannedFrom,
    toVersion: null,
  };
}
