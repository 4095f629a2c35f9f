/** One resource to one target: precheck → submit → await → verify. At most 31 events when nothing disturbs it. */
import {
  CancellationScope,
  getExternalWorkflowHandle,
  isCancellation,
  patched,
  setHandler,
  setWorkflowOptions,
  type SignalDefinition,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import { upgradeOutcome } from './contracts/outcome.js';
import type {
  AwaitResult,
  PrecheckResult,
  StepInput,
  SubmitInput,
  SubmitResult,
  VerifyResult,
} from './contracts/steps.js';
import type { Operation, Resolution, UpgradeInput, UpgradeResult } from './contracts/upgrade.js';
import { rootReason } from './failures.js';
import {
  goOnSignal,
  resolveUpdate,
  upgradeHeldBackSignal,
  upgradeOverdueSignal,
  upgradeStuckSignal,
} from './messages.js';
import { growing, pauseAt, summaryOf, type Growing } from './pauses.js';
import { stepsAt, type Steps } from './steps.js';
import { nameOf } from './upgrade-details.js';
import { UpgradeHold } from './upgrade-hold.js';
import { shownPhase, UpgradeRecord } from './upgrade-record.js';
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

/** One upgrade's named steps. */
class UpgradeRun {
  private readonly input: UpgradeInput;
  private step: StepInput;
  private readonly steps: (summary: string) => Steps;
  private readonly record: UpgradeRecord;
  private providerSays: AwaitResult['providerSays'] = 'running';
  /** As `AwaitResult.throughVerify`. */
  private throughVerify = false;
  private readonly resolution: UpgradeResolution;
  private othersFollowed = 0;
  private checkedAnew = 0;
  private toldOverdue = false;
  /** The number of the next send: kept when the upgrade begins anew, so that no client token comes twice. */
  private submission = 1;
  private readonly onHold: UpgradeHold;
  /** Nothing cancels what runs in it; one for all, since each costs the worker a third of a millisecond (measured). */
  private readonly shielded = new CancellationScope({ cancellable: false });
  /** Upgrades of older releases waited on in flight; `null` before it matters. */
  private sendsBack: boolean | null = null;

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
    this.record = new UpgradeRecord(input.spec);
    this.record.show('Precheck', 'submit, if nothing speaks against it', 'checks run first');
  }

  /** The rollout's hold is over. */
  goOn(): void {
    this.onHold.goOn();
  }

  /** Reads only; cancelling here ends the upgrade, since nothing was sent. Busy is waited for. */
  async precheck(): Promise<PrecheckResult | null> {
    const { record } = this;
    let giveUpAt = this.patienceEnds(this.input.waitedMs);
    try {
      for (let look = 0; ; look += 1) {
        const checked = await this.steps(`Precheck ${this.title}`).reads.precheck(this.step);
        record.checked(checked);
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
          record.waitedMs = this.waitedBy(giveUpAt);
          return checked;
        }
        await this.waitFor(growing(BUSY_RETRY_MS, look), checked.reason);
      }
    } catch (error) {
      if (isCancellation(error)) return null;
      record.settle('Refused', rootReason(error));
      return null;
    }
  }

  /** Routes on the precheck's verdict; `true` when a submit may follow. */
  mayGoOn(checked: PrecheckResult | null): checked is PrecheckResult {
    const { record } = this;
    if (checked === null) return false;
    switch (checked.verdict) {
      case 'already-at-target':
        record.toVersion = checked.version;
        record.settle('AlreadyAtTarget', checked.reason);
        return false;
      case 'refused':
        record.settle('Refused', checked.reason);
        return false;
      case 'busy':
        if (checked.closure !== undefined && record.waitedMs !== null) {
          record.close(checked.closure, `${checked.closure.reason}; ${checked.reason}`);
        } else record.settle('Refused', `still ${checked.reason}`);
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
    const { record } = this;
    let giveUpAt = this.patienceEnds();
    let next: SubmitInput = {
      ...this.step,
      expectedVersion: checked.version,
      submission: this.submission,
      // After a reset the run before this one may have sent: what came of it is looked for, and given time to show.
      unresolvedSince: wasReset() ? new Date().toISOString() : (checked.unresolvedSince ?? null),
      knownOperations: checked.knownOperations,
      startedAt: record.startedAt,
    };
    // A reset terminates the run before it, and that one was ours.
    const isAnothers = !wasReset() && checked.unresolvedSince != null;
    record.show('Submit', 'await, once the cloud has accepted', 'prechecks are clear');
    for (let look = 0; ; look += 1) {
      const submitted = await this.submitOnce(next);
      record.submitted(submitted);
      this.submission = submitted.submission;
      next = { ...next, submission: submitted.submission, unresolvedSince: submitted.unresolvedSince };
      if (submitted.verdict !== 'held-back') this.onHold.forget();
      switch (submitted.verdict) {
        case 'submitted':
        case 'adopted':
          record.operation = submitted.operation;
          // Evidence came after all: it counts for more than a word that was given for lack of it.
          this.resolution.withdraw();
          // What a run before this one had sent, before it was terminated, is not this one's own.
          record.adopted = submitted.verdict === 'adopted' || (isAnothers && record.calls.length === 0);
          return submitted;
        case 'already-at-target':
          record.toVersion = submitted.version;
          record.settle('AlreadyAtTarget', submitted.reason);
          return submitted;
        case 'refused':
        case 'drifted':
          record.settle('Refused', submitted.reason);
          return submitted;
        case 'unknown':
          record.show('Held', 'another look at the cloud', submitted.reason);
          await this.shielded.run(() => this.hold(look, submitted.reason));
          if (this.isResolved(submitted.reason)) return submitted;
          continue;
        case 'closed':
          if (submitted.busy === true) record.waitedMs = this.input.waitedMs ?? 0;
          record.close(submitted, submitted.reason);
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
            record.settle('Refused', `nothing was sent, since it is still so: ${submitted.reason}`);
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
    const { record } = this;
    return this.shielded.run(async () => {
      for (let look = 0; ; look += 1) {
        await this.awaitEnd(operation);
        if (this.isResolved(record.reason)) return null;
        // Short: not worth a change of what people filter by, unless that says that it lasts too long.
        const isToldApart = !this.throughVerify || shownPhase() !== 'Await';
        record.show('Verify', 'the outcome', `the operation ended: ${record.reason}`, isToldApart);
        const { waits } = this.steps(`Verify ${this.title}: version, status and health`);
        const verified = await waits.verify({ ...this.step, operation });
        record.toVersion = verified.version;
        if (verified.verdict !== 'unreadable' && verified.verdict !== 'still-running') return verified;
        record.show('Held', 'another look at the cloud', verified.reason, true);
        await this.hold(look, verified.reason);
        if (this.isResolved(verified.reason)) return null;
      }
    });
  }

  /** The precheck saw somebody else's upgrade run, and the submit's look found it ended: as if it had been followed. */
  otherEndedMeanwhile({ verdict }: PrecheckResult, submitted: SubmitResult): boolean {
    if (verdict !== 'upgrading' || submitted.verdict !== 'drifted' || this.resolution.isGiven) return false;
    if (this.isStoppedBeforeTurn) this.record.settle('NotStarted', `stopped before its own turn: ${submitted.reason}`);
    return this.mayFollowOthers(submitted.version);
  }

  /**
   * Before anything of its own was sent the version became another one, and the plan's rule for that is the precheck's; not
   * where somebody else's upgrade was seen to lead there: what follows that is `otherEndedMeanwhile`'s.
   */
  mayCheckAnew({ verdict }: PrecheckResult, { anew }: SubmitResult): boolean {
    const { record } = this;
    if (anew !== true || verdict === 'upgrading' || record.calls.length > 0 || this.resolution.isGiven) return false;
    if (this.checkedAnew >= MOST_CHECKED_ANEW) return false;
    this.checkedAnew += 1;
    record.settle('NotStarted', 'stopped before anything was sent');
    return true;
  }

  /** After an upgrade of somebody else that led elsewhere, where the plan says that ours then has its turn. */
  mayBeginAnew({ verdict, version }: VerifyResult): boolean {
    return this.record.adopted && verdict === 'not-at-target' && this.mayFollowOthers(version);
  }

  private mayFollowOthers(version: string | null): boolean {
    const { record } = this;
    if (!this.waitsForOthers) return false;
    if (CancellationScope.current().consideredCancelled || this.othersFollowed >= MOST_OTHERS) return false;
    this.othersFollowed += 1;
    const { spec } = this.step;
    // Where the other one led is what ours begins from.
    if (spec.planned !== undefined && version !== null) {
      this.step = { ...this.step, spec: { ...spec, planned: { ...spec.planned, version } } };
    }
    record.forgetOther();
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
    this.resolution.mustBeFitting(resolution, this.record);
  }

  resolve(resolution: Resolution): void {
    this.resolution.give(resolution);
  }

  conclude(verified: VerifyResult): UpgradeResult {
    const { record, providerSays } = this;
    const { adopted, fromVersion } = record;
    record.verdict = verified.verdict;
    const outcome = upgradeOutcome(verified, { providerSays }, adopted, fromVersion);
    const isWhole = outcome === 'Succeeded' || outcome === 'Adopted';
    if (!isWhole && !adopted) record.leftAt = verified.version;
    const isLedElsewhere = adopted && verified.verdict === 'not-at-target';
    const led = isLedElsewhere ? "somebody else's upgrade led elsewhere: " : '';
    const reason = isWhole ? verified.reason : `${led}${verified.reason}; the provider said: ${record.reason}`;
    const isStopped = isLedElsewhere && this.isStoppedBeforeTurn;
    if (isStopped) record.settle('NotStarted', `stopped before its own turn: ${reason}`);
    else record.settle(outcome, reason);
    return this.end();
  }

  /** @throws ApplicationFailure with the result of an upgrade that failed */
  end(): UpgradeResult {
    return this.record.end();
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
    const { record } = this;
    const name = nameOf(operation);
    record.show('Await', `the end of ${name}`, record.adopted ? 'adopted: it was running already' : 'submitted', true);
    const { waits } = this.steps(`Await ${name} of ${this.input.spec.resource.id}`);
    for (let late: 'Stuck' | 'Overdue' | null = null; ;) {
      const isOverdue = late === 'Overdue';
      const input = { ...this.step, operation, stuck: late === 'Stuck', overdue: isOverdue, throughVerify: true };
      const follow = () => waits.awaitOperation(input);
      // Only what is overdue may be resolved meanwhile.
      const end = isOverdue ? await this.resolution.unlessGiven(follow) : await follow();
      if (end === null) return;
      this.throughVerify = end.throughVerify === true;
      this.providerSays = end.providerSays;
      record.awaited(end);
      if (end.ended) return;
      if (end.stuck === true) {
        late = 'Stuck';
        record.show('Stuck', `the end of ${name}, or its deadline`, `no news for long; last seen: ${end.reason}`, true);
        if (this.input.tells === true) await this.tellShard(upgradeStuckSignal);
        continue;
      }
      record.show('Overdue', `the end of ${name}, polled slowly`, end.reason, true);
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
    if (end !== null) this.record.settle(end.outcome, end.reason);
    return end !== null;
  }

  /** Nothing is sent, since the rollout is on hold; `false` when it is stopped meanwhile. */
  private untilGoOn(reason: string): Promise<boolean> {
    this.record.show('Waiting', 'the end of the hold', reason);
    return this.onHold.end(reason);
  }

  /** Until a person's word, or the next look after so many. */
  private async hold(looks: number, reason: string): Promise<void> {
    const wait = looks < FREQUENT_LOOKS ? growing(HELD_RETRY_MS, looks) : DAILY_MS;
    await this.resolution.orAfter(this.atScale(wait), reason);
  }

  private async waitFor(atScaleOneMs: number, reason: string): Promise<void> {
    this.record.show('Waiting', 'another try', reason);
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

  private get title(): string {
    const { resource, targetLabel } = this.input.spec;
    return `${resource.id} to ${targetLabel}`;
  }
}

function wasReset(): boolean {
  const { runId, firstExecutionRunId } = workflowInfo();
  return runId !== firstExecutionRunId;
}
