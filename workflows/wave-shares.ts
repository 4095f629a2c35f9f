/**
 * A wave's half of the talk about its limits: what it knows of each shard, and what it grants them. It and the shard's half
 * (`shard-share.ts`) are pure; test/workflows/sharing.test.ts plays them against each other, with messages as late as they like.
 */
import type { Grant, Limits, Share, ShardWord } from './contracts/rollout.js';
import { lower, RISK, SLOTS } from './limits.js';
import { granted, shareOut, type Sharing, sum } from './share-out.js';

/** Words that a wave is ready to hear and answer in an ordinary course: nine events each. */
const WORDS_PER_WAVE = 160;

/** What waves of older releases did not do: each is asked where it matters, and stands in the history then. */
export interface WaveWays {
  /** Only the latest word did: a shard that had wanted nothing for a moment was never granted anything again. */
  readonly everyWordCounts: () => boolean;
  /** After a skip of the rest too it hears of failures in time, since a spent budget ends what has not been sent. */
  readonly hearsAfterSkip: () => boolean;
}

const OWN_WAYS: WaveWays = { everyWordCounts: () => true, hearsAfterSkip: () => true };

export class WaveShares {
  private limits: Limits;
  private readonly failuresLeft: number;
  private readonly step: number;
  private readonly shards: { sharing: Sharing; state: 'waiting' | 'open' | 'ended' }[];
  /** Of shards that ended. */
  private failuresOfEnded = 0;
  private stop: string | null = null;
  private skipped = false;
  private spent = false;
  private hold: string | null = null;
  private hasStarted: boolean | undefined;
  private readonly ways: WaveWays;
  private news = true;

  /**
   * @param limits of the whole wave, shared ones only
   * @param draws for each shard, how many of its upgrades draw on each limit
   * @param hasStarted as `WaveInput.hasStarted`
   * @param holds for each shard, what is taken of each limit before any of its upgrades starts
   */
  constructor(
    limits: Limits,
    failuresLeft: number,
    draws: readonly Limits[],
    hasStarted?: boolean,
    ways: WaveWays = OWN_WAYS,
    holds: readonly Limits[] = [],
  ) {
    this.hasStarted = hasStarted;
    this.ways = ways;
    this.limits = limits;
    this.failuresLeft = failuresLeft;
    this.step = draws.length / WORDS_PER_WAVE;
    this.shards = draws.map((wants, at) => ({
      sharing: { word: { number: 0, heard: 0, wants, uses: holds[at] ?? {}, failures: 0 }, grants: [] },
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
    // Once more changes nothing; after a stop of another kind, what is left was not skipped.
    this.skipped ||= this.whyStopped === null;
    this.stopAll(why);
  }

  /** Whether a person has left out what was not started, and nothing else had stopped it before. */
  get isRestSkipped(): boolean {
    return this.skipped;
  }

  /** After `skipRest`: the budget is spent too, so that what has started and not sent ends as well. */
  forbidSending(): void {
    this.spent = true;
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

  /**
   * The first shard that has not been opened, and its share, when there is room for one of its upgrades. Those come first that
   * hold what others may wait for.
   */
  nextToOpen(): { readonly shard: number; readonly share: Share } | null {
    const isWaiting = ({ state }: { readonly state: string }) => state === 'waiting';
    const holding = this.shards.findIndex((one) => isWaiting(one) && sum(Object.values(one.sharing.word.uses)) > 0);
    const at = holding === -1 ? this.shards.findIndex(isWaiting) : holding;
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
    if ((latest?.spent ?? false) !== this.spent) return true;
    if ((latest?.stop ?? null) !== this.whyStopped || (latest?.hold ?? null) !== this.hold) return true;
    const tellsMore = this.tellAfter() * 2 <= (latest?.tellAfter ?? 1);
    if (this.isStopped) return this.skipped && !this.spent && tellsMore && this.ways.hearsAfterSkip();
    if (latest?.hasStarted !== this.hasStarted) return true;
    if ((latest?.full?.length ?? 0) !== this.full.length) return true;
    const now = granted(sharing, Object.keys(limits));
    return tellsMore || Object.entries(limits).some(([name, limit]) => limit !== now[name]);
  }

  private grant({ word, grants }: Sharing, limits: Limits): Grant {
    return {
      number: (grants.at(-1)?.grant.number ?? 0) + 1,
      answers: word.number,
      limits,
      tellAfter: this.tellAfter(),
      stop: this.whyStopped,
      ...(this.skipped ? { skipped: true } : {}),
      ...(this.spent ? { spent: true } : {}),
      ...(this.full.length === 0 ? {} : { full: this.full }),
      ...(this.hold === null ? {} : { hold: this.hold }),
      ...(this.hasStarted === undefined ? {} : { hasStarted: this.hasStarted }),
    };
  }

  /** Of the words so far and one more that no grant has answered. */
  private least(before: Limits, wants: Limits): Limits {
    const least = lower(before, wants);
    const isLatest = Object.keys(wants).every((name) => least[name] === wants[name]);
    return isLatest || !this.ways.everyWordCounts() ? wants : least;
  }

  private noteStart(hasStarted = false): void {
    if (this.hasStarted === false) this.hasStarted = hasStarted;
  }

  /** Limits of which no place is left for good. */
  private get full(): readonly string[] {
    const lostOf = (name: string) => sum(this.shards.map(({ sharing }) => sharing.word.lost?.[name] ?? 0));
    return Object.entries(this.limits)
      .filter(([name, limit]) => lostOf(name) >= limit)
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
