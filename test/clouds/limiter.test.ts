/** The pacer on a virtual clock: no real time passes. */
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../activities/clock.js';
import { Pacer, type Grant } from '../../activities/limiter.js';
import { settled, SteppedClock } from './stepped-clock.js';

function pacer(rate = 2) {
  const clock = new SteppedClock();
  return { clock, pacer: new Pacer({ clock, rate, firstPauseMs: 60_000, maxPauseMs: 240_000 }) };
}

describe('Pacer', () => {
  it('grants in order, evenly spaced, and only at its rate', async () => {
    const { clock, pacer: paced } = pacer();
    const grants: string[] = [];
    for (const name of ['a', 'b', 'c', 'd']) void paced.take().then(() => grants.push(`${name} ${clock.now()}`));
    await clock.advance(10_000);
    expect(grants).toEqual(['a 0', 'b 500', 'c 1000', 'd 1500']);
  });

  it('saves nothing up while nobody calls', async () => {
    const { clock, pacer: paced } = pacer();
    await paced.take();
    await clock.advance(60_000);
    const grants: number[] = [];
    for (let call = 0; call < 3; call++) void paced.take().then(() => grants.push(clock.now()));
    await clock.advance(10_000);
    expect(grants).toEqual([60_000, 60_500, 61_000]);
  });

  it('says how long a wait would be', async () => {
    const { pacer: paced } = pacer();
    expect(paced.waitMs()).toBe(0);
    await paced.take();
    expect(paced.waitMs()).toBe(500);
    void paced.take();
    expect(paced.waitMs()).toBe(1_000);
  });

  it('gives a cancelled turn to the next in line', async () => {
    const { clock, pacer: paced } = pacer();
    const controller = new AbortController();
    const reason = new Error('cancelled');
    const grants: string[] = [];
    await paced.take();
    const sleeping = paced.take({ signal: controller.signal });
    const queued = paced.take({ signal: controller.signal });
    void paced.take().then(() => grants.push(`last ${clock.now()}`));
    await settled();
    controller.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
    await expect(queued).rejects.toBe(reason);
    await expect(paced.take({ signal: controller.signal })).rejects.toBe(reason);
    await clock.advance(10_000);
    expect(grants).toEqual(['last 500']);
  });

  it('refuses at once a turn that cannot come in time', async () => {
    const { clock, pacer: paced } = pacer();
    await paced.take({ by: 0 });
    expect(await paced.take({ by: 499 })).toEqual({ granted: false, waitMs: 500 });
    const inTime = paced.take({ by: 500 });
    await clock.advance(500);
    expect(await inTime).toEqual({ granted: true });
  });

  it('refuses a turn that a pause has moved past its time', async () => {
    const { clock, pacer: paced } = pacer();
    await paced.take();
    let grant: Grant | undefined;
    void paced.take({ by: 5_000 }).then((given) => (grant = given));
    await clock.advance(100);
    paced.slow();
    await clock.advance(1_000);
    expect(grant).toMatchObject({ granted: false });
  });

  it('pauses everybody after a throttled answer, sleepers too', async () => {
    const { clock, pacer: paced } = pacer();
    const grants: number[] = [];
    await paced.take();
    void paced.take().then(() => grants.push(clock.now()));
    await clock.advance(100);
    expect(paced.slow()).toBe(60_000);
    void paced.take().then(() => grants.push(clock.now()));
    await clock.advance(120_000);
    expect(grants).toEqual([60_100, 60_600]);
  });

  it('doubles the pause when it is throttled again, up to its limit, and recovers', async () => {
    const { clock, pacer: paced } = pacer();
    const pauses: number[] = [];
    for (let round = 0; round < 4; round++) {
      pauses.push(paced.slow());
      await clock.advance(paced.slow() + 1_000);
    }
    expect(pauses).toEqual([60_000, 120_000, 240_000, 240_000]);
    await clock.advance(240_000);
    expect(paced.slow()).toBe(60_000);
  });

  it('counts answers of calls made before the pause as one', async () => {
    const { clock, pacer: paced } = pacer();
    expect(paced.slow()).toBe(60_000);
    await clock.advance(10_000);
    expect(paced.slow()).toBe(50_000);
  });

  it('waits as long as the cloud asked for', () => {
    expect(pacer().pacer.slow(90_000)).toBe(90_000);
    expect(pacer().pacer.slow(1_000_000)).toBe(240_000);
  });

  describe('shared by several processes', () => {
    /** Grants of `count` processes that all want as much as they can get, for ten seconds. */
    async function grantsOf(rate: number, count: number): Promise<number[][]> {
      const clock = new SteppedClock();
      const grants = Array.from({ length: count }, () => [] as number[]);
      grants.forEach((own, index) => {
        const shared = new Pacer({
          clock,
          rate,
          turn: () => ({ index, count, notBefore: -Infinity }),
          firstPauseMs: 60_000,
          maxPauseMs: 240_000,
        });
        for (let call = 0; call < rate * 10; call++) void shared.take().then(() => own.push(clock.now()));
      });
      await clock.advance(10_000);
      return grants;
    }

    it.each([5, 10, 20, 50])('at %d calls/s: nobody starves while every timer comes 15 ms late', async (rate) => {
      const clock = new SteppedClock();
      const late: Clock = { now: () => clock.now(), sleep: (ms, signal) => clock.sleep(ms + 15, signal) };
      const grants = [0, 1].map((index) => {
        const own: number[] = [];
        const shared = new Pacer({
          clock: late,
          rate,
          turn: () => ({ index, count: 2, notBefore: -Infinity }),
          firstPauseMs: 60_000,
          maxPauseMs: 240_000,
        });
        for (let call = 0; call < 20; call++) void shared.take().then(() => own.push(clock.now()));
        return own;
      });
      await clock.advance(30_000);
      expect(grants.map((own) => own.length)).toEqual([20, 20]);
      const all = grants.flat();
      const busiest = Math.max(...all.map((from) => all.filter((at) => at >= from && at < from + 1_000).length));
      expect(busiest).toBeLessThanOrEqual(rate);
    });

    it.each([
      [1, 2],
      [2, 3],
      [10, 2],
      [50, 4],
    ])('at %d calls/s and %d processes: in no second more calls than the rate', async (rate, count) => {
      const grants = await grantsOf(rate, count);
      const all = grants.flat().toSorted((a, b) => a - b);
      const busiest = Math.max(...all.map((from) => all.filter((at) => at >= from && at < from + 1_000).length));
      expect(busiest).toBeLessThanOrEqual(rate);
      // Nobody starves, and most of the rate is used.
      for (const own of grants) expect(own.length).toBeGreaterThan(0);
      expect(all.length).toBeGreaterThanOrEqual(Math.min(rate, 25) * 10 * 0.75);
    });
  });
});
