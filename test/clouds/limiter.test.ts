/** The pacer on a virtual clock: no real time passes. */
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../activities/clock.js';
import { Pacer, Pause, type Grant } from '../../activities/limiter.js';
import { settled, SteppedClock } from './stepped-clock.js';

const NO_PAUSE = { until: -Infinity };

function pacer(rate = 2) {
  const clock = new SteppedClock();
  const pause = new Pause({ clock, firstMs: 60_000, maxMs: 240_000 });
  return { clock, pause, pacer: new Pacer({ clock, rate, pause }) };
}

describe('Pacer', () => {
  it('grants in order, evenly spaced, and a little slower than its rate', async () => {
    const { clock, pacer: paced } = pacer();
    const grants: string[] = [];
    for (const name of ['a', 'b', 'c', 'd']) void paced.take().then(() => grants.push(`${name} ${clock.now()}`));
    await clock.advance(10_000);
    expect(grants).toEqual(['a 0', 'b 525', 'c 1050', 'd 1575']);
  });

  it.each([1, 5, 20])(
    'at %d calls/s: in no second more, though some calls come 40 ms later than others',
    async (rate) => {
      const { clock, pacer: paced } = pacer(rate);
      const arrivals: number[] = [];
      for (let call = 0; call < rate * 10; call++) {
        void paced.take().then(() => arrivals.push(clock.now() + (call % rate === 0 ? 40 : 0)));
      }
      await clock.advance(20_000);
      expect(arrivals).toHaveLength(rate * 10);
      const busiest = Math.max(
        ...arrivals.map((from) => arrivals.filter((at) => at >= from && at < from + 1_000).length),
      );
      expect(busiest).toBe(rate);
    },
  );

  it('saves nothing up while nobody calls', async () => {
    const { clock, pacer: paced } = pacer();
    await paced.take();
    await clock.advance(60_000);
    const grants: number[] = [];
    for (let call = 0; call < 3; call++) void paced.take().then(() => grants.push(clock.now()));
    await clock.advance(10_000);
    expect(grants).toEqual([60_000, 60_525, 61_050]);
  });

  it('says how long a wait would be', async () => {
    const { pacer: paced } = pacer();
    expect(paced.waitMs()).toBe(0);
    await paced.take();
    expect(paced.waitMs()).toBe(525);
    void paced.take();
    expect(paced.waitMs()).toBe(1_050);
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
    expect(grants).toEqual(['last 525']);
  });

  it('refuses at once a turn that cannot come in time', async () => {
    const { clock, pacer: paced } = pacer();
    await paced.take({ by: 0 });
    expect(await paced.take({ by: 524 })).toEqual({ granted: false, waitMs: 525 });
    const inTime = paced.take({ by: 525 });
    await clock.advance(525);
    expect(await inTime).toEqual({ granted: true });
  });

  it('refuses a turn that a pause has moved past its time', async () => {
    const { clock, pause, pacer: paced } = pacer();
    await paced.take();
    let grant: Grant | undefined;
    void paced.take({ by: 5_000 }).then((given) => (grant = given));
    await clock.advance(100);
    pause.begin();
    await clock.advance(1_000);
    expect(grant).toMatchObject({ granted: false });
  });

  it('grants nothing during a pause, to sleepers neither', async () => {
    const { clock, pause, pacer: paced } = pacer();
    const grants: number[] = [];
    await paced.take();
    void paced.take().then(() => grants.push(clock.now()));
    await clock.advance(100);
    expect(pause.begin()).toBe(60_000);
    void paced.take().then(() => grants.push(clock.now()));
    await clock.advance(120_000);
    expect(grants).toEqual([60_100, 60_625]);
  });

  it('lets urgent calls go first and leaves a fifth to the others', async () => {
    const { clock, pacer: paced } = pacer();
    const grants: string[] = [];
    await paced.take();
    for (let call = 0; call < 3; call++) void paced.take().then(() => grants.push('ordinary'));
    for (let call = 0; call < 6; call++) void paced.take({ urgent: true }).then(() => grants.push('urgent'));
    expect(paced.waitMs(true)).toBe(525 + 6 * 525);
    expect(paced.waitMs()).toBe(525 + 9 * 525);
    await clock.advance(10_000);
    expect(grants.map(([letter]) => letter).join('')).toBe('uuuuouuoo');
  });

  it('takes an urgent call in time that an ordinary one would be too late for', async () => {
    const { clock, pacer: paced } = pacer();
    for (let call = 0; call < 100; call++) void paced.take();
    expect(await paced.take({ by: 5_000 })).toMatchObject({ granted: false });
    const urgent = paced.take({ by: 5_000, urgent: true });
    await clock.advance(1_000);
    expect(await urgent).toEqual({ granted: true });
  });
});

describe('Pause', () => {
  it('doubles when the account is throttled again, up to its limit, and recovers', async () => {
    const { clock, pause } = pacer();
    const pauses: number[] = [];
    for (let round = 0; round < 4; round++) {
      pauses.push(pause.begin());
      await clock.advance(pause.begin() + 1_000);
    }
    expect(pauses).toEqual([60_000, 120_000, 240_000, 240_000]);
    await clock.advance(240_000);
    expect(pause.begin()).toBe(60_000);
  });

  it('counts answers of calls made before it as one', async () => {
    const { clock, pause } = pacer();
    expect(pause.begin()).toBe(60_000);
    await clock.advance(10_000);
    expect(pause.begin()).toBe(50_000);
  });

  it('lasts as long as the cloud asked for', () => {
    expect(pacer().pause.begin(90_000)).toBe(90_000);
    expect(pacer().pause.begin(1_000_000)).toBe(240_000);
  });
});

describe('Pacer', () => {
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
          pause: NO_PAUSE,
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
          pause: NO_PAUSE,
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
