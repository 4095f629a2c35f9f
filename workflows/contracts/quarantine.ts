/** Resources whose upgrades keep failing: a section of the ledger. A rollout leaves them out until a person looks. */
import { heardWords } from './control.js';
import type { Applied, EntryHead, Section } from './ledger.js';

/** What is known of a resource whose latest upgrades failed. */
export interface Failing {
  /** In a row; 0 once a person has released it. */
  readonly failures: number;
  /** ISO 8601, UTC: of the first of them. */
  readonly since: string;
  /** The latest of them. */
  readonly last: { readonly rollout: string; readonly reason: string; readonly at: string };
  readonly released?: { readonly by: string; readonly reason: string; readonly at: string };
}

/** By the upgrade's workflow id, which stands for the resource. */
export type Quarantine = Readonly<Record<string, Failing>>;

export type QuarantineChange =
  | {
      /** One for each shard that has ended with news, never for each upgrade. */
      readonly kind: 'ended';
      readonly rollout: string;
      /** Failures after something was sent or should have been; a refused precheck has harmed nothing. */
      readonly failed: readonly { readonly workflowId: string; readonly reason: string }[];
      /** Of those that had failed before. */
      readonly recovered: readonly string[];
    }
  | { readonly kind: 'release'; readonly workflowId: string; readonly by: string; readonly reason: string };

/** What a plan does that does not say how many failures in a row are too many. */
export const QUARANTINE_AFTER = 3;
/** So many are kept: of more, those go that have failed least often and longest ago. With short reasons, 200 KB at most. */
export const MOST_FAILING = 500;
const LONGEST_REASON = 160;
const KEPT_MS = 180 * 86_400_000;

export const quarantine: Section<Quarantine, QuarantineChange> = {
  empty: {},
  apply: (state, change, entry) => {
    switch (change.kind) {
      case 'ended':
        return ended(state, change, entry);
      case 'release':
        return released(state, change, entry);
      default:
        throw new Error(
          `quarantine knows no change ${JSON.stringify((change as { kind: unknown }).kind)}: update Uplift`,
        );
    }
  },
  prune: (state, now) =>
    Object.fromEntries(Object.entries(state).filter(([, { last }]) => Date.parse(last.at) > now - KEPT_MS)),
  table: (state) => ({
    head: ['upgrade', 'failures in a row', 'since', 'latest', 'released'],
    rows: Object.entries(state)
      .slice(-50)
      .map(([workflowId, { failures, since, last, released: done }]) => [
        workflowId,
        failures,
        since,
        `${last.rollout}: ${last.reason}`,
        done === undefined ? '' : `${done.at} by ${done.by}: ${done.reason}`,
      ]),
  }),
};

function ended(
  state: Quarantine,
  { rollout, failed, recovered }: Extract<QuarantineChange, { kind: 'ended' }>,
  { at }: EntryHead,
): Applied<Quarantine> {
  const all = new Map(Object.entries(state));
  for (const workflowId of recovered) all.delete(workflowId);
  for (const { workflowId, reason } of failed) {
    const before = all.get(workflowId);
    const failures = (before?.failures ?? 0) + 1;
    const last = { rollout, at, reason: reason.slice(0, LONGEST_REASON) };
    all.set(workflowId, { failures, since: before === undefined || failures === 1 ? at : before.since, last });
  }
  const kept = [...all].toSorted(([, a], [, b]) => b.failures - a.failures || (a.last.at < b.last.at ? 1 : -1));
  return { state: Object.fromEntries(kept.slice(0, MOST_FAILING)) };
}

/** Whoever looked at it says why it may be tried again. */
function released(
  state: Quarantine,
  { workflowId, by, reason }: Extract<QuarantineChange, { kind: 'release' }>,
  { at }: EntryHead,
): Applied<Quarantine> {
  const failing = state[workflowId];
  if (failing === undefined || failing.failures === 0)
    return { refused: `nothing is known of failures of ${workflowId}` };
  return {
    state: {
      ...state,
      [workflowId]: { ...failing, failures: 0, released: { by: heardWords(by), reason: heardWords(reason), at } },
    },
  };
}

/** `in quarantine after 3 failures in a row since …, the latest in spring-1a2b3c4d: …` */
export function quarantineLabel({ failures, since, last }: Failing): string {
  return `in quarantine after ${failures} failure${failures === 1 ? '' : 's'} in a row since ${since}, the latest in ${last.rollout}: ${last.reason}`;
}
