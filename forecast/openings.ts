/** When the upgrades of a gate may start, as one list for all runs: asking the calendar is the costly part. */
import type { Gates } from '../calendar/gate.js';

/** So many openings are looked at: years of weekly ones. */
const MOST_OPENINGS = 400;

interface Span {
  readonly from: number;
  readonly until: number;
}

export class Openings {
  private readonly gates: Gates;
  private readonly gate: number;
  private readonly spans: Span[] = [];
  /** Up to where `spans` is complete; `Infinity` once nothing follows. */
  private known: number;
  /** Why nothing follows the last one; `null` while that is not known. */
  over: string | null = null;

  /** @param from epoch milliseconds: nothing before it is asked for */
  constructor(gates: Gates, gate: number, from: number) {
    this.gates = gates;
    this.gate = gate;
    this.known = from;
  }

  /** The first instant from `at` on at which an upgrade may start; `Infinity` for never. Epoch milliseconds. */
  next(at: number): number {
    while (this.known <= at) this.extend();
    for (;;) {
      const span = this.spans[this.firstEndingAfter(at)];
      if (span !== undefined) return Math.max(span.from, at);
      if (this.known === Infinity) return Infinity;
      this.extend();
    }
  }

  /** The end of the last opening, where there is one. */
  lastEnd(): number {
    return this.spans.at(-1)?.until ?? this.known;
  }

  private extend(): void {
    if (this.spans.length >= MOST_OPENINGS) {
      this.known = Infinity;
      this.over ??= `it would take more than ${MOST_OPENINGS} openings`;
      return;
    }
    const { open, until, over, reason } = this.gates.state(this.gate, this.known, true);
    const end = until === null ? Infinity : Date.parse(until);
    if (open) this.spans.push({ from: this.known, until: end });
    if (over) this.over = reason;
    this.known = over ? Infinity : end;
  }

  private firstEndingAfter(at: number): number {
    let [low, high] = [0, this.spans.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.spans[middle]?.until ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
