/**
 * How a wave shares its limits among its shards, so that they hold across all of them while messages are under way. Both
 * halves are pure; test/workflows/sharing.test.ts plays them against each other, with messages as late as they like.
 */
import type { Grant, Limits, Share, ShardTalk, ShardWord } from './contracts/rollout.js';
import { lower, RISK, SLOTS } from './limits.js';

/** Words that a wave is ready to hear and answer in an ordinary course: nine events each. */
const WORDS_PER_WAVE = 160;

/** One shard as its wave knows it. */
export interface Sharing {
  /** Before its first word: all that it could ever use. */
  readonly word: Omit<ShardWord, 'shard'>;
  /** Grants that it may be acting on: the latest that it has heard, and those after. Empty before its start. */
  readonly grants: readonly Given[];
}

/** A grant, and the least that the words which it does not answer have wanted: so much of it binds (`ShardShare.limits`). */
interface Given {
  readonly grant: Grant;
  readonly leastWants: Limits;
}

/** The most that a shard may be using of each limit, whatever is still under way. */
function mostInUse({ word, grants }: Sharing, names: readonly string[]): Limits {
  return Object.fromEntries(
    names.map((name) => {
      const used = word.uses[name] ?? 0;
      return [name, Math.max(used, ...grants.map((given) => effective(given, name)))];
    }),
  );
}

/** What a grant lets a shard use. */
function effective({ grant, leastWants }: Given, name: string): number {
  return Math.min(grant.limits[name] ?? 0, leastWants[name] ?? Infinity);
}

/** What a shard may use once it has heard everything. */
function granted({ grants }: Sharing, names: readonly string[]): Limits {
  const latest = grants.at(-1);
  return Object.fromEntries(names.map((name) => [name, latest === undefined ? 0 : effective(latest, name)]));
}

/**
 * What each shard shall be granted, first come, first served, so that upgrades start in the wave's order. What is granted
 * together with what others may still be using never exceeds a limit.
 */
function shareOut(limits: Limits, shards: readonly Sharing[], full: readonly string[]): Limits[] {
  const names = Object.keys(limits);
  // Whoever lacks what nobody gets any more has to hear of it, and needs a slot for the rest.
  const scarce = names.filter((name) => !full.includes(name));
  const bounds = shards.map((shard) => mostInUse(shard, names));
  const next = shards.map((shard) => ({ ...granted(shard, names) }));
  const free: Record<string, number> = {};
  for (const name of names) {
    free[name] = (limits[name] ?? 0) - sum(bounds.map((of) => of[name] ?? 0));
    // A limit that was lowered meanwhile is taken from the last ones first.
    let excess = sum(next.map((of) => of[name] ?? 0)) - (limits[name] ?? 0);
    for (const of of next.toReversed()) {
      const cut = Math.min(Math.max(excess, 0), of[name] ?? 0);
      of[name] = (of[name] ?? 0) - cut;
      excess -= cut;
    }
  }

  shards.forEach(({ word }, at) => {
    const [mine, bound] = [next[at], bounds[at]];
    if (mine === undefined || bound === undefined) return;
    const reach = (name: string) =>
      Math.max(mine[name] ?? 0, Math.min(word.wants[name] ?? 0, (bound[name] ?? 0) + Math.max(free[name] ?? 0, 0)));
    const take = (name: string, amount: number) => {
      const raised = Math.max(mine[name] ?? 0, Math.min(amount, reach(name)));
      free[name] = (free[name] ?? 0) - Math.max(raised - (bound[name] ?? 0), 0);
      mine[name] = raised;
    };
    for (const name of names) if (name !== SLOTS && name !== RISK) take(name, Infinity);
    // Slots that a shard could not fill, for want of something else, are another's.
    let usable = Math.min(reach(SLOTS), (word.wants[SLOTS] ?? 0) - shortage(scarce, word.wants, mine));
    if (names.includes(RISK)) usable = Math.min(usable, reach(RISK) - word.failures);
    take(SLOTS, usable);
    if (names.includes(RISK)) {
      // Some to spare, so that a failure needs no word before the next upgrade.
      const needed = word.failures + usable;
      const spare = Math.floor(Math.max(free[RISK] ?? 0, 0) / (2 * shards.length));
      take(RISK, (mine[RISK] ?? 0) > needed ? 0 : needed + Math.min(spare, usable));
    }
    // And what it could not use for want of slots is another's: two shards never wait for each other.
    const slots = mine[SLOTS] ?? 0;
    for (const name of names) {
      const most = name === RISK ? (slots === 0 ? word.failures : Infinity) : slots;
      const idle = Math.max((mine[name] ?? 0) - most, 0);
      const notYetUsed = Math.max((mine[name] ?? 0) - (bound[name] ?? 0), 0);
      mine[name] = (mine[name] ?? 0) - idle;
      free[name] = (free[name] ?? 0) + Math.min(idle, notYetUsed);
    }
  });
  return next;
}

/** How many of the wanted slots lack something else, by the kind of limit that is shortest. */
function shortage(names: readonly string[], wants: Limits, given: Limits): number {
  const short = new Map<string, number>();
  for (const name of names) {
    if (name === SLOTS || name === RISK) continue;
    const kind = name.split(':')[0] ?? '';
    short.set(kind, (short.get(kind) ?? 0) + Math.max((wants[name] ?? 0) - (given[name] ?? 0), 0));
  }
  return Math.max(0, ...short.values());
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** The wave's half: what it knows of each shard, and what it grants them. */
export class WaveShares {
  private limits: Limits;
  private readonly failuresLeft: number;
  private readonly step: number;
  private readonly shards: { sharing: Sharing; state: 'waiting' | 'open' | 'ended' }[];
  /** Of shards that ended. */
  private failuresOfEnded = 0;
  private stop: string | null = null;
  private skipped = false;
  private hold: string | null = null;
  private hasStarted: boolean | undefined;
  private readonly everyWordCounts: () => boolean;
  private news = true;

  /**
   * @param limits of the whole wave, shared ones only
   * @param draws for each shard, how many of its upgrades draw on each limit
   * @param hasStarted as `WaveInput.hasStarted`
   * @param everyWordCounts asked where it matters: in waves of older releases only the latest word did, and a shard that
   *   had wanted nothing for a moment was never granted anything again
   */
  constructor(
    limits: Limits,
    failuresLeft: number,
    draws: readonly Limits[],
    hasStarted?: boolean,
    everyWordCounts: () => boolean = () => true,
  ) {
    this.hasStarted = hasStarted;
    this.everyWordCounts = everyWordCounts;
    this.limits = limits;
    this.failuresLeft = failuresLeft;
    this.step = draws.length / WORDS_PER_WAVE;
    this.shards = draws.map((wants) => ({
      sharing: { word: { number: 0, heard: 0, wants, uses: {}, failures: 0 }, grants: [] },
      state: 'waiting',
    }));
  }

  /** How many shards are open. */
  get open(): number {
    return this.shards.filter(({ state }) => state === 'open').length;
  }

  isOpen(shard: number): boolean {
    return this.shards[shard - 1]?.state === 'open';
  }

  /** Whether a shard may yet be opened. */
  get isWaiting(): boolean {
    return !this.isStopped && this.shards.some(({ state }) => state === 'waiting');
  }

  /** Whether anything was heard since grants were last asked for. */
  get hasNews(): boolean {
    return this.news;
  }

  get failures(): number {
    return (
      this.failuresOfEnded +
      sum(this.shards.map(({ state, sharing }) => (state === 'open' ? sharing.word.failures : 0)))
    );
  }

  /** Whether more have failed than the wave tolerates, as far as it was told. */
  get isOverBudget(): boolean {
    return this.failures > this.failuresLeft;
  }

  /** What is open starts nothing more, and nothing more is opened. */
  stopAll(why: string): void {
    this.stop ??= why;
    this.news = true;
  }

  /** As `stopAll`, by a person who leaves the rest out. */
  skipRest(why: string): void {
    this.skipped = this.whyStopped === null;
    this.stopAll(why);
  }

  /** Why nothing is started for now; `null` ends the hold. */
  setHold(why: string | null): void {
    this.hold = why;
    this.news = true;
  }

  /** A limit for all of the wave, from now on. */
  setLimit(name: string, limit: number): void {
    this.limits = { ...this.limits, [name]: limit };
    this.news = true;
  }

  hear({ shard, ...word }: ShardWord): void {
    const known = this.shards[shard - 1];
    if (known === undefined || word.number <= known.sharing.word.number) return;
    this.news = true;
    this.noteStart(word.hasStarted);
    const grants = known.sharing.grants
      .filter(({ grant }) => grant.number >= word.heard)
      .map(({ grant, leastWants }) => ({ grant, leastWants: this.least(leastWants, word.wants) }));
    known.sharing = { word, grants };
  }

  end(shard: number, failures: number, hasBegun = false): void {
    const known = this.shards[shard - 1];
    if (known === undefined) return;
    this.noteStart(hasBegun);
    known.state = 'ended';
    this.news = true;
    this.failuresOfEnded += failures;
  }

  /** The first shard that has not been opened, and its share, when there is room for one of its upgrades. */
  nextToOpen(): { readonly shard: number; readonly share: Share } | null {
    const at = this.shards.findIndex(({ state }) => state === 'waiting');
    const known = this.shards[at];
    if (known === undefined || this.isStopped || this.hold !== null) return null;
    // One that is alone shares with nobody.
    const limits = this.shards.length === 1 ? this.limits : this.shareOut()[at];
    if (limits === undefined || (limits[SLOTS] ?? 0) < 1) return null;
    const grant = this.grant(known.sharing, limits);
    known.state = 'open';
    known.sharing = { ...known.sharing, grants: [{ grant, leastWants: {} }] };
    return { shard: at + 1, share: { grant, step: this.shards.length === 1 ? null : this.step } };
  }

  /** The grants that are due now; they count as sent. */
  grants(): { readonly shard: number; readonly grant: Grant }[] {
    this.news = false;
    const next = this.shards.length === 1 ? [this.limits] : this.shareOut();
    return this.shards.flatMap((known, at) => {
      const limits = next[at];
      if (known.state !== 'open' || limits === undefined || !this.isDue(known.sharing, limits)) return [];
      const grant = this.grant(known.sharing, limits);
      known.sharing = { ...known.sharing, grants: [...known.sharing.grants, { grant, leastWants: {} }] };
      return [{ shard: at + 1, grant }];
    });
  }

  private get isStopped(): boolean {
    return this.stop !== null || this.isOverBudget;
  }

  private shareOut(): readonly Limits[] {
    const { [RISK]: risk } = this.limits;
    const limits: Record<string, number> = { ...this.limits };
    if (risk !== undefined) limits[RISK] = risk - this.failuresOfEnded;
    for (const { state, sharing } of this.shards) {
      if (state !== 'ended') continue;
      for (const [name, lost] of Object.entries(sharing.word.lost ?? {})) limits[name] = (limits[name] ?? 0) - lost;
    }
    const shares = shareOut(
      limits,
      this.shards.filter(({ state }) => state !== 'ended').map(({ sharing }) => sharing),
      this.full,
    ).values();
    return this.shards.map(({ state }) => (state === 'ended' ? {} : (shares.next().value ?? {})));
  }

  private isDue(sharing: Sharing, limits: Limits): boolean {
    const latest = sharing.grants.at(-1)?.grant;
    if ((latest?.stop ?? null) !== this.whyStopped || (latest?.hold ?? null) !== this.hold) return true;
    if (this.isStopped) return false;
    if (latest?.hasStarted !== this.hasStarted) return true;
    if ((latest?.full?.length ?? 0) !== this.full.length) return true;
    const now = granted(sharing, Object.keys(limits));
    return (
      this.tellAfter() * 2 <= (latest?.tellAfter ?? 1) ||
      Object.entries(limits).some(([name, limit]) => limit !== now[name])
    );
  }

  private grant({ word, grants }: Sharing, limits: Limits): Grant {
    return {
      number: (grants.at(-1)?.grant.number ?? 0) + 1,
      answers: word.number,
      limits,
      tellAfter: this.tellAfter(),
      stop: this.whyStopped,
      ...(this.skipped ? { skipped: true } : {}),
      ...(this.full.length === 0 ? {} : { full: this.full }),
      ...(this.hold === null ? {} : { hold: this.hold }),
      ...(this.hasStarted === undefined ? {} : { hasStarted: this.hasStarted }),
    };
  }

  /** Of the words so far and one more that no grant has answered. */
  private least(before: Limits, wants: Limits): Limits {
    const least = lower(before, wants);
    const isLatest = Object.keys(wants).every((name) => least[name] === wants[name]);
    return isLatest || !this.everyWordCounts() ? wants : least;
  }

  private noteStart(hasStarted = false): void {
    if (this.hasStarted === false) this.hasStarted = hasStarted;
  }

  /** Limits of which no place is left for good. */
  private get full(): readonly string[] {
    const lostOf = (name: string) => sum(this.shards.map(({ sharing }) => sharing.word.lost?.[name] ?? 0));
    return Object.entries(this.limits)
      .filter(([name, limit]) => lostOf(name) > 0 && lostOf(name) >= limit)
      .map(([name]) => name);
  }

  private get whyStopped(): string | null {
    return this.stop ?? (this.isOverBudget ? 'the failure budget was spent first' : null);
  }

  /** So few that all shards' untold failures together never spend the budget unseen. */
  private tellAfter(): number {
    return Math.max(Math.floor((this.failuresLeft - this.failures) / (2 * Math.max(this.open, 1))), 1);
  }
}

/** How a shard stands: what it could use, what it uses, and whether it can do nothing but wait for a grant. */
export interface ShardStanding {
  readonly wants: Limits;
  readonly uses: Limits;
  readonly failures: number;
  readonly isStuck: boolean;
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

/** The shard's half: what it may use, and when a word to its wave is worth its events. */
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
    const { wants, uses, failures, isStuck, lost = {} } = now;
    if (Object.entries(lost).some(([name, count]) => count > (this.last.lost?.[name] ?? 0))) return true;
    if (this.isFirstStart(now) || this.owesAnswer || failures - this.last.failures >= this.grant.tellAfter) return true;
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
