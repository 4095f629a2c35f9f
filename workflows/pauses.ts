/** Pauses of a workflow: how they grow, and how short they may be. */

/** Waits grow from the first to the longest, so that even weeks of them keep the history short. Milliseconds at scale 1. */
export interface Growing {
  readonly first: number;
  readonly longest: number;
}

/** The pause before look number `look`, from 0 on; in milliseconds at scale 1. */
export function growing({ first, longest }: Growing, look: number): number {
  return Math.min(first * 2 ** look, longest);
}

/** A pause at a scale, in milliseconds: below about a second the server fires no timer. */
export function pauseAt(scale: number, atScaleOneMs: number): number {
  return Math.max(atScaleOneMs * scale, 1_000);
}

/** Why a workflow pauses, as its timer's summary: at most 400 bytes (measured); a third of it stays readable on a timeline. */
export function summaryOf(reason: string): string {
  return reason.length <= 120 ? reason : `${reason.slice(0, 117)}…`;
}
