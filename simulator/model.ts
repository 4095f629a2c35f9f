/** What the simulator keeps: plain JSON, so that it can lie on disk and come back after a killed process. */
import type { Json } from '../workflows/contracts/json.js';

export type Cloud = 'huawei' | 'alibaba';

/** One access key and whose resources it reaches. The secret never leaves the process. */
export interface SimulatedCredentials {
  /** Name under which the truth record counts. */
  readonly account: string;
  readonly cloud: Cloud;
  /** Huawei: the project id. Alibaba: the account's uid. A key reaches the resources of its owner only. */
  readonly owner: string;
  readonly accessKeyId: string;
  readonly secret: string;
  /** Makes the key a temporary one: calls without it, or with another, are refused. */
  readonly securityToken?: string;
  /** Huawei: the user who may log in for a token of the same project. */
  readonly login?: { readonly user: string; readonly password: string; readonly domain: string };
}

/** How an upgrade of a resource ends. */
export type Fate =
  | 'succeeds'
  /** Fails, and ends on the old version: goes back by itself, or at CSE stays `UpgradeFailed`. */
  | 'rolls-back'
  /** Runs for ever, or for `stuckMs` and then succeeds. */
  | 'stuck'
  /** The job or record says success, the version is the old one. */
  | 'job-says-success-but-old-version'
  /** Ends on the new version, with a broken resource: GES status `300`, CSE `Unavailable`, DCS `ERROR`, Elasticsearch health `RED`. */
  | 'ends-broken'
  /** Elasticsearch: the dry run finds something, and a real submit starts nothing. Mended, it succeeds. */
  | 'precheck-fails';

export interface SimulatedResource {
  /** The service's family: `ges`, `elasticsearch`. */
  readonly family: string;
  readonly owner: string;
  readonly region: string;
  readonly id: string;
  readonly name: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Version of each component, in the service's own words: GES `{ graph }`, CSE `{ engine }`, Elasticsearch `{ engine, apack }`. */
  readonly versions: Readonly<Record<string, string>>;
  /** When somebody changed it by hand, in milliseconds: upgrades that had ended by then no longer show. */
  readonly changedAt?: number;
  /** The service's own status while no operation runs: `200`, `active`. */
  readonly status: string;
  /** How long an upgrade takes, and going back after it; milliseconds of the simulator's clock. */
  readonly durationMs: number;
  readonly rollbackMs: number;
  /** How long a stuck upgrade runs altogether; left out: for ever. */
  readonly stuckMs?: number;
  readonly fate: Fate;
  /** What only its own service knows of: failing checks, running tasks, offers. */
  readonly facts: Readonly<Record<string, Json>>;
}

/** An upgrade that the simulator took in. Where it stands follows from its fields and the time alone. */
export interface SimulatedOperation {
  readonly id: string;
  readonly family: string;
  readonly resource: string;
  readonly owner: string;
  /** `null`: not submitted through an API (somebody at the console). */
  readonly account: string | null;
  readonly from: Readonly<Record<string, string>>;
  /** The components that change, and their new versions. */
  readonly to: Readonly<Record<string, string>>;
  readonly fate: Fate;
  readonly acceptedAt: number;
  readonly durationMs: number;
  readonly rollbackMs: number;
  readonly stuckMs?: number;
  /** Until then no read shows it, and no guard of the cloud sees it either. */
  readonly visibleAt: number;
  /** From then on no job, list or record knows of it; `null`: never. */
  readonly recordsGoneAt: number | null;
  readonly requestId: string;
  readonly clientToken: string | null;
}

export type Stage =
  'pending' | 'running' | 'rolling-back' | 'succeeded' | 'rolled-back' | 'succeeded-in-name-only' | 'broken';

const PENDING_SHARE = 0.05;

/** Where an operation stands at `now`: the state machine that all services share. */
export function stageOf(operation: SimulatedOperation, now: number): Stage {
  const elapsed = now - operation.acceptedAt;
  if (elapsed < operation.durationMs * PENDING_SHARE) return 'pending';
  if (elapsed < runsFor(operation)) return 'running';
  switch (operation.fate) {
    case 'succeeds':
    case 'precheck-fails':
    case 'stuck':
      return 'succeeded';
    case 'ends-broken':
      return 'broken';
    case 'job-says-success-but-old-version':
      return 'succeeded-in-name-only';
    case 'rolls-back':
      return elapsed < operation.durationMs + operation.rollbackMs ? 'rolling-back' : 'rolled-back';
  }
}

function runsFor({ fate, durationMs, stuckMs = Infinity }: SimulatedOperation): number {
  return fate === 'stuck' ? stuckMs : durationMs;
}

export function isRunning(stage: Stage): boolean {
  return stage === 'pending' || stage === 'running' || stage === 'rolling-back';
}

/** When the operation's job reached its end; `null` while it runs. */
export function endedAt(operation: SimulatedOperation, now: number): number | null {
  const stage = stageOf(operation, now);
  if (isRunning(stage)) return null;
  return operation.acceptedAt + runsFor(operation) + (stage === 'rolled-back' ? operation.rollbackMs : 0);
}

/** 0..99 while it runs, 100 afterwards. */
export function percentOf(operation: SimulatedOperation, now: number): number {
  if (!isRunning(stageOf(operation, now))) return 100;
  return Math.min(99, Math.floor(((now - operation.acceptedAt) / operation.durationMs) * 100));
}

/** The versions that `operations` have left the resource at. */
export function versionsAt(
  resource: SimulatedResource,
  operations: readonly SimulatedOperation[],
  now: number,
): Readonly<Record<string, string>> {
  let versions = resource.versions;
  for (const operation of operations) {
    const stage = stageOf(operation, now);
    if (stage === 'succeeded' || stage === 'broken') versions = { ...versions, ...operation.to };
  }
  return versions;
}
