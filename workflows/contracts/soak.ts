/** Healthy time after a wave: what a plan asks for, what was observed of it, and how that is told. */

/** A plain GET from a worker: nothing secret stands in it, and no redirect is followed. */
export interface HttpProbe {
  readonly url: string;
  /** Milliseconds from the request to the whole answer. */
  readonly timeoutMs: number;
  /** The status that passes; left out: any 2xx. */
  readonly status?: number;
  /** The answer's body has to contain this. */
  readonly body?: string;
}

/** What a plan asks for, its time scale applied: milliseconds as they pass. At least one of the probes is there. */
export interface SoakPlan {
  readonly forMs: number;
  readonly everyMs: number;
  /** The most resources of the wave that one round reads, in turn; left out: health is not probed. */
  readonly health?: { readonly sample: number };
  readonly http?: HttpProbe;
}

/**
 * What a round of probes says. `unread`: nothing that counts was found out, so the clock stands still; `failing`: it
 * starts again from nothing.
 */
export type SoakVerdict = 'passing' | 'failing' | 'unread';

/** What was observed so far: what the activity beats and answers, and the next one goes on from. */
export interface SoakProgress {
  /** 1-based. */
  readonly wave: number;
  readonly healthyMs: number;
  /** `null` before the first round. */
  readonly verdict: SoakVerdict | null;
  /** Why, of the latest round. */
  readonly reason: string;
  /** How often healthy time was lost. */
  readonly restarts: number;
  /** Why it was lost the last time. */
  readonly lastRestart: { readonly at: string; readonly reason: string } | null;
  readonly rounds: number;
  /** ISO 8601, UTC: when the latest round ended. */
  readonly probedAt: string | null;
  /** Where the next sample begins. */
  readonly next: number;
  /** Workflow ids of upgrades whose resources did not pass when they were last read: in every sample until they do. */
  readonly suspects: readonly string[];
}

export interface SoakInput {
  readonly rollout: string;
  readonly rolloutRun: string;
  /** As `runKey`; older releases gave none. */
  readonly key?: string | undefined;
  /** 1-based. */
  readonly wave: number;
  /** How many shards the wave has. */
  readonly shards: number;
  /** How many of the wave reached their targets; an older release left it out. */
  readonly reached?: number;
  readonly soak: SoakPlan;
  readonly scale: number;
  /** What was observed before; `null` at first. */
  readonly before: SoakProgress | null;
  /** For so long another verdict is not told: a soak that flaps for a week has a short history all the same. */
  readonly quietMs: number;
}

export interface SoakResult extends SoakProgress {
  /** `false`: people are to be told of another verdict, or the activity ran for long. */
  readonly soaked: boolean;
}

export interface SoakSteps {
  /** Observes until the healthy time is reached, another verdict is to be told, or hours have passed. */
  soak(input: SoakInput): Promise<SoakResult>;
}

/** A wave's soak as the status tells it. */
export interface SoakStatus {
  readonly forMs: number;
  /**
   * `Skipped`: nothing of the wave was started. `Stopped`: the rollout was stopped meanwhile. `NotStarted`: the rollout
   * ended before it.
   */
  readonly state: 'Pending' | 'Running' | 'Done' | 'Waived' | 'Skipped' | 'Stopped' | 'NotStarted';
  readonly progress: SoakProgress | null;
  /** ISO 8601, UTC. */
  readonly startedAt: string | null;
  readonly endedAt: string | null;
}

/**
 * `12 min of 30 min healthy; the clock stands: graph-1: HTTP 502`. A rollout knows what its probing activity has answered,
 * so without that it does not say that nothing was probed.
 */
export function soakLabel({ forMs, progress }: Pick<SoakStatus, 'forMs' | 'progress'>): string {
  if (progress === null) return `${span(forMs)} healthy wanted`;
  const healthy = `${span(progress.healthyMs)} of ${span(forMs)} healthy`;
  if (progress.verdict === null) return `${healthy}; not probed yet`;
  const { restarts, lastRestart } = progress;
  const lost = restarts === 0 ? '' : `; started again ${restarts === 1 ? 'once' : `${restarts} times`}`;
  const last = lastRestart === null ? '' : `, last at ${lastRestart.at} because ${lastRestart.reason}`;
  switch (progress.verdict) {
    case 'passing':
      return `${healthy}${lost}${last}`;
    case 'failing':
      return `${healthy}${lost}; does not pass: ${progress.reason}`;
    case 'unread':
      return `${healthy}${lost}; the clock stands: ${progress.reason}`;
  }
}

/** The first moment at which it can be over, as far as was observed: epoch milliseconds; `null` before a first round. */
export function soakedAt({ forMs, progress }: Pick<SoakStatus, 'forMs' | 'progress'>): number | null {
  return progress?.probedAt == null ? null : Date.parse(progress.probedAt) + forMs - progress.healthyMs;
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const;

/** Rounded down, in at most two units: `30 min`, `1 h 30 min`, `0 s`. */
export function span(ms: number): string {
  const first = UNITS.findIndex(([, size]) => ms >= size);
  if (first < 0) return '0 s';
  let left = ms;
  const parts = UNITS.slice(first, first + 2).map(([unit, size]) => {
    const count = Math.floor(left / size);
    left -= count * size;
    return count === 0 ? '' : `${count} ${unit}`;
  });
  return parts.filter((part) => part !== '').join(' ');
}
