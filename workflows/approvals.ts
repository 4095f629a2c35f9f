/** Who may let a rollout or a wave begin, and whether they have: pure, so that every case stands in a table of tests. */
import {
  approvalLabel,
  peopleLabel,
  type Approval,
  type ApprovalState,
  type Decision,
  type DecisionRequest,
  whyUnsigned,
} from './contracts/control.js';
import { signedCommand } from './contracts/commands.js';
import type { RolloutInput } from './contracts/rollout.js';

/** Something that does not begin without its approval. */
export interface Gate {
  /** 1-based; `null` for the rollout itself. */
  readonly wave: number | null;
  /** `wave canary` */
  readonly title: string;
  readonly rule: Approval;
}

export class Approvals {
  private readonly gates: readonly Gate[];
  private readonly rollout: string;
  private readonly planDigest: string;
  /** Who started the rollout, who triggered its schedule, and who started what it tries again: they may not approve it. */
  private readonly startedBy: string;
  private readonly triggeredBy: string | undefined;
  private readonly startedBefore: readonly string[];
  private readonly decisions: Decision[] = [];

  constructor(
    gates: readonly Gate[],
    {
      rollout,
      planDigest,
      startedBy,
      schedule,
      retryOf,
    }: Pick<RolloutInput, 'rollout' | 'planDigest' | 'startedBy' | 'schedule' | 'retryOf'>,
  ) {
    this.gates = gates;
    this.rollout = rollout;
    this.planDigest = planDigest;
    this.startedBy = startedBy;
    this.triggeredBy = schedule?.triggeredBy;
    this.startedBefore = retryOf?.startedBy ?? [];
  }

  /** @throws Error saying why this person's word is not taken, now or at all */
  mayDecide({ decision, wave, planDigest, actor, reason }: DecisionRequest, waiting: number | null | undefined): void {
    const unsigned = whyUnsigned({ actor, reason });
    if (unsigned !== null) throw new Error(unsigned);
    if (decision !== 'approve' && decision !== 'reject') throw new Error('a decision is to approve or to reject');
    const gate = this.gateOf(wave, waiting, decision);
    if (planDigest !== this.planDigest) {
      throw new Error(`it is for plan ${planDigest.slice(0, 12)}, and this is ${this.planDigest.slice(0, 12)}`);
    }
    if (!gate.rule.approvers.includes(actor)) {
      const { quorum, approvers, roles } = gate.rule;
      throw new Error(
        `${actor} is no approver of ${gate.title}: it needs ${quorum} of ${peopleLabel(approvers, roles)}`,
      );
    }
    if (actor === this.startedBy) throw new Error(`${actor} started this rollout and may not approve it`);
    if (actor === this.triggeredBy)
      throw new Error(`${actor} triggered this rollout's schedule and may not approve it`);
    if (this.startedBefore.includes(actor)) {
      throw new Error(`${actor} started what this rollout tries again and may not approve it`);
    }
    if (this.isGiven(gate.wave)) throw new Error(this.whyLate(gate, decision));
    // Who has approved may think better of it while others have not.
    if (decision === 'approve' && this.of(gate.wave).some((one) => one.actor === actor)) {
      throw new Error(`${actor} has approved ${gate.title} already`);
    }
  }

  /** @returns what follows, in words */
  decide(request: DecisionRequest, waiting: number | null | undefined, at: string): string {
    const { decision, actor, reason } = request;
    const gate = this.gateOf(request.wave, waiting, decision);
    this.decisions.push({ wave: gate.wave, title: gate.title, decision, actor, reason, at });
    if (decision === 'reject') return `${gate.title} is rejected: the rollout ends`;
    return this.isGiven(gate.wave) ? `${gate.title} is approved` : this.whyWaiting(gate.wave);
  }

  /** The gate before a wave, or before the rollout; `null` where none is. */
  gate(wave: number | null): Gate | null {
    return this.gates.find((gate) => gate.wave === wave) ?? null;
  }

  isGiven(wave: number | null): boolean {
    const gate = this.gate(wave);
    return gate === null || this.of(wave).length >= gate.rule.quorum;
  }

  get rejection(): Decision | null {
    return this.decisions.find(({ decision }) => decision === 'reject') ?? null;
  }

  /** `waits for approval of wave rest: 1 of 2 given (ben); cem, dan may` */
  whyWaiting(wave: number | null): string {
    const state = this.state(wave, 0);
    if (state === null) return '';
    return `waits for approval of ${state.title}: ${approvalLabel(state)}`;
  }

  /** What is waited for at a gate since an instant, in epoch milliseconds. */
  state(wave: number | null, since: number): ApprovalState | null {
    const gate = this.gate(wave);
    if (gate === null) return null;
    const { quorum, approvers, roles, expiresAfterMs } = gate.rule;
    const given = this.of(wave).map(({ actor }) => actor);
    const barred = [this.startedBy, this.triggeredBy, ...this.startedBefore, ...given];
    const may = approvers.filter((name) => !barred.includes(name));
    const expiresAt = new Date(since + expiresAfterMs).toISOString();
    return { title: gate.title, quorum, given, may, ...(roles === undefined ? {} : { roles }), expiresAt };
  }

  private of(wave: number | null): Decision[] {
    return this.decisions.filter((one) => one.wave === wave && one.decision === 'approve');
  }

  /** `wave one was approved by dora at …`, and what does what a rejection no longer can. */
  private whyLate({ wave, title }: Gate, decision: Decision['decision']): string {
    const given = this.of(wave);
    const by = given.map(({ actor }) => actor).join(', ');
    const instead = decision === 'reject' ? `; \`${signedCommand('stop', this.rollout)}\` ends the rollout` : '';
    return `${title} was approved by ${by} at ${given.at(-1)?.at}${instead}`;
  }

  /** The gate that is meant; without a word, the one that is waited at. */
  private gateOf(
    wave: number | null | undefined,
    waiting: number | null | undefined,
    decision: Decision['decision'],
  ): Gate {
    const meant = wave === undefined ? waiting : wave;
    const gate = meant === undefined ? null : this.gate(meant);
    if (gate !== null) return gate;
    if (this.gates.length === 0) throw new Error('nothing of this rollout needs approval');
    const titlesOf = (gates: readonly Gate[]) => gates.map(({ title }) => title).join(', ');
    if (wave !== undefined) throw new Error(`that needs no approval (${titlesOf(this.gates)} does)`);
    const open = this.gates.filter((one) => !this.isGiven(one.wave));
    const ahead = open.length === 0 ? '' : ` (${titlesOf(open)} can be approved ahead, by name)`;
    // Most likely it was meant for what somebody else has just approved.
    const latest = this.decisions.findLast(({ wave: decided }) => this.isGiven(decided));
    const given = latest === undefined ? null : this.gate(latest.wave);
    const late = given === null ? '' : `: ${this.whyLate(given, decision)}`;
    throw new Error(`it waits for no approval now${ahead}${late}`);
  }
}
