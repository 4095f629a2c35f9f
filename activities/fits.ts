/** How much of an opening an upgrade needs, and when it may outlast one: what was learned, where the plan says nothing. */
import { ENOUGH_TO_JUDGE, knowledgeOf, usualBy } from '../forecast/durations.js';
import type { PlannedTarget, RolloutPlan } from '../plan/plan.js';
import type { PlannedWindows } from '../plan/windows.js';
import type { GateRule } from '../workflows/contracts/calendar.js';
import { durationClass, type Durations } from '../workflows/contracts/durations.js';
import { OVERRUN_RISK_MS } from '../workflows/contracts/notices.js';

/** What is learned with each upgrade moves by less than this: rounded up, so that gates stay few. Milliseconds at scale 1. */
const STEP_MS = 5 * 60_000;

/** The gates of a rollout that is about to start. */
export class FittedGates {
  readonly windows: PlannedWindows | null;
  private readonly plan: RolloutPlan;
  private readonly learned: Durations;
  private readonly rules: GateRule[] = [];
  private readonly known = new Map<string, number>();
  private readonly p90s = new Map<string, number | null>();

  constructor(plan: RolloutPlan, learned: Durations) {
    this.plan = plan;
    this.learned = learned;
    this.windows = plan.windows === null ? null : { ...plan.windows, gates: this.rules };
  }

  /** @param size the provider's word; `null` where it has none */
  gateOf({ gate, resource }: PlannedTarget & { readonly gate?: number }, size: string | null): number | undefined {
    const rule = gate === undefined ? undefined : this.plan.windows?.gates[gate];
    if (rule === undefined) return undefined;
    const needsMs = this.needOf(resource.service, size) ?? rule.needsMs;
    const key = `${rule.calendar} ${needsMs}`;
    const at = this.known.get(key) ?? this.rules.push({ calendar: rule.calendar, needsMs }) - 1;
    this.known.set(key, at);
    if (this.plan.notify.length > 0) {
      const riskMs = Math.max(
        this.rules[at]?.riskMs ?? 0,
        this.riskOf(needsMs, this.learnedP90(resource.service, size)),
      );
      this.rules[at] = { calendar: rule.calendar, needsMs, riskMs };
    }
    return at;
  }

  /** `null` where the plan decides, or too little is known. */
  private needOf(service: string, size: string | null): number | null {
    const { services, onlyIfFits, marginMs } = this.plan.durations;
    if (services[service]?.isGiven === true || !onlyIfFits) return null;
    const p90 = this.learnedP90(service, size);
    return p90 === null ? null : Math.round(marginMs + p90);
  }

  /** One that starts only if nine of ten end in time is late when it is still in flight shortly before the end. */
  private riskOf(needsMs: number, p90: number | null): number {
    const shortly = OVERRUN_RISK_MS * this.plan.timeScale;
    return p90 === null ? shortly : p90 <= needsMs ? Math.min(p90, shortly) : p90;
  }

  /** Milliseconds, rounded up; `null` where too little is known. */
  private learnedP90(service: string, size: string | null): number | null {
    const planned = this.plan.durations.services[service];
    if (planned === undefined) return null;
    const name = durationClass(service, size);
    const kept = this.p90s.get(name);
    if (kept !== undefined) return kept;
    const { timeScale } = this.plan;
    const knowledge = knowledgeOf(this.learned, { service, size, usual: planned.usual }, timeScale);
    const step = STEP_MS * timeScale;
    const p90 = knowledge.samples.length < ENOUGH_TO_JUDGE ? null : Math.ceil(usualBy(knowledge).p90 / step) * step;
    this.p90s.set(name, p90);
    return p90;
  }
}
