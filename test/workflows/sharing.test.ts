/** Limits hold across the shards of a wave, however late their messages are, and nothing waits for ever. */
import { describe, expect, it } from 'vitest';
import type { Grant, Limits, ShardWord } from '../../workflows/contracts/rollout.js';
import { drawn, lower, RISK, SLOTS, startable } from '../../workflows/limits.js';
import { ShardShare } from '../../workflows/shard-share.js';
import { WaveShares } from '../../workflows/wave-shares.js';

/** mulberry32: the same numbers for the same seed on every machine. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

interface One {
  readonly draws: readonly string[];
  readonly fails: boolean;
}

/** A shard as workflows/shard.ts is one, without its workflow. */
class PlayedShard {
  share: ShardShare;
  readonly queue: One[];
  readonly own: Limits;
  readonly names: readonly string[];
  readonly inFlight: One[] = [];
  readonly inbox: Grant[] = [];
  /** While its windows are, nothing of it may start. */
  isShut = false;
  /** They are those of all shards, and it knows. */
  isQuiet = false;
  started = 0;
  failures = 0;

  constructor(share: ShardShare, queue: readonly One[], own: Limits) {
    this.share = share;
    this.queue = [...queue];
    this.own = own;
    this.names = Object.keys(share.limits());
  }

  get uses(): Limits {
    const uses = drawn([...this.names, ...Object.keys(this.own)], this.inFlight);
    return RISK in uses ? { ...uses, [RISK]: (uses[RISK] ?? 0) + this.failures } : uses;
  }

  get isOver(): boolean {
    return this.inFlight.length === 0 && (this.queue.length === 0 || this.share.stop !== null);
  }

  /** As its next run begins. */
  goOn(): void {
    const { share, talk } = JSON.parse(JSON.stringify(this.share.carried)) as ShardShare['carried'];
    this.share = new ShardShare(share, talk);
  }

  private get ready(): readonly One[] {
    return this.isShut ? [] : this.queue;
  }

  start(): void {
    if (this.share.stop !== null) return;
    for (const one of startable(this.ready, this.uses, lower(this.own, this.share.limits()))) {
      this.queue.splice(this.queue.indexOf(one), 1);
      this.inFlight.push(one);
      this.started += 1;
    }
  }

  end(at: number): void {
    const [one] = this.inFlight.splice(at, 1);
    if (one?.fails === true) this.failures += 1;
  }

  word() {
    const { uses } = this;
    const free = startable(this.ready, uses, this.own);
    return this.share.word({
      wants: drawn(this.names, free, uses),
      uses: Object.fromEntries(this.names.map((name) => [name, uses[name] ?? 0])),
      failures: this.failures,
      isStuck: this.inFlight.length === 0 && this.queue.length > 0,
      isShut: this.isShut && this.isQuiet,
    });
  }
}

interface Played {
  readonly started: number;
  readonly failures: number;
  readonly messages: number;
  readonly peak: number;
  /** Share of the slots that were empty though an upgrade waited. */
  readonly idle: number;
}

interface Game {
  readonly seed: number;
  readonly shards: readonly (readonly One[])[];
  readonly limits: Limits;
  readonly failuresLeft: number;
  /** How many things happen before a message arrives, at most. */
  readonly latency?: number;
  /** The wave's concurrency from some time on. */
  readonly change?: { readonly after: number; readonly slots: number; readonly every?: number };
  /** How long their windows are open, and shut, in turn; each shard has its own, or they have them together. */
  readonly windows?: { readonly open: number; readonly shut: number; readonly together?: 'told' | 'quiet' };
}

function play({ seed, shards, limits, failuresLeft, latency = 10, change, windows }: Game): Played {
  const dice = random(seed);
  const switches = random(seed + 1_000);
  const names = Object.keys(limits);
  const { [SLOTS]: _, [RISK]: __, ...own } = limits;
  const wave = new WaveShares(
    limits,
    failuresLeft,
    shards.map((all) => drawn(names, all)),
  );
  const open = new Map<number, PlayedShard>();
  const toWave: { at: number; word: ShardWord }[] = [];
  const toShard: { at: number; shard: number; grant: Grant }[] = [];
  let [now, looks, messages, peak, empty, ended, started, failures] = [0, 0, 0, 0, 0, 0, 0, 0];
  const moved = new Set<number>();
  let slots = limits[SLOTS] ?? 0;
  const later = () => now + 1 + dice(latency);
  const last = { toWave: new Map<number, number>(), toShard: new Map<number, number>() };
  const inOrder = (seen: Map<number, number>, shard: number) => {
    const at = Math.max(later(), seen.get(shard) ?? 0);
    seen.set(shard, at);
    return at;
  };

  for (; ended < shards.length; now += 1) {
    if (now > 200_000)
      throw new Error(`nothing goes on: ${[...open.values()].map(({ queue }) => queue.length).join()}`);
    const isTurn =
      change !== undefined && now >= change.after && (now - change.after) % (change.every ?? Infinity) === 0;
    if (change !== undefined && (now === change.after || (isTurn && now < 2_000))) {
      slots = slots === change.slots ? (limits[SLOTS] ?? 0) : change.slots;
      wave.setLimit(SLOTS, slots);
    }
    for (let next = wave.nextToOpen(); next !== null; next = wave.nextToOpen()) {
      moved.add(next.shard);
      open.set(next.shard, new PlayedShard(new ShardShare(next.share), shards[next.shard - 1] ?? [], own));
    }
    if (open.size === 0) break;
    for (const [shard, played] of windows === undefined ? [] : open) {
      const { open: opens, shut, together } = windows ?? { open: 1, shut: 0 };
      // Each learns of an edge for itself.
      const isShut = (now + (together === undefined ? shard : shard % 3)) % (opens + shut) >= opens;
      if (isShut !== played.isShut) moved.add(shard);
      played.isShut = isShut;
      played.isQuiet = together === 'quiet';
    }
    for (const { shard, grant } of wave.grants()) {
      toShard.push({ at: inOrder(last.toShard, shard), shard, grant });
      messages += 1;
    }
    for (const one of toShard.filter(({ at }) => at <= now)) {
      toShard.splice(toShard.indexOf(one), 1);
      open.get(one.shard)?.share.hear(one.grant);
      moved.add(one.shard);
    }
    for (const one of toWave.filter(({ at }) => at <= now)) {
      toWave.splice(toWave.indexOf(one), 1);
      wave.hear(one.word);
    }
    const flying = [...open].flatMap(([shard, { inFlight }]) => inFlight.map((_one, at) => ({ shard, at })));
    const chosen = flying[dice(Math.max(flying.length, 1))];
    if (chosen !== undefined && dice(3) > 0) {
      open.get(chosen.shard)?.end(chosen.at);
      moved.add(chosen.shard);
    }
    for (const shard of moved) {
      const played = open.get(shard);
      if (played === undefined) continue;
      if (switches(4) === 0) played.goOn();
      played.start();
      const word = played.word();
      if (word !== null) {
        toWave.push({ at: inOrder(last.toWave, shard), word: { shard, ...word } });
        messages += 1;
      }
      if (played.isOver) {
        wave.end(shard, played.failures);
        open.delete(shard);
        [ended, started, failures] = [ended + 1, started + played.started, failures + played.failures];
      }
    }
    moved.clear();
    if (now % (shards.length > 20 ? 20 : 1) !== 0) continue;
    looks += 1;
    const all = [...open.values()];
    const total = (name: string) => all.reduce((sum, { uses }) => sum + (uses[name] ?? 0), 0);
    const before = change === undefined || now < change.after + 10_000;
    for (const name of names) {
      const used = total(name) + (name === RISK ? failures : 0);
      const limit =
        name === SLOTS && before ? Math.max(limits[SLOTS] ?? 0, slots) : name === SLOTS ? slots : (limits[name] ?? 0);
      if (used > limit) throw new Error(`${name}: ${used} of ${limit} at ${now}, seed ${seed}`);
    }
    peak = Math.max(peak, total(SLOTS));
    const waiting = all.reduce((sum, { queue }) => sum + queue.length, 0);
    empty += Math.max(Math.min(slots - total(SLOTS), waiting), 0);
  }
  for (const { started: ofOpen, failures: failed } of open.values())
    [started, failures] = [started + ofOpen, failures + failed];
  return { started, failures, messages, peak, idle: empty / (looks * slots) };
}

function upgrades(count: number, over: (at: number) => Partial<One> & { account?: string } = () => ({})): One[] {
  return Array.from({ length: count }, (_, at) => {
    const { account = 'prod', fails = false } = over(at);
    return { draws: [SLOTS, RISK, `account:${account}`], fails };
  });
}

const SEEDS = Array.from({ length: 25 }, (_, seed) => seed + 1);

describe('shards that share', () => {
  it.each(SEEDS)('never use more than there is, and use all of it: seed %i', (seed) => {
    const dice = random(seed * 77);
    const accounts = ['a', 'b', 'c'].slice(0, 1 + dice(3));
    const shards = Array.from({ length: 1 + dice(8) }, () =>
      upgrades(1 + dice(60), () => ({ account: accounts[dice(accounts.length)] ?? 'a' })),
    );
    const limits = {
      [SLOTS]: 1 + dice(40),
      ...Object.fromEntries(accounts.map((name) => [`account:${name}`, 1 + dice(20)])),
    };
    const played = play({ seed, shards, limits, failuresLeft: 1_000, latency: 1 + dice(40) });
    expect(played.started).toBe(shards.flat().length);
  });

  it.each(SEEDS)('never fail more often than a strict budget allows, and then start nothing more: seed %i', (seed) => {
    const dice = random(seed * 31);
    const max = dice(6);
    const shards = Array.from({ length: 2 + dice(6) }, () => upgrades(20 + dice(60), () => ({ fails: dice(8) === 0 })));
    const bad = shards.flat().filter(({ fails }) => fails).length;
    const limits = { [SLOTS]: 1 + dice(30), [RISK]: max + 1 };
    const played = play({ seed, shards, limits, failuresLeft: max, latency: 1 + dice(40) });
    expect(played.failures).toBe(Math.min(bad, max + 1));
    expect(played.peak).toBeLessThanOrEqual(max + 1);
    if (bad <= max) expect(played.started).toBe(shards.flat().length);
  });

  it.each(SEEDS)('follow a concurrency that is changed meanwhile: seed %i', (seed) => {
    const dice = random(seed * 13);
    const shards = Array.from({ length: 2 + dice(5) }, () => upgrades(40 + dice(80)));
    const [before, after] = [1 + dice(30), 1 + dice(30)];
    const limits = { [SLOTS]: before, [RISK]: 20 };
    const change = { after: 20 + dice(60), slots: after };
    const played = play({ seed, shards, limits, failuresLeft: 19, change, latency: 1 + dice(20) });
    expect(played.started).toBe(shards.flat().length);
  });

  it.each(SEEDS)('follow one that goes up and down faster than messages: seed %i', (seed) => {
    const dice = random(seed * 7);
    const shards = Array.from({ length: 2 + dice(5) }, () => upgrades(40 + dice(80)));
    const limits = { [SLOTS]: 10 + dice(30) };
    const change = { after: 5 + dice(20), slots: 1 + dice(8), every: 3 + dice(15) };
    const played = play({ seed, shards, limits, failuresLeft: 1_000, change, latency: 1 + dice(30) });
    expect(played.started).toBe(shards.flat().length);
  });

  it.each(SEEDS)('go on in each opening of their windows: seed %i', (seed) => {
    const dice = random(seed * 17);
    const shards = Array.from({ length: 2 + dice(5) }, () => upgrades(10 + dice(40)));
    const limits = { [SLOTS]: 1 + dice(10) };
    const latency = 1 + dice(20);
    // Long enough for a word and its answer.
    const windows = { open: 4 * latency + dice(60), shut: 1 + dice(80) };
    const played = play({ seed, shards, limits, failuresLeft: 1_000, latency, windows });
    expect(played.started).toBe(shards.flat().length);
  });

  it.each(SEEDS)('are quiet while all their windows are shut, and go on in each opening: seed %i', (seed) => {
    const dice = random(seed * 19);
    const shards = Array.from({ length: 2 + dice(5) }, () =>
      upgrades(10 + dice(40), () => ({ fails: dice(20) === 0 })),
    );
    const limits = { [SLOTS]: 1 + dice(10), [RISK]: 400 };
    const windows = { open: 20 + dice(60), shut: 1 + dice(80), together: 'quiet' as const };
    const played = play({ seed, shards, limits, failuresLeft: 399, latency: 1 + dice(20), windows });
    expect(played.started).toBe(shards.flat().length);
  });

  it('of 25 need no word for an opening that they know to be the same for all', () => {
    const shards = Array.from({ length: 25 }, () => upgrades(400));
    const limits = { [SLOTS]: 200, [RISK]: 501 };
    const messages = (together?: 'told' | 'quiet') => {
      // What is in flight at the end of an opening has ended long before the next one.
      const windows = together === undefined ? {} : { windows: { open: 300, shut: 900, together } };
      const played = play({ seed: 3, shards, limits, failuresLeft: 500, latency: 5, ...windows });
      expect(played.started).toBe(10_000);
      return played.messages;
    };
    const [undisturbed, told, quiet] = [messages(), messages('told'), messages('quiet')];
    console.log(`messages: ${undisturbed} without windows, ${told} told of each, ${quiet} quiet`);
    expect(quiet).toBeLessThanOrEqual(undisturbed);
  });

  it('of 25 with 400 each speak seldom enough for their wave', () => {
    const accounts = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const shards = Array.from({ length: 25 }, (_, shard) =>
      upgrades(400, (at) => ({ account: accounts[(at + shard) % accounts.length] ?? 'a', fails: at % 50 === 0 })),
    );
    const keyed = play({
      seed: 6,
      shards,
      limits: { [SLOTS]: 200, [RISK]: 501, ...Object.fromEntries(accounts.map((name) => [`account:${name}`, 30])) },
      failuresLeft: 500,
      latency: 5,
    });
    console.log(`messages: ${keyed.messages}; empty slots: ${keyed.idle.toFixed(4)} of all`);
    expect(keyed.started).toBe(10_000);
    // Nine events for a word and its grant, seven for a child: below 4,000 in all.
    expect(keyed.messages * 4.5 + 25 * 7).toBeLessThan(4_000);
  });
});

it('tells every shard once something of one has been under way, where startBy bounds the rollout', () => {
  const wants = { [SLOTS]: 400 };
  const wave = new WaveShares({ [SLOTS]: 401 }, 0, [wants, { [SLOTS]: 1 }], false);
  const [first, second] = [wave.nextToOpen(), wave.nextToOpen()].map((opened) => {
    if (opened === null) throw new Error('not opened');
    return new ShardShare(opened.share);
  });
  expect([first?.hasStarted, second?.hasStarted]).toEqual([false, false]);
  const standing = { wants, uses: wants, failures: 0, isStuck: false };
  expect(first?.word({ ...standing, hasStarted: false })).toBeNull();
  const word = first?.word({ ...standing, hasStarted: true });
  expect(word).toMatchObject({ hasStarted: true });
  // Once is enough.
  expect(first?.word({ ...standing, hasStarted: true })).toBeNull();
  if (word != null) wave.hear({ shard: 1, ...word });
  for (const { shard, grant } of wave.grants()) (shard === 1 ? first : second)?.hear(grant);
  expect([first?.hasStarted, second?.hasStarted]).toEqual([true, true]);
});

it('opens a later shard with what the end of an earlier one says of it', () => {
  const waveOf = () => new WaveShares({ [SLOTS]: 1 }, 0, [{ [SLOTS]: 1 }, { [SLOTS]: 1 }], false);
  const secondAfter = (hasBegun: boolean) => {
    const wave = waveOf();
    wave.nextToOpen();
    wave.end(1, 0, hasBegun);
    return wave.nextToOpen()?.share.grant.hasStarted;
  };
  expect([secondAfter(false), secondAfter(true)]).toEqual([false, true]);
});

it('places that ends of several shards keep for good are no others, and members that can never start hear of it', () => {
  const group = 'group:pool';
  const draws = { [SLOTS]: 1, [group]: 1 };
  const wave = new WaveShares({ [SLOTS]: 9, [group]: 2 }, 9, [draws, draws, draws]);
  const [first, second] = [wave.nextToOpen(), wave.nextToOpen()];
  expect(first?.share.grant.full).toBeUndefined();
  const word = { number: 1, heard: 1, failures: 0, wants: { [group]: 1 }, uses: { [group]: 1 }, lost: { [group]: 1 } };
  wave.hear({ shard: 1, ...word });
  wave.end(1, 0);
  wave.grants();
  wave.hear({ shard: second?.shard ?? 2, ...word });
  expect(wave.grants().find(({ shard }) => shard === second?.shard)?.grant.full).toEqual([group]);
  wave.end(2, 0);
  const third = wave.nextToOpen();
  expect(third?.share.grant).toMatchObject({ full: [group] });
  expect(third?.share.grant.limits[group] ?? 0).toBeLessThanOrEqual(0);
});

it('a rest that is skipped stays so when it is skipped once more, and is not where something else had stopped it', () => {
  const opened = () => {
    const wave = new WaveShares({ [SLOTS]: 1 }, 0, [{ [SLOTS]: 1 }, { [SLOTS]: 1 }]);
    wave.nextToOpen();
    wave.grants();
    return wave;
  };
  const twice = opened();
  twice.skipRest('ana');
  twice.skipRest('ben');
  expect(twice.grants()).toMatchObject([{ grant: { stop: 'ana', skipped: true } }]);
  // A grant for another reason tells it again.
  twice.skipRest('ben');
  twice.setHold('paused');
  expect(twice.grants()).toMatchObject([{ grant: { stop: 'ana', skipped: true, hold: 'paused' } }]);

  const stopped = opened();
  stopped.stopAll('the rollout was stopped');
  stopped.skipRest('ana');
  expect(stopped.grants()[0]?.grant).not.toHaveProperty('skipped');

  const spent = opened();
  spent.hear({ shard: 1, number: 1, heard: 1, wants: {}, uses: {}, failures: 1 });
  spent.skipRest('ana');
  expect(spent.grants()[0]?.grant).not.toHaveProperty('skipped');
});

it('a place that is lost is worth a word', () => {
  const limits = { [SLOTS]: 2, 'group:pool': 2 };
  const share = new ShardShare({ grant: { number: 1, answers: 0, limits, tellAfter: 9, stop: null }, step: 1 });
  const standing = { wants: limits, uses: limits, failures: 0, isStuck: false };
  share.word(standing);
  expect(share.word(standing)).toBeNull();
  expect(share.word({ ...standing, lost: { 'group:pool': 1 } })).toMatchObject({ lost: { 'group:pool': 1 } });
  expect(share.word({ ...standing, lost: { 'group:pool': 1 } })).toBeNull();
});

it('a loose budget that is spent after a skip of the rest is heard of in time', () => {
  const budget = 40;
  const draws = { [SLOTS]: 200 };
  const wave = new WaveShares({ [SLOTS]: 800 }, budget, [draws, draws, draws, draws]);
  const shards = Array.from({ length: 4 }, () => {
    const opened = wave.nextToOpen();
    if (opened === null) throw new Error('not opened');
    return { share: new ShardShare(opened.share), number: opened.shard, failures: 0 };
  });
  const tell = () => {
    for (const { shard, grant } of wave.grants()) shards[shard - 1]?.share.hear(grant);
  };
  tell();
  wave.skipRest('ana');
  tell();
  let failures = 0;
  for (; !wave.isOverBudget; failures += 1) {
    const shard = shards[failures % 4];
    if (shard === undefined) throw new Error('no shard');
    shard.failures += 1;
    const uses = { [SLOTS]: 200 - shard.failures };
    const word = shard.share.word({ wants: draws, uses, failures: shard.failures, isStuck: false });
    if (word !== null) wave.hear({ shard: shard.number, ...word });
    tell();
  }
  expect(failures).toBe(budget + 1);
});
