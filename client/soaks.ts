/** Soaks as they are now: what the probing activity last beat is fresher than what its rollout was told. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { tsToMs } from '@temporalio/common/lib/time.js';
import type { RolloutStatus, WavePlan } from '../workflows/contracts/rollout.js';
import { soakLabel, type SoakProgress, type SoakSteps, type SoakStatus } from '../workflows/contracts/soak.js';
import { decoded } from './server-reads.js';

/** The soak that a rollout waits for just now. */
export interface LiveSoak {
  /** `null` before the first beat of this attempt. */
  readonly progress: SoakProgress | null;
  /** Why the clock stands although nothing was seen to fail; `null` while somebody probes. */
  readonly unobserved: string | null;
}

const STEP: keyof SoakSteps = 'soak';
/** A worker beats more often than this, whatever the scale. */
const SILENT_MS = 60_000;

/** `null` while no wave soaks. */
export async function liveSoak(client: Client, run: WorkflowExecutionDescription): Promise<LiveSoak | null> {
  const pending = run.raw.pendingActivities?.find(({ activityType }) => activityType?.name === STEP);
  if (pending === undefined) return null;
  const beat = (await decoded(client, pending.heartbeatDetails?.payloads)) as SoakProgress | undefined;
  const { lastStartedTime, lastHeartbeatTime } = pending;
  const failure = pending.lastFailure?.message;
  const lastWord = Math.max(...[lastStartedTime, lastHeartbeatTime].map((at) => (at == null ? 0 : tsToMs(at))));
  const isTaken = pending.state === PENDING_STARTED && Date.now() - lastWord < SILENT_MS;
  const why = (pending.attempt ?? 1) > 1 && failure ? ` (${failure})` : '';
  return { progress: beat ?? null, unobserved: isTaken ? null : `no worker probes just now${why}` };
}

/** temporal.api.enums.v1.PendingActivityState */
const PENDING_STARTED = 2;

/** A rollout's word, with what is known since. */
export function withLiveSoak<
  Told extends Pick<RolloutStatus, 'reason' | 'waves' | 'approval'> & { readonly state: string },
>(told: Told, live: LiveSoak | null): Told {
  const at = told.waves.findIndex(({ soak }) => soak?.state === 'Running');
  const wave = told.waves[at];
  if (live === null || wave?.soak === undefined) return told;
  const soak: SoakStatus = { ...wave.soak, progress: live.progress ?? wave.soak.progress };
  const waves = told.waves.map((one, index) => (index === at ? { ...one, soak } : one));
  if (told.state !== 'Waiting') return { ...told, waves };
  const stands = live.unobserved === null ? '' : `; the clock stands: ${live.unobserved}`;
  return { ...told, waves, reason: `soak of wave ${wave.name}: ${soakLabel(soak)}${stands}` };
}

/** Of a rollout that no worker speaks for: the one that runs, as far as the server knows it. */
export function serversSoak(
  plans: readonly WavePlan[],
  live: LiveSoak | null,
  at: number,
): { readonly soak?: SoakStatus } {
  const plan = plans[at]?.soak;
  if (plan === undefined || live === null || live.progress?.wave !== at + 1) return {};
  return { soak: { forMs: plan.forMs, state: 'Running', progress: live.progress, startedAt: null, endedAt: null } };
}

/** Of a rollout that was terminated, as it last told it: nobody observes any more, and what was to come does not. */
export function endedSoak(told: SoakStatus | undefined): { readonly soak?: SoakStatus } {
  if (told === undefined) return {};
  const state = told.state === 'Running' ? 'Stopped' : told.state === 'Pending' ? 'NotStarted' : told.state;
  return { soak: { ...told, state } };
}
