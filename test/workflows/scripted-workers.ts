import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { type NativeConnection, Worker, type WorkerInterceptors } from '@temporalio/worker';
import { learningSteps } from '../../activities/durations.js';
import { inventorySteps } from '../../activities/inventory.js';
import { lockSteps } from '../../activities/locks.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { workflowBundle } from '../support/environment.js';
import { recordPatches } from '../support/patches.js';
import type { ScriptedSteps } from './scripted-steps.js';

/**
 * Lets a step go when its worker ends: one that waits at a gate, which a test that has failed never opens, would keep the
 * worker from ending, and with it every later test of the file.
 */
const letGo: WorkerInterceptors = {
  activity: [
    () => ({ inbound: { execute: (input, next) => Promise.race([next(input), endOfWorker(Context.current())]) } }),
  ],
};

/** @throws CancelledFailure when the worker ends; a cancelled upgrade's step goes on, as it would without an ear for it */
function endOfWorker(context: Context): Promise<never> {
  return context.cancelled.catch((error: unknown) => {
    if (context.cancellationDetails?.workerShutdown === true) throw error;
    return new Promise<never>(() => {});
  });
}

/** Runs `body` while workers for all three queues serve the scripted steps. */
export async function withScriptedWorkers<T>(
  env: {
    readonly client: Client;
    readonly nativeConnection: NativeConnection;
    readonly namespace?: string | undefined;
  },
  steps: ScriptedSteps,
  body: () => Promise<T>,
  /** Every task replays the history from its start, so that a non-deterministic workflow fails. */
  replays = true,
): Promise<T> {
  const common = { connection: env.nativeConnection, namespace: env.namespace ?? 'default', interceptors: letGo };
  const main = await Worker.create({
    ...common,
    taskQueue: QUEUES.main,
    workflowBundle: await workflowBundle(),
    activities: { ...inventorySteps, ...lockSteps, ...learningSteps, ...steps.reads },
    maxCachedWorkflows: replays ? 0 : 1_000,
  });
  const submits = await Worker.create({ ...common, taskQueue: QUEUES.submit, activities: { ...steps.submits } });
  const waits = await Worker.create({ ...common, taskQueue: QUEUES.wait, activities: { ...steps.waits } });
  const result = await main.runUntil(() => submits.runUntil(() => waits.runUntil(body)));
  await recordPatches(env.client);
  return result;
}
