/** One resource to one target: precheck → submit → await → verify. At most 31 events when nothing disturbs it. */
import {
  ApplicationFailure,
  CancellationScope,
  getExternalWorkflowHandle,
  isCancellation,
  patched,
  setCurrentDetails,
  setHandler,
  setWorkflowOptions,
  type SignalDefinition,
  sleep,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { FAILURES } from './contracts/errors.js';
import { failureClass, upgradeOutcome } from './contracts/outcome.js';
import { ATTRIBUTES } from './contracts/search-attributes.js';
import type {
  AwaitResult,
  PrecheckResult,
  StepInput,
  SubmitInput,
  SubmitResult,
  VerifyResult,
} from './contracts/steps.js';
import {
  AS_PLANNED,
  FAILED_OUTCOMES,
  type Finding,
  type Operation,
  type Outcome,
  type Phase,
  type PhaseBegin,
  type Resolution,
  type SentCall,
  type UpgradeInput,
  type UpgradeResult,
} from './contracts/upgrade.js';
import { rootReason } from './failures.js';
import {
  goOnSignal,
  resolveUpdate,
  upgradeHeldBackSignal,
  upgradeOverdueSignal,
  upgradeStuckSignal,
} from './messages.js';
import { measureEnd, measurePhase } from './metrics.js';
import { growing, pauseAt, summaryOf, type Growing } from './pauses.js';
import { stepsAt, type Steps } from './steps.js';
import { nameOf, upgradeDetails } from './upgrade-details.js';
import { UpgradeHold } from './upgrade-hold.js';
import { UpgradeResolution } from './upgrade-resolution.js';

/** So long a resource may stay busy, or a send not get out; then the upgrade is refused. Milliseconds at scale 1. */
const PATIENCE_MS = 2 * 3_600_000;

const BUSY_RETRY_MS: Growing = { first: 60_000, longest: 15 * 60_000 };
/** A send that waits for the account's rate goes soon; one that cannot get out need not try every second. */
const DEFERRED_RETRY_MS: Growing = { first: 5_000, longest: 5 * 60_000 };
/** While the truth cannot be read: a dozen looks a day for five days. */
const HELD_RETRY_MS: Growing = { first: 10 * 60_000, longest: 2 * 3_600_000 };
/** Then a person has it, and one a day will do: each writes twenty events, and months of them have to fit a history. */
const FREQUENT_LOOKS = 60;
const DAILY_MS = 24 * 3_600_000;

/** Kept in the result, for the report's timeline. */
const MOST_PHASES = 40;

/** Its version changes right before its send more often than this: then a person has to look. */
const MOST_CHECKED_ANEW = 3;

/** More upgrades of others than this on one resource: then a person has to look. */
const MOST_OTHERS = 3;

export async function upgrade(input: UpgradeInput): Promise<UpgradeResult> {
  const run = new UpgradeRun(input);
  setHandler(resolveUpdate, (resolution) => run.resolve(resolution), {
    validator: (resolution) => run.mayResolve(resolution),
    description: 'A person says how an upgrade ended that is held or overdue.',
  });

  setHandler(goOnSignal, () => {
    run.goOn();
  });

  for (;;) {
    const checked = await run.precheck();
    if (!run.mayGoOn(checked)) return run.end();

    const submitted = await run.submit(checked);
    if (run.otherEndedMeanwhile(checked, submitted) || run.mayCheckAnew(checked, submitted)) continue;
    if (submitted.operation === null) return run.end();

    const verified = await run.follow(submitted.operation);
    if (verified === null) return run.end();
    if (!run.mayBeginAnew(verified)) return run.conclude(verified);
  }
}

// Where workers are versioned, an upgrade, which is over within hours, ends on the build it began on; the server takes no
// word of that from workers that are not.
setWorkflowOptions(
  () => (workflowInfo().currentDeploymentVersion?.deploymentName ? { versioningBehavior: 'PINNED' } : {}),
  upgrade,
);

/** The state of one upgrade and its named steps. */
class UpgradeRun {
  private readonly input: UpgradeInput;
  private step: StepInput;
  private readonly steps: (summary: string) => Steps;
  private readonly startedAt = new Date().toISOString();
  private outcome: Outcome = 'NotStarted';
  private reason = 'stopped before anything was sent';
  private fromVersion: string | null;
  private toVersion: string | null = null;
  private leftAt: string | null = null;
  private operation: Operation | null = null;
  private adopted = false;
  private findings: readonly Finding[] = [];
  private calls: SentCall[] = [];
  private verdict: VerifyResult['verdict'] | null = null;
  /** The last look found that it serves nobody, by nothing that was sent here. */
  private unwell = false;
  private polls = 0;
  private providerSays: AwaitResult['providerSays'] = 'running';
  /** As `AwaitResult.throughVerify`. */
  private throughVerify = false;
  /** A person is needed, or only time: then `resolve` may end it. */
  private phase: Phase = 'Precheck';
  private readonly phases: PhaseBegin[] = [];
  private readonly resolution: UpgradeResolution;
  private othersFollowed = 0;
  private checkedAnew = 0;
  private toldOverdue = false;
  /** The number of the next send: kept when the upgrade begins anew, so that no client token comes twice. */
  private submission = 1;
  private readonly onHold: UpgradeHold;
  /** Nothing cancels what runs in it; one for all, since each costs the worker a third of a millisecond (measured). */
  private readonly shielded = new CancellationScope({ cancellable: false });
  private again = false;
  private freeze: UpgradeResult['freeze'];
  /** Upgrades of older releases waited on in flight; `null` before it matters. */
  private sendsBack: boolean | null = null;
  /** For a busy resource, when it was sent back. */
  private waitedMs: number | null = null;

  constructor(input: UpgradeInput) {
    this.input = input;
    this.step = {
      rollout: input.rollout,
      rolloutRun: input.rolloutRun,
      spec: input.spec,
      timing: input.timing,
    };
    this.steps = stepsAt(input.timing.scale, input.spec.queue);
    this.resolution = new UpgradeResolution(this.shielded);
    this.onHold = new UpgradeHold(input.timing.scale, () => this.tellShard(upgradeHeldBackSignal));
    this.fromVersion = input.spec.plannedFrom;
    this.show('Precheck', 'submit, if nothing speaks against it', 'checks run first');
  }

  /** The rollout's hold is over. */
  goOn(): void {
    this.onHold.goOn();
  }

  /** Reads only; cancelling here ends the upgrade, since nothing was sent. Busy is waited for. */
  async precheck(): Promise<PrecheckResult | null> {
    let giveUpAt = this.patienceEnds(this.input.waitedMs);
    try {
      for (let look = 0; ; look += 1) {
        const checked = await this.steps(`Precheck ${this.title}`).reads.precheck(this.step);
        this.fromVersion = checked.version ?? this.fromVersion;
        this.findings = checked.findings;
        this.unwell = checked.unwell === true;
        if (checked.verdict !== 'busy') return checked;
        if (checked.held !== undefined) {
          if (!(await this.untilGoOn(`${checked.held}; ${checked.reason}`))) return null;
          giveUpAt = this.patienceEnds(this.input.waitedMs);
          look = 0;
          continue;
        }
        this.onHold.forget();
        if (Date.now() >= giveUpAt) return checked;
        if (checked.closure !== undefined && this.mayBeSentBack) {
          this.waitedMs = this.waitedBy(giveUpAt);
          return checked;
        }
        await this.waitFor(growing(BUSY_RETRY_MS, look), checked.reason);
      }
    } catch (error) {
      if (isCancellation(error)) return null;
      this.settle('Refused', rootReason(error));
      return null;
    }
  }

  /** Routes on the precheck's verdict; `true` when a submit may follow. */
  mayGoOn(checked: PrecheckResult | null): checked is PrecheckResult {
    if (checked === null) return false;
    switch (checked.verdict) {
      case 'already-at-target':
        this.toVersion = checked.version;
        this.settle('AlreadyAtTarget', checked.reason);
        return false;
      case 'refused':
        this.settle('Refused', checked.reason);
        return false;
      case 'busy':
        if (checked.closure === undefined || this.waitedMs === null) this.settle('Refused', `still ${checked.reason}`);
        else this.close(checked.closure, `${checked.closure.reason}; ${checked.reason}`);
        return false;
      case 'clear':
      case 'upgrading':
        return !CancellationScope.current().consideredCancelled;
    }
  }

  /**
   * The one submit, looked after until its outcome is known. Once it may have been sent nothing cancels it; while it
   * provably was not, a cancel ends the upgrade.
   */
  async submit(checked: PrecheckResult): Promise<SubmitResult> {
    let giveUpAt = this.patienceEnds();
    let next: SubmitInput = {
      ...this.step,
      expectedVersion: checked.version,
      submission: this.submission,
      // After a reset the run before this one may have sent: what came of it is looked for, and given time to show.
      unresolvedSince: wasReset() ? new Date().toISOString() : (checked.unresolvedSince ?? null),
      knownOperations: checked.knownOperations,
      startedAt: this.startedAt,
    };
    // A reset terminates the run before it, and that one was ours.
    const isAnothers = !wasReset() && checked.unresolvedSince != null;
    this.show('Submit', 'await, once the cloud has accepted', 'prechecks are clear');
    for (let look = 0; ; look += 1) {
      const submitted = await this.submitOnce(next);
      this.calls.push(...submitted.calls);
      if (submitted.findings !== undefined) this.findings = withDrift(this.findings, submitted.findings);
      this.submission = submitted.submission;
      this.unwell = submitted.unwell === true;
      next = { ...next, submission: submitted.submission, unresolvedSince: submitted.unresolvedSince };
      if (submitted.verdict !== 'held-back') this.onHold.forget();
      switch (submitted.verdict) {
        case 'submitted':
        case 'adopted':
          this.operation = submitted.operation;
          // Evidence came after all: it counts for more than a word that was given for lack of it.
          this.resolution.withdraw();
          // What a run before this one had sent, before it was terminated, is not this one's own.
          this.adopted = submitted.verdict === 'adopted' || (isAnothers && this.calls.length === 0);
          return submitted;
        case 'already-at-target':
          this.toVersion = submitted.version;
          this.settle('AlreadyAtTarget', submitted.reason);
          return submitted;
        case 'refused':
        case 'drifted':
          this.settle('Refused', submitted.reason);
          return submitted;
        case 'unknown':
          this.show('Held', 'another look at the cloud', submitted.reason);
          await this.shielded.run(() => this.hold(look, submitted.reason));
          if (this.isResolved(submitted.reason)) return submitted;
          continue;
        case 'closed':
          if (submitted.busy === true) this.waitedMs = this.input.waitedMs ?? 0;
          this.close(submitted, submitted.reason);
          return submitted;
        case 'held-back':
          if (this.isResolved(submitted.reason)) return submitted;
          if (!(await this.untilGoOn(submitted.reason))) return submitted;
          // The hold's time is nobody's fault, and looks begin anew.
          giveUpAt = this.patienceEnds();
          look = 0;
          continue;
        case 'busy':
        case 'deferred':
          // The word may have come while this look was under way, and nothing it saw speaks against it: so no send.
          if (this.isResolved(submitted.reason)) return submitted;
          if (Date.now() >= giveUpAt) {
            this.settle('Refused', `nothing was sent, since it is still so: ${submitted.reason}`);
            return submitted;
          }
          try {
            await this.waitFor(
              submitted.verdict === 'busy'
                ? growing(BUSY_RETRY_MS, look)
                : Math.max(submitted.retryInMs, growing(DEFERRED_RETRY_MS, look)),
              submitted.reason,
            );
          } catch (error) {
            if (!isCancellation(error)) throw error;
            return submitted;
          }
      }
    }
  }

  /**
   * Until the operation ended and the resource was read back; never abandoned, whatever is cancelled above. `null` when
   * a person said how it ended.
   */
  follow(operation: Operation): Promise<VerifyResult | null> {
    return this.shielded.run(async () => {
      for (let look = 0; ; look += 1) {
        await this.awaitEnd(operation);
        if (this.isResolved(this.reason)) return null;
        // Short: not worth a change of what people filter by, unless that says that it lasts too long.
        const isToldApart = !this.throughVerify || shownPhase() !== 'Await';
        this.show('Verify', 'the outcome', `the operation ended: ${this.reason}`, isToldApart);
        const { waits } = this.steps(`Verify ${this.title}: version, status and health`);
        const verified = await waits.verify({ ...this.step, operation });
        this.toVersion = verified.version;
        if (verified.verdict !== 'unreadable' && verified.verdict !== 'still-running') return verified;
        this.show('Held', 'another look at the cloud', verified.reason, true);
        await this.hold(look, verified.reason);
        if (this.isResolved(verified.reason)) return null;
      }
    });
  }

  /** The precheck saw somebody else's upgrade run, and the submit's look found it ended: as if it had been followed. */
  otherEndedMeanwhile({ verdict }: PrecheckResult, submitted: SubmitResult): boolean {
    if (verdict !== 'upgrading' || submitted.verdict !== 'drifted' || this.resolution.isGiven) return false;
    if (this.isStoppedBeforeTurn) this.settle('NotStarted', `stopped before its own turn: ${submitted.reason}`);
    return this.mayFollowOthers(submitted.version);
  }

  /**
   * Before anything of its own was sent the version became another one, and the plan's rule for that is the precheck's; not
   * where somebody else's upgrade was seen to lead there: what follows that is `otherEndedMeanwhile`'s.
   */
  mayCheckAnew({ verdict }: PrecheckResult, { anew }: SubmitResult): boolean {
    if (anew !== true || verdict === 'upgrading' || this.calls.length > 0 || this.resolution.isGiven) return false;
    if (this.checkedAnew >= MOST_CHECKED_ANEW) return false;
    this.checkedAnew += 1;
    this.settle('NotStarted', 'stopped before anything was sent');
    return true;
  }

  /** After an upgrade of somebody else that led elsewhere, where the plan says that ours then has its turn. */
  mayBeginAnew({ verdict, version }: VerifyResult): boolean {
    return this.adopted && verdict === 'not-at-target' && this.mayFollowOthers(version);
  }

  private mayFollowOthers(version: string | null): boolean {
    if (!this.waitsForOthers) return false;
    if (CancellationScope.current().consideredCancelled || this.othersFollowed >= MOST_OTHERS) return false;
    this.othersFollowed += 1;
    const { spec } = this.step;
    // Where the other one led is what ours begins from.
    if (spec.planned !== undefined && version !== null) {
      this.step = { ...this.step, spec: { ...spec, planned: { ...spec.planned, version } } };
    }
    this.adopted = false;
    this.operation = null;
    return true;
  }

  /** Whether its own turn comes after somebody else's upgrade that led elsewhere. */
  private get waitsForOthers(): boolean {
    return this.input.spec.onOtherTarget === 'wait';
  }

  /** With somebody else's at its end: nothing of its own was sent, and nothing will be. */
  private get isStoppedBeforeTurn(): boolean {
    return this.waitsForOthers && CancellationScope.current().consideredCancelled;
  }

  /** @throws Error saying why a person's word is not taken now */
  mayResolve(resolution: Resolution): void {
    const { phase, operation } = this;
    this.resolution.mustBeFitting(resolution, { phase, operation });
  }

  resolve(resolution: Resolution): void {
    this.resolution.give(resolution);
  }

  conclude(verified: VerifyResult): UpgradeResult {
    this.verdict = verified.verdict;
    const { providerSays, adopted, fromVersion } = this;
    const outcome = upgradeOutcome(verified, { providerSays }, adopted, fromVersion);
    const isWhole = outcome === 'Succeeded' || outcome === 'Adopted';
    if (!isWhole && !adopted) this.leftAt = verified.version;
    const isLedElsewhere = adopted && verified.verdict === 'not-at-target';
    const led = isLedElsewhere ? "somebody else's upgrade led elsewhere: " : '';
    const reason = isWhole ? verified.reason : `${led}${verified.reason}; the provider said: ${this.reason}`;
    if (isLedElsewhere && this.isStoppedBeforeTurn) this.settle('NotStarted', `stopped before its own turn: ${reason}`);
    else this.settle(outcome, reason);
    return this.end();
  }

  /** The result; a failed upgrade fails its workflow, so that it is red in the UI and its reason stands on its page. */
  end(): UpgradeResult {
    const result: UpgradeResult = {
      resource: this.input.spec.resource,
      targetLabel: this.input.spec.targetLabel,
      outcome: this.outcome,
      reason: this.reason,
      fromVersion: this.fromVersion,
      toVersion: this.toVersion,
      ...(this.leftAt === null ? {} : { leftAt: this.leftAt }),
      operation: this.operation,
      findings: this.findings,
      calls: this.calls,
      ...(this.again ? { again: true } : {}),
      ...(this.freeze === undefined ? {} : { freeze: this.freeze }),
      ...(this.again && this.waitedMs !== null ? { waitedMs: this.waitedMs } : {}),
      ...(this.unwell ? { unwell: true } : {}),
      polls: this.polls,
      phases: this.phases,
      failedIn: failureClass(this.outcome, this.calls.length > 0, this.verdict),
      startedAt: this.startedAt,
      endedAt: new Date().toISOString(),
    };
    upsertSearchAttributes([
      { key: ATTRIBUTES.phase, value: 'Ended' satisfies Phase },
      { key: ATTRIBUTES.outcome, value: this.outcome },
    ]);
    measureEnd(this.input.spec.resource.service, this.outcome, this.polls);
    this.describe(this.outcome, 'nothing: this is the end', this.reason);
    if (FAILED_OUTCOMES.includes(this.outcome)) {
      throw ApplicationFailure.create({
        type: FAILURES.upgrade,
        message: `${this.outcome}: ${this.reason}`,
        nonRetryable: true,
        details: [result],
      });
    }
    return result;
  }

  private submitOnce(next: SubmitInput): Promise<SubmitResult> {
    const submitted = this.shielded.run(() => this.steps(`Submit ${this.title}`).submits.submit(next));
    // Only errors before the first look end here: the activity itself answers for everything after it.
    return submitted.catch((error: unknown) => ({
      verdict: 'refused',
      reason: rootReason(error),
      operation: null,
      version: null,
      calls: [],
      retryInMs: 0,
      submission: next.submission,
      unresolvedSince: null,
    }));
  }

  private async awaitEnd(operation: Operation): Promise<void> {
    const name = nameOf(operation);
    this.show('Await', `the end of ${name}`, this.adopted ? 'adopted: it was running already' : 'submitted', true);
    const { waits } = this.steps(`Await ${name} of ${this.input.spec.resource.id}`);
    for (let late: 'Stuck' | 'Overdue' | null = null; ;) {
      const isOverdue = late === 'Overdue';
      const input = { ...this.step, operation, stuck: late === 'Stuck', overdue: isOverdue, throughVerify: true };
      const follow = () => waits.awaitOperation(input);
      // Only what is overdue may be resolved meanwhile.
      const end = isOverdue ? await this.resolution.unlessGiven(follow) : await follow();
      if (end === null) return;
      this.throughVerify = end.throughVerify === true;
      this.polls += end.polls;
      this.providerSays = end.providerSays;
      this.reason = end.reason;
      if (end.ended) return;
      if (end.stuck === true) {
        late = 'Stuck';
        this.show('Stuck', `the end of ${name}, or its deadline`, `no news for long; last seen: ${end.reason}`, true);
        if (this.input.tells === true) await this.tellShard(upgradeStuckSignal);
        continue;
      }
      this.show('Overdue', `the end of ${name}, polled slowly`, end.reason, true);
      await this.tellOverdue();
      late = 'Overdue';
    }
  }

  /** The shard charges it to the failure budget, once; a shard that is gone has none. */
  private async tellOverdue(): Promise<void> {
    if (this.toldOverdue) return;
    this.toldOverdue = true;
    await this.tellShard(upgradeOverdueSignal);
  }

  /** A shard that is gone needs no word. */
  private async tellShard(signal: SignalDefinition<[string]>): Promise<void> {
    const { parent, workflowId } = workflowInfo();
    if (parent === undefined) return;
    try {
      await getExternalWorkflowHandle(parent.workflowId, parent.runId).signal(signal, workflowId);
    } catch (error) {
      if (isCancellation(error)) throw error;
    }
  }

  /** A person's word stands in for evidence; `lastSeen` is what there was of it. */
  private isResolved(lastSeen: string): boolean {
    const end = this.resolution.endBy(lastSeen);
    if (end !== null) this.settle(end.outcome, end.reason);
    return end !== null;
  }

  /** Nothing is sent, since the rollout is on hold; `false` when it is stopped meanwhile. */
  private untilGoOn(reason: string): Promise<boolean> {
    this.show('Waiting', 'the end of the hold', reason);
    return this.onHold.end(reason);
  }

  /** Until a person's word, or the next look after so many. */
  private async hold(looks: number, reason: string): Promise<void> {
    const wait = looks < FREQUENT_LOOKS ? growing(HELD_RETRY_MS, looks) : DAILY_MS;
    await this.resolution.orAfter(this.atScale(wait), reason);
  }

  private async waitFor(atScaleOneMs: number, reason: string): Promise<void> {
    this.show('Waiting', 'another try', reason);
    await sleep(this.atScale(atScaleOneMs), { summary: summaryOf(reason) });
  }

  /** @param waitedMs in earlier starts */
  private patienceEnds(waitedMs = 0): number {
    return Date.now() + PATIENCE_MS * this.input.timing.scale - waitedMs;
  }

  /** In all its starts. @param giveUpAt as `patienceEnds` had it */
  private waitedBy(giveUpAt: number): number {
    return Date.now() + PATIENCE_MS * this.input.timing.scale - giveUpAt;
  }

  /** A new start would count its submissions from 1, and know nothing of others that were followed. */
  private get mayBeSentBack(): boolean {
    if (this.submission > 1 || this.othersFollowed > 0) return false;
    this.sendsBack ??= patched('sent-back');
    return this.sendsBack;
  }

  private atScale(atScaleOneMs: number): number {
    return pauseAt(this.input.timing.scale, atScaleOneMs);
  }

  /** Nothing was sent: its shard starts it again once it may be. */
  private close({ over, freeze }: Pick<SubmitResult, 'over' | 'freeze'>, reason: string): void {
    this.settle('NotStarted', reason);
    this.again = over !== true;
    this.freeze = freeze;
  }

  private settle(outcome: Outcome, reason: string): void {
    this.outcome = outcome;
    this.reason = reason;
  }

  /**
   * Tells people where it stands. The search attribute costs an event, so it is written only for phases that last:
   * waiting for the cloud's rate or a busy resource, the operation itself, and what needs a person.
   */
  private show(phase: Phase, next: string, reason: string, upsert = phase === 'Waiting' || phase === 'Held'): void {
    if (upsert && shownPhase() !== phase) {
      upsertSearchAttributes([{ key: ATTRIBUTES.phase, value: phase }]);
    }
    if (this.phases.at(-1)?.phase !== phase) {
      // Weeks of waiting must not fill the result: the last place is reused.
      if (this.phases.length === MOST_PHASES) this.phases.pop();
      this.phases.push({ phase, at: new Date().toISOString() });
      measurePhase(this.input.spec.resource.service, phase);
    }
    this.phase = phase;
    this.describe(phase, next, reason);
  }

  private describe(state: string, next: string, why: string): void {
    const { fromVersion, outcome, verdict, operation, findings, calls } = this;
    const shown = { spec: this.input.spec, fromVersion, outcome, verdict, operation, findings, calls };
    setCurrentDetails(upgradeDetails(shown, { state, next, why }));
  }

  private get title(): string {
    const { resource, targetLabel } = this.input.spec;
    return `${resource.id} to ${targetLabel}`;
  }
}

/** What differs from the plan as it was seen last, which may be nothing any more. */
function withDrift(checked: readonly Finding[], drift: readonly Finding[]): readonly Finding[] {
  return [...checked.filter(({ check }) => check !== AS_PLANNED), ...drift];
}

/** What people filter by. */
function shownPhase(): string | undefined {
  return workflowInfo().typedSearchAttributes.get(ATTRIBUTES.phase);
}

function wasReset(): boolean {
  const { runId, firstExecutionRunId } = workflowInfo();
  return runId !== firstExecutionRunId;
}
