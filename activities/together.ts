import type { Clock } from './clock.js';

/** One question for all who ask before it is put: nobody is given an answer that is older than his question. */
export class Together<T> {
  private readonly clock: Clock;
  private readonly spacingMs: number;
  private readonly put: () => Promise<T>;
  /** Until the next question may be put. */
  private spacing: Promise<unknown> = Promise.resolve();
  private next: Promise<T> | null = null;

  /** @param spacingMs between two questions; 0: the next one is put as soon as the last one is answered */
  constructor(clock: Clock, spacingMs: number, put: () => Promise<T>) {
    this.clock = clock;
    this.spacingMs = spacingMs;
    this.put = put;
  }

  /** @throws what the question throws, to all who share it */
  answer(): Promise<T> {
    this.next ??= this.spacing.then(() => {
      this.next = null;
      const answer = this.put();
      const pause = this.spacingMs === 0 ? [] : [this.clock.sleep(this.spacingMs)];
      this.spacing = Promise.all([answer.catch(() => null), ...pause]);
      return answer;
    });
    return this.next;
  }
}
