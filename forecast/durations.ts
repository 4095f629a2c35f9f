/**
 * How long an upgrade takes, as a distribution: from what was learned, and from what the plan says while little was.
 *
 * Each simulated run draws a curve of its own. So what is not known of a service is the same for all of its upgrades in
 * a run, and a long wave keeps it: the sum of a hundred guesses from three examples is no more certain than the three.
 */
import { durationClass, type Durations, type Usual } from '../workflows/contracts/durations.js';
import { chiSquare, exponential, normal, type Random, randomOf } from './random.js';

/** What is known of one kind of upgrade. */
export interface Knowledge {
  /** Of finished ones, milliseconds. */
  readonly samples: readonly number[];
  /** What the plan says, or the cloud documents. */
  readonly usual: Usual;
}

/** Where only one of the two is known: one in ten takes half as long again as the median, or longer. */
const P90_OF_P50 = 1.5;

/** From so many on, the examples speak for themselves, in whatever shape they come. */
const ENOUGH = 10;
/** Of so many of its own size, an upgrade is judged by its size, else by its service; of fewer, nothing is decided. */
export const ENOUGH_TO_JUDGE = 5;

/** What was given weighs as much as one example, and its spread as much as four. */
const WEIGHT = 1;
const DEGREES = 4;
/** 90 % of Student's t with four degrees of freedom: so that without examples P90 is what was given. */
const T90 = 1.533_206;
/** No service is as even as that: a little spread keeps neighbours apart. */
const LEAST_SPREAD = 0.01;

export function usualOf(p50: number, p90: number = p50 * P90_OF_P50): Usual {
  return { p50, p90 };
}

/** Of one value that nine of ten keep. */
export function usualBelow(p90: number): Usual {
  return { p50: p90 / P90_OF_P50, p90 };
}

/**
 * @param learned milliseconds at scale 1
 * @param scale of the plan
 */
export function knowledgeOf(
  learned: Durations,
  { service, size, usual }: { readonly service: string; readonly size: string | null; readonly usual: Usual },
  scale: number,
): Knowledge {
  const own = learned[durationClass(service, size)] ?? [];
  const ofService = Object.entries(learned).flatMap(([name, list]) => (name.startsWith(`${service} `) ? list : []));
  const samples = own.length >= ENOUGH_TO_JUDGE ? own : ofService;
  return { samples: samples.map((sample) => sample * scale), usual };
}

/** A distribution by its knots: the logarithm of a duration, and the probability of staying below it. */
export class Curve {
  private readonly logs: Float64Array;
  private readonly below: Float64Array;

  constructor(logs: Float64Array, below: Float64Array) {
    this.logs = logs;
    this.below = below;
  }

  /** Milliseconds; `probability` from 0 to 1. */
  quantile(probability: number): number {
    return Math.exp(interpolated(this.below, this.logs, probability));
  }

  /** The chance that it takes no longer than so many milliseconds. */
  probability(ms: number): number {
    return ms <= 0 ? 0 : interpolated(this.logs, this.below, Math.log(ms));
  }

  /** The duration of one that has taken so many milliseconds already. */
  beyond(elapsedMs: number, random: Random): number {
    const passed = this.probability(elapsedMs);
    // Longer than anything known: as likely as not it takes that much and a tenth more.
    if (passed >= 1) return elapsedMs * (1 + 0.144 * exponential(random));
    return Math.max(this.quantile(passed + (1 - passed) * random()), elapsedMs);
  }
}

/** One of the curves that what is known allows. */
export function drawCurve({ samples, usual }: Knowledge, random: Random): Curve {
  const logs = samples.map((sample) => Math.log(Math.max(sample, 1))).toSorted((a, b) => a - b);
  return logs.length >= ENOUGH ? gapCurve(logs, random) : normalCurve(logs, usual, random);
}

/** What is known, as one number each: of very many curves. For what has to be told without a simulation. */
export function usualBy(knowledge: Knowledge, random: Random = randomOf('usual')): Usual {
  const drawn = Float64Array.from({ length: 2_000 }, () => drawCurve(knowledge, random).quantile(random())).toSorted();
  return { p50: drawn[Math.floor(drawn.length * 0.5)] ?? 0, p90: drawn[Math.floor(drawn.length * 0.9)] ?? 0 };
}

/**
 * Hill (1968): among n examples in order, the next one is as likely to fall into any of the n + 1 gaps. Whatever their
 * shape is, so nine of ten stay below P90. A run's weights of the gaps are drawn as in Rubin's Bayesian bootstrap.
 */
function gapCurve(sorted: readonly number[], random: Random): Curve {
  const tail = Math.max(deviation(sorted), LEAST_SPREAD);
  const knots = Float64Array.from([(sorted[0] ?? 0) - tail, ...sorted, (sorted.at(-1) ?? 0) + tail]);
  const below = new Float64Array(knots.length);
  for (let at = 1; at < knots.length; at += 1) below[at] = (below[at - 1] ?? 0) + exponential(random);
  const whole = below.at(-1) ?? 1;
  return new Curve(
    knots,
    below.map((sum) => sum / whole),
  );
}

/** Of few: logarithms are taken for normal, mean and spread being drawn from what they and the given values allow. */
function normalCurve(logs: readonly number[], { p50, p90 }: Usual, random: Random): Curve {
  const count = logs.length;
  const given = Math.log(Math.max(p50, 1));
  const spread = Math.max(Math.log(p90 / p50), LEAST_SPREAD) / T90;
  const mean = count === 0 ? given : logs.reduce((sum, log) => sum + log, 0) / count;
  const weight = WEIGHT + count;
  const squares =
    (DEGREES * spread ** 2) / (1 + 1 / WEIGHT) +
    logs.reduce((sum, log) => sum + (log - mean) ** 2, 0) +
    ((WEIGHT * count) / weight) * (mean - given) ** 2;
  const sigma = Math.sqrt(squares / chiSquare(random, DEGREES + count));
  const centre = (WEIGHT * given + count * mean) / weight + (sigma / Math.sqrt(weight)) * normal(random);
  return new Curve(
    NORMAL.z.map((z) => centre + sigma * z),
    NORMAL.below,
  );
}

/** The standard normal distribution by its knots; beyond three and a half deviations there is nothing. */
const NORMAL = (() => {
  const z = Float64Array.from({ length: 57 }, (_, at) => (at - 28) / 8);
  const below = new Float64Array(z.length);
  for (let at = 1; at < z.length; at += 1) {
    const middle = ((z[at - 1] ?? 0) + (z[at] ?? 0)) / 2;
    below[at] = (below[at - 1] ?? 0) + Math.exp((-middle * middle) / 2);
  }
  const whole = below.at(-1) ?? 1;
  return { z, below: below.map((sum) => sum / whole) };
})();

/** `ys` at `x`, where `xs` rise; at either end what is there. */
function interpolated(xs: Float64Array, ys: Float64Array, x: number): number {
  let [low, high] = [0, xs.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((xs[middle] ?? 0) < x) low = middle + 1;
    else high = middle;
  }
  const [left, right] = [xs[low - 1], xs[low] ?? 0];
  if (left === undefined || x >= right) return ys[low] ?? 0;
  const from = ys[low - 1] ?? 0;
  return from + (((ys[low] ?? 0) - from) * (x - left)) / (right - left);
}

function deviation(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}
