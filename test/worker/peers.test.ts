import { describe, expect, it } from 'vitest';
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
  it('does not wait a second time when others come and go', () => {
    const before = { index: 0, count: 1, notBefore: 0 };
    expect(turnOf(['a', 'b'], 'a', before, 9_000)).toEqual({ index: 0, count: 2, notBefore: 0 });
  });
});
