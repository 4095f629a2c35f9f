import type { Clock } from './clock.js';

/** One read for all who ask before it begins: nobody is given an answer that is older than his question. */
export class CoalescedRead<T> {
  private readonly clock: Clock;
  private readonly spacingMs: number;
  private readonly read: () => Promise<T>;
  /** Until the next read may begin. */
  private spacing: Promise<unknown> = Promise.resolve();
  private next: Promise<T> | null = null;

  /** @param spacingMs between two reads; 0: the next one begins as soon as the last one has ended */
  constructor(clock: Clock, spacingMs: number, read: () => Promise<T>) {
    this.clock = clock;
    this.spacingMs = spacingMs;
    this.read = read;
  }

  /** @throws what the read throws, to all who share it */
  answer(): Promise<T> {
    this.next ??= this.spacing.then(() => {
      this.next = null;
      const answer = this.read();
      const pause = this.spacingMs === 0 ? [] : [this.clock.sleep(this.spacingMs)];
      this.spacing = Promise.all([answer.catch(() => null), ...pause]);
      return answer;
    });
    return this.next;
  }
}
