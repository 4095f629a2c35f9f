import { createHash } from 'node:crypto';

/**
 * Seeded chance without a state: the same parts give the same answer, in whatever order requests arrive.
 */
export function digest(...parts: readonly (string | number)[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** 0 <= x < 1 */
export function fraction(...parts: readonly (string | number)[]): number {
  return Number.parseInt(digest(...parts).slice(0, 12), 16) / 2 ** 48;
}

export function pick<T>(choices: readonly [T, ...T[]], ...parts: readonly (string | number)[]): T {
  return choices[Math.floor(fraction(...parts) * choices.length)] ?? choices[0];
}

/** Shaped like a version 4 UUID. */
export function uuid(...parts: readonly (string | number)[]): string {
  const hex = digest(...parts);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
