/** The truth record: what really happened at the simulated clouds, whatever any client believes. */

/** A submit that the cloud took in. More than one per resource is what must never happen. */
export interface AcceptedSubmit {
  /** Milliseconds since the epoch, on the simulator's clock. */
  readonly at: number;
  readonly family: string;
  readonly resource: string;
  readonly account: string;
  /** The new version of each component, as the cloud will show it. */
  readonly target: Readonly<Record<string, string>>;
  readonly requestId: string;
  readonly clientToken: string | null;
  /** The answer never got out whole: the client cannot know that this was accepted. */
  answerLost: boolean;
}

/** A submit that reached the service and was answered with an error of its own. */
export interface RefusedSubmit {
  readonly at: number;
  readonly family: string;
  readonly resource: string;
  readonly account: string;
  readonly code: string;
}

export type ViolationKind =
  /** A submit for a resource whose upgrade was still running. */
  | 'submit-while-running'
  /** A forced upgrade of a graph without running tasks. */
  | 'forced-without-cause'
  /** A submit against a dry run that would have failed. */
  | 'submit-against-failed-check'
  | 'unknown-field'
  | 'wrong-content-type'
  | 'wrong-accept'
  /** DELETE, PATCH, or another method that no API call here has. */
  | 'forbidden-method'
  | 'wrong-action'
  | 'client-token-too-long';

export interface Violation {
  readonly at: number;
  readonly kind: ViolationKind;
  readonly account: string | null;
  readonly detail: string;
}

export interface ResourceCounts {
  accepted: number;
  refused: number;
  /** Reads of the resource itself. */
  reads: number;
  /** Looks at jobs, action records, health and offers. */
  polls: number;
  dryRuns: number;
  /** Submits with a client token that had been seen: answered with the first result, nothing started. */
  replays: number;
}

/** JSON at `GET /_simulator/truth`. */
export interface Truth {
  submits: AcceptedSubmit[];
  refused: RefusedSubmit[];
  /** By resource id. */
  perResource: Record<string, ResourceCounts>;
  /** The most upgrades that ran at the same time; `byAccount` has keys `account/family`. */
  concurrentPeak: { overall: number; byAccount: Record<string, number> };
  /** The most calls within any 1000 ms of the simulator's clock, by account. */
  callsPerSecondPeak: Record<string, number>;
  /** As `callsPerSecondPeak`, of submits alone. */
  submitsPerSecondPeak: Record<string, number>;
  calls: number;
  /** Tokens that IAM gave out, by account. */
  logins: Record<string, number>;
  /** By `domain/user`. */
  refusedLogins: Record<string, number>;
  /** Counts by error code: of signatures and of tokens. */
  signatureFailures: Record<string, number>;
  violations: Violation[];
  /** `GET /what/was/asked`, with the number of times. */
  unknownPaths: Record<string, number>;
  /** Faults that really fired, by kind. */
  faults: Record<string, number>;
}

export function emptyTruth(): Truth {
  return {
    submits: [],
    refused: [],
    perResource: {},
    concurrentPeak: { overall: 0, byAccount: {} },
    callsPerSecondPeak: {},
    submitsPerSecondPeak: {},
    calls: 0,
    logins: {},
    refusedLogins: {},
    signatureFailures: {},
    violations: [],
    unknownPaths: {},
    faults: {},
  };
}

export function countsOf(truth: Truth, resource: string): ResourceCounts {
  return (truth.perResource[resource] ??= { accepted: 0, refused: 0, reads: 0, polls: 0, dryRuns: 0, replays: 0 });
}

/** Adds one to the count of `key`. */
export function count(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}

/** Resources with more than one accepted submit: empty, or a promise was broken. */
export function duplicates(truth: Truth): string[] {
  return Object.entries(truth.perResource)
    .filter(([, counts]) => counts.accepted > 1)
    .map(([resource]) => resource);
}

/** The highest number of calls within a sliding second, by account. Kept in memory: only the peak is on record. */
export class CallRates {
  readonly #recent = new Map<string, number[]>();

  /** Counts one more in `peaks`. */
  note(peaks: Record<string, number>, account: string, now: number): void {
    const recent = (this.#recent.get(account) ?? []).filter((at) => at > now - 1000);
    recent.push(now);
    this.#recent.set(account, recent);
    peaks[account] = Math.max(peaks[account] ?? 0, recent.length);
  }
}
