import type { Standing } from './port.js';

/**
 * A dotted version against a target, number by number, for as many numbers as the target has: `6.7.0` is at `6.7`.
 * A number that the version lacks counts as 0. `not-comparable` when either is no dotted number.
 */
export function compareDotted(version: string, target: string): Standing {
  const have = numbers(version);
  const want = numbers(target);
  if (have === null || want === null) return 'not-comparable';
  for (const [index, wanted] of want.entries()) {
    const difference = (have[index] ?? 0) - wanted;
    if (difference !== 0) return difference < 0 ? 'below' : 'above';
  }
  return 'at';
}

function numbers(version: string): number[] | null {
  return /^\d+(\.\d+)*$/.test(version) ? version.split('.').map(Number) : null;
}
