/** Whether a rollout has begun, on a real server: `startBy` asks, and a rollout of the same name before it is another one. */
import { WorkflowNotFoundError } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { begunReader } from '../../activities/begun.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { ATTRIBUTES } from '../../workflows/contracts/search-attributes.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';

let env: RealEnvironment;
beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

const taskQueue = 'nobody';

/** Of the same name each time; what was of it before is ended. */
async function rollout(): Promise<string> {
  const workflowId = rolloutWorkflowId('spring');
  const handle = await env.client.workflow.start('rollout', {
    workflowId,
    taskQueue,
    workflowIdConflictPolicy: 'TERMINATE_EXISTING',
  });
  return handle.firstExecutionRunId;
}

/** As its own run shows it when it was sent and has ended. */
async function upgraded(workflowId: string): Promise<void> {
  const handle = await env.client.workflow.start('upgrade', {
    workflowId,
    taskQueue,
    typedSearchAttributes: [
      { key: ATTRIBUTES.rollout, value: 'spring' },
      { key: ATTRIBUTES.phase, value: 'Ended' },
      { key: ATTRIBUTES.outcome, value: 'Succeeded' },
    ],
  });
  await handle.terminate();
}

it('knows the upgrades of this rollout alone, not those of one that had its name before', async () => {
  const by = Date.now() + 3_600_000;
  const hasBegun = (rolloutRun: string) => begunReader(() => env.client)({ rollout: 'spring', rolloutRun }, by);
  const soon = { timeout: 20_000 };

  const first = await rollout();
  expect(await hasBegun(first)).toBe(false);
  await upgraded('upgrade/a');
  // So it is visible from now on.
  await expect.poll(() => hasBegun(first), soon).toBe(true);

  const second = await rollout();
  expect(second).not.toBe(first);
  expect(await hasBegun(second)).toBe(false);
  await upgraded('upgrade/b');
  await expect.poll(() => hasBegun(second), soon).toBe(true);
});

it('does not take a rollout that is gone for one that has not begun', async () => {
  const asked = begunReader(() => env.client)({ rollout: 'autumn', rolloutRun: crypto.randomUUID() }, Date.now());
  await expect(asked).rejects.toThrow(WorkflowNotFoundError);
});
