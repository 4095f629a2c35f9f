/** Seeded chance: the same seed gives the same forecast. */

/** 0 <= x < 1 */
export type Random = () => number;

/** sfc32, by Chris Doty-Humphrey; seeded by the hash of a text. */
export function randomOf(seed: string): Random {
  const hash = hashOf(seed);
  let [a, b, c, count] = [hash(), hash(), hash(), 1];
  const next = (): number => {
    const sum = (a + b + count) | 0;
    count = (count + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let warmUp = 0; warmUp < 12; warmUp += 1) next();
  return next;
}

/** Standard normal, by Box and Muller. */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Standard exponential. */
export function exponential(random: Random): number {
  return -Math.log(1 - random());
}

/** Chi-square with `degrees` >= 2 of freedom, by Marsaglia and Tsang (2000). */
export function chiSquare(random: Random, degrees: number): number {
  const d = degrees / 2 - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random()) < x * x * 0.5 + d - d * v + d * Math.log(v)) return 2 * d * v;
  }
}

/** 32 bits at a time: MurmurHash3's mixing of FNV-1a. */
function hashOf(text: string): () => number {
  let state = 0x811c9dc5;
  for (const char of text) state = Math.imul(state ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return (mixed ^ (mixed >>> 16)) | 0;
  };
}
