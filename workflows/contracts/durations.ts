/**
 * How long upgrades took that went well, by service and size: a section of the ledger. Milliseconds at scale 1: what was
 * learned in a rehearsal is told as long as it would have taken in earnest.
 */
import type { Section } from './ledger.js';
import type { Phase, UpgradeResult } from './upgrade.js';

/** So many of each class are kept, the latest: a cloud that has become slower is noticed. */
export const DURATIONS_KEPT = 64;
/** So many classes are kept; of more, those go that were learned from least lately. */
export const CLASSES_KEPT = 200;

/** Durations by class, oldest first in each; a class that was learned from lately stands behind the others. */
export type Durations = Readonly<Record<string, readonly number[]>>;

/** How long is usual, in milliseconds. */
export interface Usual {
  readonly p50: number;
  readonly p90: number;
}

/** One for each shard that has ended, never for each upgrade. */
export interface DurationsChange {
  readonly kind: 'learned';
  readonly durations: Durations;
}

export const durations: Section<Durations, DurationsChange> = {
  empty: {},
  apply: (state, change) => {
    if (change.kind === 'learned') return { state: learn(state, change.durations) };
    throw new Error(`durations know no change ${JSON.stringify((change as { kind: unknown }).kind)}: update Uplift`);
  },
  prune: (state) => state,
  table: (state) => ({
    head: ['service and size', 'known', 'median, minutes', 'longest'],
    rows: Object.entries(state).map(([name, list]) => {
      const sorted = list.toSorted((a, b) => a - b);
      const minutes = (ms = 0) => Math.round(ms / 6_000) / 10;
      return [name, list.length, minutes(sorted[sorted.length >> 1]), minutes(sorted.at(-1))];
    }),
  }),
};

/** Time in these says nothing of how long an upgrade takes. */
const IDLE: readonly Phase[] = ['Waiting', 'Held'];

/** The class of an upgrade; `size` is the provider's word, `null` where its API has none. */
export function durationClass(service: string, size: string | null): string {
  return `${service} ${size ?? '-'}`;
}

/** How long an upgrade was at work, milliseconds at scale 1; `null` unless it is one to learn from. */
export function workedMs({ outcome, phases = [], endedAt }: UpgradeResult, scale: number): number | null {
  if (outcome !== 'Succeeded') return null;
  const at = [...phases.map((phase) => Date.parse(phase.at)), Date.parse(endedAt)];
  const worked = phases.reduce(
    (sum, { phase }, index) => (IDLE.includes(phase) ? sum : sum + ((at[index + 1] ?? 0) - (at[index] ?? 0))),
    0,
  );
  return worked > 0 ? Math.round(worked / scale) : null;
}

/** What is known, with what was learned since. */
export function learn(known: Durations, more: Durations): Durations {
  const merged = new Map(Object.entries(known));
  for (const [name, learned] of Object.entries(more)) {
    const all = [...(merged.get(name) ?? []), ...learned];
    merged.delete(name);
    merged.set(name, all.slice(-DURATIONS_KEPT));
  }
  return Object.fromEntries([...merged].slice(-CLASSES_KEPT));
}
