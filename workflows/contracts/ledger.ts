/**
 * What outlives rollouts: kept in one long-lived `ledger` workflow for each section, `ledger/freezes` and so on.
 *
 * A section's state is its run's input plus the changes that were signalled since, folded by the section's own pure
 * function. The workflow folds so only to carry on under a new run, once a run has many changes; whoever reads folds the
 * same from the history. So a change holds from the moment that the server has it, and no worker is needed for either.
 *
 * A new section is a file here that exports a `Section`, and one line in `sections.ts`. Nothing else knows sections by
 * name: they are written and read by `temporal/ledger.ts`. Its state is one payload, so it is bounded (below 1 MB) and
 * says by what.
 */

/** What a section does with a change. */
export type Applied<State> = { readonly state: State } | { readonly refused: string };

export interface Section<State, Change> {
  readonly empty: State;
  /**
   * Pure and total, the same for all who fold: it may read no clock, and a change's kind keeps its meaning for ever.
   * Saying `refused` changes nothing, and the writer is told why.
   *
   * @throws Error for a kind of change that this release does not know: an older worker must not lose what a newer client wrote
   */
  apply(state: State, change: Change, entry: EntryHead): Applied<State>;
  /** What need not be carried on any more, when a run begins. `now`: epoch milliseconds. */
  prune(state: State, now: number): State;
  /** For the section's page in the Temporal UI: a table's head and its rows. */
  table(state: State): { readonly head: readonly string[]; readonly rows: readonly (readonly (string | number)[])[] };
}

export interface EntryHead {
  /** One that was handled before is not applied again. */
  readonly requestId: string;
  /** ISO 8601, UTC, by the writer's clock. */
  readonly at: string;
}

/** A change as it is signalled. */
export interface LedgerEntry<Change = unknown> extends EntryHead {
  readonly change: Change;
}

/** What became of an entry. */
export interface Handled {
  readonly requestId: string;
  /** Why it changed nothing. */
  readonly refused?: string;
}

/** A section as of some moment. */
export interface Kept<State = unknown> {
  readonly state: State;
  /** Of the latest entries, oldest first. */
  readonly handled: readonly Handled[];
}

export interface LedgerInput extends Kept {
  readonly section: string;
}

/**
 * After so many changes a run is followed by another one: its history stays small enough to be read as a whole. Another
 * number would need a `patched()`, since runs that have begun would not replay.
 */
export const CHANGES_PER_RUN = 200;
/** Entries that are known again when they come twice; a writer tries again within seconds. */
const HANDLED_KEPT = 500;

/** The section after these entries, in their order. */
export function fold<State, Change>(
  section: Section<State, Change>,
  kept: Kept<State>,
  entries: readonly LedgerEntry<Change>[],
): Kept<State> {
  let { state } = kept;
  const handled = new Map(kept.handled.map((one) => [one.requestId, one]));
  for (const entry of entries) {
    // A signal that no client of ours sent.
    if (typeof entry?.requestId !== 'string' || typeof entry.change !== 'object' || entry.change === null) continue;
    const { requestId, at, change } = entry;
    if (handled.has(requestId)) continue;
    const applied = section.apply(state, change, { requestId, at });
    if ('state' in applied) state = applied.state;
    handled.set(requestId, 'refused' in applied ? { requestId, refused: applied.refused } : { requestId });
  }
  return { state, handled: [...handled.values()].slice(-HANDLED_KEPT) };
}
