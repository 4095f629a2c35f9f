/** What the four steps share: their dependencies, the parsed target, heartbeats and the errors a workflow may see. */
import { activityInfo, Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { FAILURES } from '../workflows/contracts/errors.js';
import type { Account } from '../plan/accounts.js';
import type { StepInput } from '../workflows/contracts/steps.js';
import type { Operation } from '../workflows/contracts/upgrade.js';
import type { Hold, Run } from '../temporal/hold.js';
import type { BegunOf } from './begun.js';
import type { Clock } from './clock.js';
import type { FreezesOf } from './freeze.js';
import type { GatesOf } from './gate.js';
import { AccountError, CloudError } from './clouds/errors.js';
import type { CloudApi } from './clouds/port.js';
import type { Sessions } from './clouds/sessions.js';
import type { NotifyDeps } from './notify.js';
import type { Terminations } from './terminations.js';
import type { Transport } from './transport.js';
import type { UpgradedOf } from './upgraded.js';

export interface StepDeps extends NotifyDeps {
  readonly apis: readonly CloudApi[];
  readonly sessions: Sessions;
  readonly clock: Clock;
  /** Those of the accounts file, for steps that plan. */
  readonly accounts?: ReadonlyMap<string, Account>;
  /** Left out where there is no server to ask. */
  readonly terminations?: Terminations;
  /** The windows of a rollout that has some. */
  readonly gatesOf?: GatesOf;
  /** Whether a rollout had begun by its `startBy`; a rollout that has one cannot send without it. */
  readonly begunOf?: BegunOf;
  /** The freezes that hold; without it, there are none. */
  readonly freezesOf?: FreezesOf;
  /** What a wave has brought to its target; left out: as the server has it. */
  readonly upgradedOf?: UpgradedOf;
  /** For probes over HTTP, which share nothing with the clouds' connections. */
  readonly probes?: Transport;
  /** Why a rollout may send nothing now; `null` while it may. Without it, nothing holds one. */
  readonly holdOf?: (input: Pick<StepInput, 'rollout' | 'rolloutRun'>) => Promise<Hold | null>;
}

/**
 * Why the rollout is on hold, for what cannot go on now anyway: `null` while it is not, once it has ended, and where
 * nobody can tell, since then the next look asks again.
 */
export async function holdReason({ holdOf }: StepDeps, input: StepInput): Promise<string | null> {
  const hold = await holdOf?.(input).catch(() => null);
  return hold == null || hold.over ? null : hold.reason;
}

/**
 * The adapter and the parsed target of a step: validated where it was written, parsed again where it is used.
 *
 * @throws ApplicationFailure that may be retried when this worker is too old for the plan: another may be newer.
 */
export function apiAndTarget(deps: StepDeps, { spec }: StepInput): { api: CloudApi; target: unknown } {
  const api = deps.apis.find(({ service }) => service === spec.resource.service);
  if (api === undefined) throw outdated(`this worker knows no service ${spec.resource.service}: update it`);
  const target = api.target.safeParse(spec.target);
  if (!target.success) throw outdated(`this worker cannot read the target of ${spec.resource.id}: update it`);
  return { api, target: target.data };
}

function outdated(message: string): ApplicationFailure {
  return ApplicationFailure.create({ type: FAILURES.outdated, message });
}

/** By what an operation is known again: its id, or where there is none, when it began. */
export function nameOf({ id, since }: Operation): string {
  return id ?? since;
}

/** `false` for an answer that would come again however often one asks. */
export function isWorthRetrying(error: unknown): boolean {
  if (error instanceof AccountError) return false;
  if (!(error instanceof CloudError)) return false;
  return !['permanent', 'not-found', 'denied'].includes(error.errorClass);
}

/** The cloud's or the account's error of a read that failed; throws what is neither, and a cancellation. */
export function readFailure(error: unknown, signal?: AbortSignal): CloudError | AccountError {
  signal?.throwIfAborted();
  if (error instanceof CloudError || error instanceof AccountError) return error;
  throw error;
}

/** Between two attempts of a step, at scale 1: from the first, doubled each time, to the longest. */
const RETRY_MS = { first: 2_000, longest: 60_000 };

/**
 * A cloud's or an account's error as the workflow sees it: one line and a type. `mayEnd` is `false` for a step that
 * follows something already sent: then no error is final, and the server tries again for as long as it takes. The time
 * until then is drawn from the upper half of its bound, so that a thousand steps which failed together do not come back
 * together.
 */
export function asFailure(error: unknown, mayEnd: boolean, scale: number): unknown {
  if (!(error instanceof AccountError || error instanceof CloudError)) return error;
  const nonRetryable = mayEnd && !isWorthRetrying(error);
  const type = error instanceof AccountError ? FAILURES.account : nonRetryable ? FAILURES.refused : FAILURES.transient;
  const bound = Math.min(RETRY_MS.first * 2 ** (activityInfo().attempt - 1), RETRY_MS.longest) * scale;
  const nextRetryDelay = Math.ceil(bound * (0.5 + Math.random() / 2));
  return ApplicationFailure.create({ message: error.message, type, nonRetryable, nextRetryDelay });
}

/** No heartbeat time-out is below three times as much, whatever the scale. */
const SHORTEST_BEAT_MS = 1_000;

/**
 * Runs a step while beating to the server in the background: calls wait for the account's rate and for slow answers,
 * which must not look like a dead worker. `details` is read at each beat. The first one comes after `everyMs`, since the
 * server counts from the start, and a step that is over sooner is spared a write; one that fails leaves word of what it saw.
 */
export async function beating<T>(everyMs: number, details: () => unknown, step: () => Promise<T>): Promise<T> {
  const { heartbeat } = Context.current();
  const beat = () => {
    heartbeat(details());
  };
  const timer = setInterval(beat, Math.max(everyMs, SHORTEST_BEAT_MS));
  try {
    return await step();
  } catch (error) {
    beat();
    throw error;
  } finally {
    clearInterval(timer);
  }
}

/** The run that has scheduled the activity that asks. */
export function ownRun(): Run {
  const { workflowExecution } = activityInfo();
  if (workflowExecution === undefined) throw new Error('no workflow has scheduled this step');
  return workflowExecution;
}
