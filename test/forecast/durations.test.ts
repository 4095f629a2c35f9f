import { expect, it } from 'vitest';
import { drawCurve, knowledgeOf, usualBy, usualOf } from '../../forecast/durations.js';
import { normal, type Random, randomOf } from '../../forecast/random.js';
import { CLASSES_KEPT, type Durations, DURATIONS_KEPT, learn } from '../../workflows/contracts/durations.js';

const MINUTE = 60_000;

it('says what was given while nothing is learned', () => {
  const { p50, p90 } = usualBy({ samples: [], usual: usualOf(40 * MINUTE, 70 * MINUTE) }, randomOf('given'));
  expect(p50 / MINUTE).toBeGreaterThan(37);
  expect(p50 / MINUTE).toBeLessThan(43);
  expect(p90 / MINUTE).toBeGreaterThan(64);
  expect(p90 / MINUTE).toBeLessThan(76);
});

it('forgets a wrong value with each example', () => {
  const usual = usualOf(10 * MINUTE);
  const of = (count: number) =>
    usualBy({ samples: Array.from({ length: count }, (_, at) => (40 + (at % 5)) * MINUTE), usual }, randomOf('wrong'))
      .p50;
  expect(of(1)).toBeGreaterThan(usual.p50);
  expect(Math.abs(of(8) / MINUTE - 42)).toBeLessThan(Math.abs(of(2) / MINUTE - 42));
  expect(Math.abs(of(64) / MINUTE - 42)).toBeLessThan(1);
});

/** Shapes that are no bell: one in four takes three times as long; nearly all the same; a long tail. */
const SHAPES: Readonly<Record<string, (random: Random) => number>> = {
  'log-normal': (random) => 20 * MINUTE * Math.exp(0.4 * normal(random)),
  'two humps': (random) => (random() < 0.25 ? 60 : 20) * MINUTE * (0.9 + 0.2 * random()),
  uniform: (random) => (10 + 40 * random()) * MINUTE,
  'long tail': (random) => 10 * MINUTE * (1 - random()) ** -0.4,
};

it.each(Object.entries(SHAPES))('keeps P90 of the next one, learned from few or many: %s', (name, draw) => {
  const random = randomOf(name);
  for (const known of [10, 30, 64]) {
    let kept = 0;
    const rounds = 600;
    for (let round = 0; round < rounds; round += 1) {
      const samples = Array.from({ length: known }, () => draw(random));
      const knowledge = { samples, usual: usualOf(25 * MINUTE) };
      const drawn = Float64Array.from({ length: 60 }, () => drawCurve(knowledge, random).quantile(random())).toSorted();
      if (draw(random) <= (drawn[54] ?? 0)) kept += 1;
    }
    // 54.5 of 61: what 60 draws make of nine in ten.
    expect(kept / rounds, `${known} known`).toBeGreaterThan(0.84);
    expect(kept / rounds, `${known} known`).toBeLessThan(0.95);
  }
});

it('goes on from what has passed', () => {
  const random = randomOf('beyond');
  const curve = drawCurve(
    { samples: Array.from({ length: 40 }, (_, at) => (10 + at) * MINUTE), usual: usualOf(MINUTE) },
    random,
  );
  for (const elapsed of [0, 20 * MINUTE, 48 * MINUTE, 300 * MINUTE]) {
    for (let draw = 0; draw < 50; draw += 1) expect(curve.beyond(elapsed, random)).toBeGreaterThanOrEqual(elapsed);
  }
  expect(curve.probability(25 * MINUTE)).toBeGreaterThan(0.2);
  expect(curve.probability(25 * MINUTE)).toBeLessThan(0.6);
});

it('keeps a bounded number of the latest, by class', () => {
  let known: Durations = {};
  for (let at = 0; at < 300; at += 1) known = learn(known, { [`ges-v2 ${at}`]: [at], 'dcs 4': [at, at + 0.5] });
  expect(Object.keys(known)).toHaveLength(CLASSES_KEPT);
  expect(known['dcs 4']).toHaveLength(DURATIONS_KEPT);
  expect(known['dcs 4']?.at(-1)).toBe(299.5);
  expect(known['ges-v2 0']).toBeUndefined();
  expect(known['ges-v2 299']).toEqual([299]);
});

it('judges by size where enough are known, else by service', () => {
  const usual = usualOf(MINUTE);
  const learned = { 'dcs 4': [1, 2, 3, 4, 5], 'dcs 8': [10], 'ges-v2 8': [99] };
  expect(knowledgeOf(learned, { service: 'dcs', size: '4', usual }, 1).samples).toEqual([1, 2, 3, 4, 5]);
  expect(knowledgeOf(learned, { service: 'dcs', size: '8', usual }, 2).samples).toEqual([2, 4, 6, 8, 10, 20]);
  expect(knowledgeOf(learned, { service: 'cse', size: null, usual }, 1).samples).toEqual([]);
});
