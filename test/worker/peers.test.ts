import { describe, expect, it } from 'vitest';
import { Pacer, type Turn } from '../../activities/limiter.js';
import { hear, turnOf } from '../../worker/peers.js';

describe('hear', () => {
  const at = (identity: string, polledAt: number) => ({ identity, polledAt });
  const names = (heard: ReadonlyMap<string, number>) => [...heard.keys()];

  it('measures by the newest poll, whatever time it is here', () => {
    const heard = hear(new Map(), [at('a', 1_000_000), at('b', 950_000), at('c', 900_000)], 7_000);
    expect([...heard]).toEqual([
      ['a', 7_000],
      ['b', -43_000],
    ]);
  });

  it('hears of nobody where nobody polls', () => {
    expect(names(hear(new Map(), [], 0))).toEqual([]);
  });

  it('counts on whom a restarted server has forgotten, until it would be dead', () => {
    const before = hear(new Map(), [at('a', 100_000), at('b', 90_000)], 0);
    const restarted = [at('a', 102_000)];
    expect(names(hear(before, restarted, 2_000))).toEqual(['a', 'b']);
    expect(names(hear(before, restarted, 64_999))).toEqual(['a', 'b']);
    expect(names(hear(before, restarted, 65_000))).toEqual(['a']);
  });

  it('drops whom the server itself tells to be silent', () => {
    const before = hear(new Map(), [at('a', 100_000), at('b', 100_000)], 0);
    expect(names(hear(before, [at('a', 175_000), at('b', 100_000)], 1_000))).toEqual(['a']);
  });
});

describe('turnOf', () => {
  it('is alone, and goes at once, when nobody else polls', () => {
    expect(turnOf(['a'], 'a', null, 1_000)).toEqual({ index: 0, count: 1, notBefore: 1_000 });
  });
  it('lets a newcomer wait until the others have counted it', () => {
    expect(turnOf(['a', 'b'], 'b', null, 1_000)).toEqual({ index: 1, count: 2, notBefore: 5_000 });
  });
  it('gives every process a place of its own, whatever the order of the answer', () => {
    const places = ['a', 'b', 'c'].map((identity) => turnOf(['c', 'a', 'b', 'a'], identity, null, 0)?.index);
    expect(places).toEqual([0, 1, 2]);
  });
  it('keeps what it knows while the server does not see it', () => {
    const before = { index: 1, count: 2, notBefore: 0 };
    expect(turnOf(['a'], 'b', before, 9_000)).toBe(before);
    expect(turnOf(['a'], 'b', null, 9_000)).toBeNull();
  });
  it('lets who was alone go on: newcomers wait', () => {
    const before = { index: 0, count: 1, notBefore: 0 };
    expect(turnOf(['a', 'b'], 'a', before, 9_000)).toEqual({ index: 0, count: 2, notBefore: 0 });
  });
  it('keeps a place that stays the same, and waits with another one', () => {
    const before = { index: 0, count: 2, notBefore: 0 };
    expect(turnOf(['a', 'b'], 'a', before, 9_000)).toBe(before);
    expect(turnOf(['a', 'b', 'c'], 'a', before, 9_000)).toEqual({ index: 0, count: 3, notBefore: 13_000 });
    expect(turnOf(['a'], 'a', before, 9_000)).toEqual({ index: 0, count: 1, notBefore: 9_000 });
  });
});

describe('a worker that comes or goes', () => {
  const ALL = ['a', 'b', 'c'];

  /** When calls are granted to those of `names` that want all they can get, looking every two seconds at their own time. */
  function grants(rate: number, looks: Readonly<Record<string, number>>, alive: (now: number) => string[]): number[] {
    let now = 0;
    const clock = { now: () => now, sleep: () => new Promise<void>(() => {}) };
    const turns = new Map<string, Turn | null>();
    const pacers = ALL.map((name) => {
      const turn = () => turns.get(name) ?? { index: 0, count: 1, notBefore: Infinity };
      return { name, pacer: new Pacer({ clock, rate, pause: { until: -Infinity }, turn }) };
    });
    const granted: number[] = [];
    for (; now < 40_000; now += 10) {
      for (const { name, pacer } of pacers) {
        if (!alive(now).includes(name)) continue;
        if (now % 2_000 === looks[name]) turns.set(name, turnOf(alive(now), name, turns.get(name) ?? null, now));
        if (pacer.waitMs() > 0) continue;
        void pacer.take();
        granted.push(now);
      }
    }
    return granted;
  }

  it.each([1, 2, 5])('leaves no second with more than %d calls', (rate) => {
    for (const guest of ALL) {
      for (const [a, b, c] of [
        [0, 600, 1_200],
        [0, 1_200, 600],
        [1_800, 0, 200],
        [200, 1_800, 1_000],
      ] as const) {
        const isThere = (now: number): boolean => now >= 15_000 && now < 28_000;
        const all = grants(rate, { a, b, c }, (now) => ALL.filter((name) => name !== guest || isThere(now)));
        const busiest = Math.max(...all.map((from) => all.filter((at) => at >= from && at < from + 1_000).length));
        expect(busiest, `${guest} comes and goes, looks at ${[a, b, c].join(', ')}`).toBeLessThanOrEqual(rate);
        // Those who stay are never held up for long.
        expect(all.length).toBeGreaterThan(rate * 16);
      }
    }
  });
});
