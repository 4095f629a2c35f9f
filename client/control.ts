/** A person's hand on a rollout: pause, resume, stop, skip, concurrency, and trying again what did not go well. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { inputOf, mapAtOnce } from '../temporal/reads.js';
import {
  type ConcurrencyRequest,
  type ControlRequest,
  type DecisionRequest,
  type SkipRequest,
  type WaiveRequest,
  whyNoQuorum,
} from '../workflows/contracts/control.js';
import { rolloutWorkflowId, shardWorkflowId, upgradeWorkflowId } from '../workflows/contracts/ids.js';
import { MESSAGES } from '../workflows/contracts/messages.js';
import { SHARD_SIZE, type RolloutInput, type RolloutStatus } from '../workflows/contracts/rollout.js';
import { FAILED_OUTCOMES, type Outcome, type UpgradeSpec } from '../workflows/contracts/upgrade.js';
import { partLists, upgradesOf } from './inventory.js';
import { describeRollout, rolloutStatus, startRollout, type StartedRollout } from './rollouts.js';
import { rolloutRows, startedAs } from './rows.js';
import { ask, describeRun } from './server-reads.js';
import { NotTakenError, takenUpdate } from './upgrades.js';
import { goodIn, hasEnded, isGood } from './views.js';

export interface Signed {
  readonly actor: string;
  readonly reason: string;
}

/** How long a worker may take to confirm what the server has. */
export const CONFIRMED_WITHIN_MS = 10_000;
const ASK_MS = 2_000;

/**
 * Pauses, resumes or stops a rollout. The server keeps the word, so it holds from the moment that a worker is up.
 *
 * @returns whether a worker has heard it within seconds
 * @throws UnknownRolloutError; NotTakenError when the rollout has ended
 */
export async function control(
  client: Client,
  rollout: string,
  act: Omit<ControlRequest, 'requestId'>,
): Promise<{ readonly requestId: string; readonly heard: boolean }> {
  const run = await running(client, rollout);
  const requestId = await sendControl(client, run, act);
  return { requestId, heard: await isHeard(client, run, requestId, Date.now() + CONFIRMED_WITHIN_MS) };
}

/** A run of a rollout, by its workflow id. */
export interface RolloutRun {
  readonly workflowId: string;
  readonly runId: string;
}

/**
 * Sends the act to a rollout's run, without waiting for a worker.
 *
 * @returns the id under which the rollout tells that it has heard it
 * @throws WorkflowNotFoundError when that run has ended
 */
export async function sendControl(
  client: Client,
  { workflowId, runId }: RolloutRun,
  act: Omit<ControlRequest, 'requestId'>,
): Promise<string> {
  const request: ControlRequest = { requestId: randomUUID(), ...act };
  await client.workflow.getHandle(workflowId, runId).signal(MESSAGES.control, request);
  return request.requestId;
}

/** Whether a worker has heard what was sent; asked at least once, and until that moment (epoch ms) while it has not. */
export async function isHeard(client: Client, run: RolloutRun, requestId: string, until: number): Promise<boolean> {
  for (;;) {
    const told = await ask<RolloutStatus>(client, run, MESSAGES.rolloutStatus, ASK_MS);
    if (told?.acts?.some((one) => one.requestId === requestId) === true) return true;
    // A rollout that has nothing in flight ends right after its stop.
    if ((await describeRun(client, run.workflowId, run.runId))?.status.name !== 'RUNNING') return true;
    if (Date.now() >= until) return false;
    await delay(200);
  }
}

/**
 * Leaves a resource, or what has not started of a wave, out.
 *
 * @param what a wave's name, or a resource's id
 * @returns what follows
 * @throws UnknownRolloutError; NotTakenError saying why not
 */
export async function skip(
  client: Client,
  rollout: string,
  what: { readonly wave: string } | { readonly resource: string },
  signed: Signed,
): Promise<string> {
  const run = await running(client, rollout);
  const input = await inputOf<RolloutInput>(client, run.workflowId, run.runId);
  const request: SkipRequest =
    'wave' in what
      ? { ...signed, wave: waveNumber(input, what.wave), upgrade: null }
      : { ...signed, ...(await findUpgrade(client, input, what.resource)) };
  const { wave, upgrade } = request;
  if (upgrade === null) return takenUpdate<string>(client, run.workflowId, MESSAGES.skip, request);
  const shard = shardWorkflowId(input.rollout, run.runId, wave, upgrade.shard);
  const before = await startedAs(client, shard, upgrade.workflowId);
  if (before !== null)
    throw new NotTakenError(`${upgrade.title} is ${before}: only what has not started can be skipped`);
  const answer = await takenUpdate<string>(client, run.workflowId, MESSAGES.skip, request);
  const after = await startedAs(client, shard, upgrade.workflowId);
  return after === null || after === 'Skipped' ? answer : `${upgrade.title} had started just before: it goes on`;
}

/**
 * Sets how many upgrades may be in flight: in one wave, or in the running one and all after it.
 *
 * @returns what follows
 * @throws UnknownRolloutError; NotTakenError saying why not
 */
export async function setConcurrency(
  client: Client,
  rollout: string,
  { concurrency, wave }: { readonly concurrency: number; readonly wave: string | null },
  signed: Signed,
): Promise<string> {
  const run = await running(client, rollout);
  const input = await inputOf<RolloutInput>(client, run.workflowId, run.runId);
  const number = wave === null ? null : waveNumber(input, wave);
  const request: ConcurrencyRequest = { ...signed, wave: number, concurrency };
  return takenUpdate<string>(client, run.workflowId, MESSAGES.setConcurrency, request);
}

/**
 * Approves or rejects what a rollout, or one of its waves, needs before it begins.
 *
 * @param looked the wave, or `null` for what it waits for now; and the digest of the plan that was looked at, or its
 *   beginning
 * @returns what follows
 * @throws UnknownRolloutError; NotTakenError saying why not
 */
export async function decide(
  client: Client,
  rollout: string,
  decision: DecisionRequest['decision'],
  { wave, digest }: { readonly wave: string | null; readonly digest: string | null },
  signed: Signed,
): Promise<string> {
  const run = await running(client, rollout);
  const input = await inputOf<RolloutInput>(client, run.workflowId, run.runId);
  if (digest !== null && !input.planDigest.startsWith(digest)) {
    throw new NotTakenError(
      `the plan of ${rollout} is ${input.planDigest.slice(0, 12)}, not ${digest}: look at it again`,
    );
  }
  const request: DecisionRequest = {
    ...signed,
    decision,
    planDigest: input.planDigest,
    ...(wave === null ? {} : { wave: waveNumber(input, wave) }),
  };
  return takenUpdate<string>(client, run.workflowId, MESSAGES.decide, request);
}

/**
 * Waives the rest of a wave's soak.
 *
 * @param wave its name, or `null` for the one that runs now
 * @returns what follows
 * @throws UnknownRolloutError; NotTakenError saying why not
 */
export async function waive(client: Client, rollout: string, wave: string | null, signed: Signed): Promise<string> {
  const run = await running(client, rollout);
  const input = await inputOf<RolloutInput>(client, run.workflowId, run.runId);
  const request: WaiveRequest = { ...signed, ...(wave === null ? {} : { wave: waveNumber(input, wave) }) };
  return takenUpdate<string>(client, run.workflowId, MESSAGES.waive, request);
}

/** Which upgrades of an ended rollout are tried again. */
export const RETRIED: Readonly<Record<'failed' | 'skipped', readonly Outcome[]>> = {
  failed: FAILED_OUTCOMES,
  skipped: ['Skipped', 'NotStarted'],
};

/**
 * Starts a new rollout of what did not go well in one that has ended: the same plan, the same pinned targets, linked to
 * its parent.
 *
 * @throws UnknownRolloutError; NotTakenError when it still runs, nothing is left to try, what is tried waits for what is
 *   not, or nobody is left who may approve it
 */
export async function retry(
  client: Client,
  rollout: string,
  which: readonly (keyof typeof RETRIED)[],
  { actor, reason }: Signed,
): Promise<StartedRollout & { readonly upgrades: number }> {
  const run = await describeRollout(client, rollout);
  const view = await rolloutStatus(client, rollout);
  if (!hasEnded(view)) {
    throw new NotTakenError(`rollout ${rollout} is ${view.state}: only what has ended is tried again (stop it first)`);
  }
  const input = await inputOf<RolloutInput>(client, run.workflowId, run.runId);
  const rows = await rolloutRows(client, rollout);
  const outcomes = which.flatMap((one) => RETRIED[one]);
  const wanted = new Set(
    rows
      .filter(({ outcome }) => outcome !== null && !isGood(outcome) && outcomes.includes(outcome))
      .map((row) => row.workflowId),
  );
  if (wanted.size === 0) throw new NotTakenError(`nothing of ${rollout} is left to be tried again`);

  const lists = await mapAtOnce(input.waves, (wave) => upgradesOf(client, wave));
  const isWanted = (spec: UpgradeSpec) => wanted.has(upgradeWorkflowId(spec.resource));
  const waves = input.waves
    .map(({ parts: _parts, ...wave }, at) => ({ ...wave, upgrades: (lists[at] ?? []).filter(isWanted) }))
    .filter(({ upgrades }) => upgrades.length > 0);
  const startedBy = [...new Set([input.startedBy, ...(input.retryOf?.startedBy ?? [])])];
  checkApprovals([input, ...waves], actor, startedBy);
  const isGoodNow = new Set(rows.filter(({ outcome }) => isGood(outcome)).map((row) => row.workflowId));
  checkProviders(lists.flat(), (id) => (wanted.has(id) ? 'wanted' : isGoodNow.has(id) ? 'good' : 'missed'));
  const started = await startRollout(client, {
    ...input,
    rollout: await freeName(client, rollout),
    startedBy: actor,
    waves,
    ...(input.minSuccess === undefined ? {} : { minSuccess: Math.max(input.minSuccess - goodIn(view.counts), 1) }),
    ...(input.windows === undefined ? {} : { windows: { ...input.windows, since: new Date().toISOString() } }),
    retryOf: { rollout, runId: run.runId, reason, startedBy },
  });
  return { ...started, upgrades: wanted.size };
}

/** @throws NotTakenError when too few are left who may approve what needs approval */
function checkApprovals(
  gated: readonly Pick<RolloutInput, 'approval'>[],
  actor: string,
  before: readonly string[],
): void {
  for (const { approval } of gated) {
    const why = approval === undefined ? null : whyNoQuorum(approval, actor, before);
    if (why !== null) throw new NotTakenError(`${why}: let somebody else retry it`);
  }
}

/** @throws NotTakenError when something is wanted before what it waits for has reached its target */
function checkProviders(
  specs: readonly UpgradeSpec[],
  standing: (workflowId: string) => 'wanted' | 'good' | 'missed',
): void {
  const missed = new Map<string, UpgradeSpec>();
  for (const spec of specs) {
    if (standing(upgradeWorkflowId(spec.resource)) !== 'missed') continue;
    for (const name of spec.provides ?? []) missed.set(name, spec);
  }
  for (const { resource, after = [] } of specs) {
    if (standing(upgradeWorkflowId(resource)) !== 'wanted') continue;
    const provider = after.map((name) => missed.get(name)).find((one) => one !== undefined);
    if (provider !== undefined) {
      const { id } = provider.resource;
      throw new NotTakenError(`${resource.id} waits for ${id}, which did not reach its target: retry it as well`);
    }
  }
}

/** `spring-1a2b3c4d-retry-1`, or the next number that no rollout has. */
async function freeName(client: Client, rollout: string): Promise<string> {
  const root = rollout.replace(/-retry-\d+$/, '');
  for (let number = 1; ; number += 1) {
    const name = `${root}-retry-${number}`;
    if ((await describeRun(client, rolloutWorkflowId(name))) === null) return name;
  }
}

async function running(client: Client, rollout: string): Promise<RolloutRun> {
  const { workflowId, runId, status } = await describeRollout(client, rollout);
  if (status.name !== 'RUNNING' && status.name !== 'PAUSED') {
    throw new NotTakenError(
      `rollout ${rollout} has ended (\`uplift retry ${rollout}\` tries again what did not go well)`,
    );
  }
  return { workflowId, runId };
}

function waveNumber(input: RolloutInput, name: string): number {
  const at = input.waves.findIndex((wave) => wave.name === name);
  if (at >= 0) return at + 1;
  const names = input.waves.map((wave) => `"${wave.name}"`).join(', ');
  throw new NotTakenError(`there is no wave "${name}" (there are ${names})`);
}

/** Where a resource stands in the rollout: its wave and its shard. */
async function findUpgrade(
  client: Client,
  input: RolloutInput,
  resource: string,
): Promise<Pick<SkipRequest, 'wave' | 'upgrade'>> {
  const found: Pick<SkipRequest, 'wave' | 'upgrade'>[] = [];
  for (const [at, wave] of input.waves.entries()) {
    const lists = await partLists(client, wave, SHARD_SIZE);
    lists.forEach((list, shard) => {
      for (const spec of list) {
        const workflowId = upgradeWorkflowId(spec.resource);
        if (spec.resource.id !== resource && workflowId !== resource) continue;
        found.push({ wave: at + 1, upgrade: { shard: shard + 1, workflowId, title: spec.resource.id } });
      }
    });
  }
  const [one, ...more] = found;
  if (one === undefined)
    throw new NotTakenError(`${resource} is no resource of this rollout (\`uplift status --all\`)`);
  if (more.length > 0) {
    const ids = found.map(({ upgrade }) => upgrade?.workflowId).join(', ');
    throw new NotTakenError(`several resources are called ${resource}: name one of ${ids}`);
  }
  return one;
}
