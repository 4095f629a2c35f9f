/** Stops the submits of one account to one service when none of them gets an answer that can be read. */
import type { Clock } from './clock.js';

/** So many sends in a row without a readable answer are no accident of one resource. */
const TRIPS_AFTER = 5;
/** Then one is tried after the first pause, and after each further one that fails the pause doubles. At scale 1. */
const FIRST_PAUSE_MS = 30_000;
const LONGEST_PAUSE_MS = 10 * 60_000;

export interface CircuitOptions {
  readonly clock: Clock;
  /** `account a, ges`: for messages. */
  readonly name: string;
  readonly scale: number;
  /** One line, for operators. */
  readonly log: (line: string) => void;
}

/** Why nothing is sent now, and for how many milliseconds at least. */
export interface Blocked {
  readonly reason: string;
  readonly forMs: number;
}

/**
 * Closed until several sends in a row went unanswered. Each of those may have been accepted, so more of them would only
 * be more upgrades whose outcome has to be looked for; one at a time is tried until an answer comes.
 */
export class Circuit {
  private readonly options: CircuitOptions;
  private unanswered = 0;
  private last = '';
  private pauseMs = 0;
  private nextTryAt = -Infinity;
  /** The one send that is tried while it is open. */
  private trial: symbol | null = null;

  constructor(options: CircuitOptions) {
    this.options = options;
  }

  /** `null` while it is closed, and when one may be tried. */
  blocked(): Blocked | null {
    if (this.unanswered < TRIPS_AFTER) return null;
    const { clock, scale } = this.options;
    const untilTry = this.nextTryAt - clock.now();
    if (untilTry <= 0 && this.trial === null) return null;
    return { reason: this.describe(), forMs: Math.max(untilTry, FIRST_PAUSE_MS * scale * 0.1) };
  }

  /** Right before a send that `blocked` let through; its end has to be told, with what this returns. */
  trying(): symbol {
    const trial = Symbol('trial');
    if (this.unanswered >= TRIPS_AFTER) this.trial = trial;
    return trial;
  }

  /** The send ended with an answer that can be read, whatever it says. */
  answered(): void {
    const wasOpen = this.unanswered >= TRIPS_AFTER;
    this.unanswered = 0;
    this.pauseMs = 0;
    this.trial = null;
    if (wasOpen) this.options.log(`${this.options.name}: a submit was answered, so submits go on`);
  }

  /** The send may have arrived, and nobody knows. `what` is for people. */
  notAnswered(what: string, trial: symbol): void {
    const { clock, scale, log } = this.options;
    const isTry = this.trial === trial;
    this.unanswered += 1;
    this.last = what;
    if (isTry) this.trial = null;
    if (this.unanswered < TRIPS_AFTER) return;
    // Answers to sends that were under way when it opened say nothing new.
    if (this.unanswered > TRIPS_AFTER && !isTry) return;
    this.pauseMs = Math.min(this.pauseMs === 0 ? FIRST_PAUSE_MS : this.pauseMs * 2, LONGEST_PAUSE_MS);
    this.nextTryAt = clock.now() + this.pauseMs * scale;
    log(this.describe());
  }

  /** Nothing was sent after all. */
  notSent(trial: symbol): void {
    if (this.trial === trial) this.trial = null;
  }

  private describe(): string {
    const seconds = Math.max(0, Math.ceil((this.nextTryAt - this.options.clock.now()) / 1000));
    return `${this.options.name}: no submits, since the last ${this.unanswered} got no readable answer (${this.last}); one is tried in ${seconds} s`;
  }
}
