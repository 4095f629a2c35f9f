/** What a cloud's clock shows, learned from the `Date` of its answers (RFC 9110, 6.6.1): whole seconds, rounded down. */
import type { Clock } from '../clock.js';

/** By how much a cloud's clock is ahead of ours, in milliseconds: somewhere between the two. */
export interface ClockOffset {
  readonly least: number;
  readonly most: number;
}

/** An answer that is older than this says nothing of now. */
const FRESH_MS = 60_000;

export class CloudTime {
  private readonly clock: Clock;
  private latest: { readonly at: number; readonly offset: ClockOffset } | null = null;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** @param sentAt epoch milliseconds: when the request left; the answer is there now */
  learn(date: string | undefined, sentAt: number): void {
    const theirs = Date.parse(date ?? '');
    if (Number.isNaN(theirs)) return;
    const now = this.clock.now();
    this.latest = { at: now, offset: { least: theirs - now, most: theirs + 999 - sentAt } };
  }

  /** `null` when no answer of the last minute told. */
  offset(): ClockOffset | null {
    return this.latest !== null && this.clock.now() - this.latest.at <= FRESH_MS ? this.latest.offset : null;
  }
}
