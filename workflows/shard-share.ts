/** A shard's half of the talk about its wave's limits (`wave-shares.ts`): what it may use, and when a word is worth its events. */
import type { Grant, Limits, Share, ShardTalk, ShardWord } from './contracts/rollout.js';
import { lower } from './limits.js';

/** How a shard stands: what it could use, what it uses, and whether it can do nothing but wait for a grant. */
export interface ShardStanding {
  readonly wants: Limits;
  readonly uses: Limits;
  readonly failures: number;
  readonly isStuck: boolean;
  /** The windows of all its wave are shut: what it gives back could be nobody's. */
  readonly isShut?: boolean;
  readonly hasStarted?: boolean;
  readonly lost?: Limits;
}

/** The share of a shard that shares its wave's limits with nobody. */
export function alone(limits: Limits): Share {
  return { grant: { number: 0, answers: 0, limits, tellAfter: Infinity, stop: null }, step: null };
}

const NOTHING_SAID: ShardTalk = {
  last: { number: 0, heard: 0, wants: {}, uses: {}, failures: 0 },
  unanswered: [],
  owesAnswer: false,
  hasToldStart: false,
};

export class ShardShare {
  private grant: Grant;
  private readonly step: number | null;
  private last: ShardTalk['last'];
  private unanswered: ShardTalk['unanswered'];
  private owesAnswer: boolean;
  private hasToldStart: boolean;

  constructor({ grant, step }: Share, { last, unanswered, owesAnswer, hasToldStart }: ShardTalk = NOTHING_SAID) {
    this.grant = grant;
    this.step = step;
    this.last = last;
    this.unanswered = unanswered;
    this.owesAnswer = owesAnswer;
    this.hasToldStart = hasToldStart;
  }

  /** For the shard's next run. */
  get carried(): { readonly share: Share; readonly talk: ShardTalk } {
    const { grant, step, last, unanswered, owesAnswer, hasToldStart } = this;
    return {
      share: { grant, step },
      talk: { last, unanswered: unanswered.map(({ number, wants }) => ({ number, wants })), owesAnswer, hasToldStart },
    };
  }

  /** Why nothing more may be started; `null` while things may. */
  get stop(): string | null {
    return this.grant.stop;
  }

  /** Whether a person has left the rest out. */
  get skipped(): boolean {
    return this.grant.skipped ?? false;
  }

  /** Whether nothing more may be sent either: what a person leaves out is only what has not started. */
  get isForbidden(): boolean {
    return this.stop !== null && (!this.skipped || this.grant.spent === true);
  }

  /** Limits of which no place is left for good. */
  get full(): readonly string[] {
    return this.grant.full ?? [];
  }

  /** Whether it shares its wave's limits with nobody. */
  get isAlone(): boolean {
    return this.step === null;
  }

  /** Why nothing is started for now. */
  get hold(): string | null {
    return this.grant.hold ?? null;
  }

  /** Whether anything of the rollout has been under way, as far as the wave knows; `undefined` where it does not matter. */
  get hasStarted(): boolean | undefined {
    return this.grant.hasStarted;
  }

  hear(grant: Grant): void {
    if (grant.number <= this.grant.number) return;
    const before = this.limits();
    this.grant = grant;
    this.unanswered = this.unanswered.filter(({ number }) => number > grant.answers);
    const now = this.limits();
    this.owesAnswer ||= Object.entries(before).some(([name, limit]) => (now[name] ?? 0) < limit);
  }

  /** The shared limits as they bind this shard now. */
  limits(): Limits {
    return this.unanswered.reduce((limits, { wants }) => lower(limits, wants), this.grant.limits);
  }

  /** The word that is due, if one is; it counts as sent. */
  word(now: ShardStanding): Omit<ShardWord, 'shard'> | null {
    if (this.step === null || !this.isDue(now)) return null;
    const { wants, uses, failures, lost } = now;
    const started = this.isFirstStart(now) ? { hasStarted: true } : {};
    this.hasToldStart ||= 'hasStarted' in started;
    this.last = {
      number: this.last.number + 1,
      heard: this.grant.number,
      wants,
      uses,
      failures,
      ...started,
      ...(lost === undefined ? {} : { lost }),
    };
    this.unanswered = [...this.unanswered, this.last];
    this.owesAnswer = false;
    return this.last;
  }

  /** The wave counts on hearing of it. */
  private isFirstStart({ hasStarted = false }: ShardStanding): boolean {
    return hasStarted && this.grant.hasStarted === false && !this.hasToldStart;
  }

  private isDue(now: ShardStanding): boolean {
    const { wants, uses, failures, isStuck, isShut = false, lost = {} } = now;
    if (Object.entries(lost).some(([name, count]) => count > (this.last.lost?.[name] ?? 0))) return true;
    if (this.isFirstStart(now) || this.owesAnswer || failures - this.last.failures >= this.grant.tellAfter) return true;
    if (isShut) return false;
    const first = this.last.number === 0;
    const isNews = (step: (name: string, limit: number) => number) =>
      Object.entries(this.limits()).some(([name, limit]) => {
        const [want, use, least] = [wants[name] ?? 0, uses[name] ?? 0, step(name, limit)];
        const told = { want: first ? Infinity : (this.last.wants[name] ?? 0), use: this.last.uses[name] ?? 0 };
        const isDrained = told.use > limit && (use <= limit || told.use - use >= least);
        return limit - Math.max(want, use) >= least || want - told.want >= least || isDrained;
      });
    return (
      isNews((name, limit) => this.stepOf(name, limit)) ||
      (isStuck && (failures > this.last.failures || isNews(() => 1)))
    );
  }

  /** A part of what was granted, less of the little that is left in the end; the longer the talk, the more. */
  private stepOf(name: string, limit: number): number {
    const part = Math.max(this.step ?? 0, 0.001);
    const ordinary = part * (this.grant.limits[name] ?? 0);
    const tooMany = Math.max(this.last.number * part - 1.3, 0);
    const step = Math.max(Math.min(ordinary, limit / 3), ordinary / 8) * 4 ** Math.ceil(tooMany);
    return Math.max(Math.ceil(step), 1);
  }
}
