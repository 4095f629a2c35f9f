/** What becomes of an upgrade, as its result, its page in the UI and its search attributes tell it. */
import { ApplicationFailure, setCurrentDetails, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { FAILURES } from './contracts/errors.js';
import { failureClass } from './contracts/outcome.js';
import { ATTRIBUTES } from './contracts/search-attributes.js';
import type { AwaitResult, PrecheckResult, SubmitResult, VerifyResult } from './contracts/steps.js';
import {
  AS_PLANNED,
  FAILED_OUTCOMES,
  type Finding,
  type Operation,
  type Outcome,
  type Phase,
  type PhaseBegin,
  type SentCall,
  type UpgradeResult,
  type UpgradeSpec,
} from './contracts/upgrade.js';
import { measureEnd, measurePhase } from './metrics.js';
import { upgradeDetails } from './upgrade-details.js';

/** Kept in the result, for the report's timeline. */
const MOST_PHASES = 40;

export class UpgradeRecord {
  private readonly spec: UpgradeSpec;
  readonly startedAt = new Date().toISOString();
  private outcome: Outcome = 'NotStarted';
  reason = 'stopped before anything was sent';
  fromVersion: string | null;
  toVersion: string | null = null;
  leftAt: string | null = null;
  operation: Operation | null = null;
  adopted = false;
  private findings: readonly Finding[] = [];
  readonly calls: SentCall[] = [];
  verdict: VerifyResult['verdict'] | null = null;
  /** The last look found that it serves nobody, by nothing that was sent here. */
  private unwell = false;
  private polls = 0;
  phase: Phase = 'Precheck';
  private readonly phases: PhaseBegin[] = [];
  private again = false;
  private freeze: UpgradeResult['freeze'];
  /** For a busy resource, when it was sent back. */
  waitedMs: number | null = null;

  constructor(spec: UpgradeSpec) {
    this.spec = spec;
    this.fromVersion = spec.plannedFrom;
  }

  checked({ version, findings, unwell }: PrecheckResult): void {
    this.fromVersion = version ?? this.fromVersion;
    this.findings = findings;
    this.unwell = unwell === true;
  }

  submitted({ calls, findings, unwell }: SubmitResult): void {
    this.calls.push(...calls);
    if (findings !== undefined) this.findings = withDrift(this.findings, findings);
    this.unwell = unwell === true;
  }

  awaited({ polls, reason }: AwaitResult): void {
    this.polls += polls;
    this.reason = reason;
  }

  /** Somebody else's upgrade, which was followed. */
  forgetOther(): void {
    this.adopted = false;
    this.operation = null;
  }

  settle(outcome: Outcome, reason: string): void {
    this.outcome = outcome;
    this.reason = reason;
  }

  /** Nothing was sent: its shard starts it again once it may be. */
  close({ over, freeze }: Pick<SubmitResult, 'over' | 'freeze'>, reason: string): void {
    this.settle('NotStarted', reason);
    this.again = over !== true;
    this.freeze = freeze;
  }

  /**
   * Tells people where it stands. The search attribute costs an event, so it is written only for phases that last:
   * waiting for the cloud's rate or a busy resource, the operation itself, and what needs a person.
   */
  show(phase: Phase, next: string, reason: string, upsert = phase === 'Waiting' || phase === 'Held'): void {
    if (upsert && shownPhase() !== phase) {
      upsertSearchAttributes([{ key: ATTRIBUTES.phase, value: phase }]);
    }
    if (this.phases.at(-1)?.phase !== phase) {
      // Weeks of waiting must not fill the result: the last place is reused.
      if (this.phases.length === MOST_PHASES) this.phases.pop();
      this.phases.push({ phase, at: new Date().toISOString() });
      measurePhase(this.spec.resource.service, phase);
    }
    this.phase = phase;
    this.describe(phase, next, reason);
  }

  /** The result; a failed upgrade fails its workflow, so that it is red in the UI and its reason stands on its page. */
  end(): UpgradeResult {
    const result: UpgradeResult = {
      resource: this.spec.resource,
      targetLabel: this.spec.targetLabel,
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
    measureEnd(this.spec.resource.service, this.outcome, this.polls);
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

  private describe(state: string, next: string, why: string): void {
    const { spec, fromVersion, outcome, verdict, operation, findings, calls } = this;
    const shown = { spec, fromVersion, outcome, verdict, operation, findings, calls };
    setCurrentDetails(upgradeDetails(shown, { state, next, why }));
  }
}

/** What differs from the plan as it was seen last, which may be nothing any more. */
function withDrift(checked: readonly Finding[], drift: readonly Finding[]): readonly Finding[] {
  return [...checked.filter(({ check }) => check !== AS_PLANNED), ...drift];
}

/** What people filter by. */
export function shownPhase(): string | undefined {
  return workflowInfo().typedSearchAttributes.get(ATTRIBUTES.phase);
}
