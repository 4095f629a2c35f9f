/** A person's hand on a rollout: pause, resume, stop, skip, concurrency, approvals. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { inputOf } from '../temporal/reads.js';
import { signedCommand } from '../workflows/contracts/commands.js';
import {
  type ConcurrencyRequest,
  type ControlRequest,
  type DecisionRequest,
  type SkipRequest,
  type WaiveRequest,
  whyUnsigned,
} from '../workflows/contracts/control.js';
import { shardWorkflowId, upgradeWorkflowId } from '../workflows/contracts/ids.js';
import { MESSAGES } from '../workflows/contracts/messages.js';
import { SHARD_SIZE, type RolloutInput, type RolloutStatus } from '../workflows/contracts/rollout.js';
import { partLists } from './inventory.js';
import { rolloutStatus } from './rollouts.js';
import { describeRollout, keyOfRun } from './runs.js';
import { startedAs } from './shard-reads.js';
import { ask, describeRun } from './server-reads.js';
import { NotTakenError, takenUpdate } from './upgrades.js';
import { isRetryable, skipTitle } from './views.js';

export interface Signed {
  readonly actor: string;
  readonly reason: string;
}

/** What a person says; its id and its time are given to it when it is sent. */
export type Order = Omit<ControlRequest, 'requestId' | 'at'>;

/** How long a worker may take to confirm what the server has. */
export const CONFIRMED_WITHIN_MS = 10_000;
const ASK_MS = 2_000;

/**
 * Pauses, resumes or stops a rollout. The server keeps the word, so it holds from the moment that a worker is up.
 *
 * @returns whether a worker has heard it within seconds, and what else follows
 * @throws UnknownRolloutError; NotTakenError when the rollout has ended, or is resumed while it is stopping
 */
export async function control(
  client: Client,
  rollout: string,
  act: Order,
): Promise<{ readonly requestId: string } & Hearing> {
  const run = await running(client, rollout);
  await mustFollow(client, rollout, act);
  const requestId = await sendControl(client, run, act);
  return { requestId, ...(await hearing(client, run, requestId, Date.now() + CONFIRMED_WITHIN_MS)) };
}

/**
 * Only a resume can be answered with what does not follow. A pause or a stop is sent without a question, since it is urgent.
 *
 * @throws UnknownRolloutError; NotTakenError when the rollout is resumed while it is stopping
 */
export async function mustFollow(client: Client, rollout: string, { act }: Pick<ControlRequest, 'act'>): Promise<void> {
  if (act === 'resume' && (await rolloutStatus(client, rollout)).state === 'Stopping') {
    throw new NotTakenError(`rollout ${rollout} is stopping: nothing more of it begins`);
  }
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
 * @throws NotTakenError for one that nobody has signed, or in too many words; WorkflowNotFoundError when that run has ended
 */
export async function sendControl(client: Client, { workflowId, runId }: RolloutRun, act: Order): Promise<string> {
  const request: ControlRequest = { requestId: randomUUID(), at: new Date().toISOString(), ...act };
  // The rollout would take no notice of it, or cut its words, and nobody would be told.
  const unsigned = whyUnsigned(act);
  if (unsigned !== null) throw new NotTakenError(unsigned);
  await client.workflow.getHandle(workflowId, runId).signal(MESSAGES.control, request);
  return request.requestId;
}

/** What a rollout's worker says to an act. */
export interface Hearing {
  readonly heard: boolean;
  /** What followed that its person need not have meant, as the rollout's `Act`; `null` where nothing is known to. */
  readonly also: string | null;
}

/** Whether a worker has heard what was sent; asked at least once, and until that moment (epoch ms) while it has not. */
export async function hearing(client: Client, run: RolloutRun, requestId: string, until: number): Promise<Hearing> {
  for (;;) {
    const told = await ask<RolloutStatus>(client, run, MESSAGES.rolloutStatus, ASK_MS);
    const act = told?.acts?.find((one) => one.requestId === requestId);
    if (act !== undefined) return { heard: true, also: act.also ?? null };
    // A rollout that has nothing in flight ends right after its stop.
    if ((await describeRun(client, run.workflowId, run.runId))?.status.name !== 'RUNNING')
      return { heard: true, also: null };
    if (Date.now() >= until) return { heard: false, also: null };
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
  const shard = shardWorkflowId(input.rollout, keyOfRun(input, run), wave, upgrade.shard);
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

async function running(client: Client, rollout: string): Promise<RolloutRun> {
  const { workflowId, runId, status } = await describeRollout(client, rollout);
  if (status.name !== 'RUNNING' && status.name !== 'PAUSED') {
    const view = await rolloutStatus(client, rollout);
    const tried = ` (\`${signedCommand('retry', rollout)}\` tries again what did not go well)`;
    throw new NotTakenError(`rollout ${rollout} has ended: ${view.state}${isRetryable(view) ? tried : ''}`);
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
        found.push({
          wave: at + 1,
          upgrade: { shard: shard + 1, workflowId, title: skipTitle(spec.resource.id) },
        });
      }
    });
  }
  const [one, ...more] = found;
  if (one === undefined)
    throw new NotTakenError(
      `${resource} is no resource of this rollout (\`uplift status ${input.rollout} --all\` lists them)`,
    );
  if (more.length > 0) {
    const ids = found.map(({ upgrade }) => upgrade?.workflowId).join(', ');
    throw new NotTakenError(`several resources are called ${resource}: name one of ${ids}`);
  }
  return one;
}
