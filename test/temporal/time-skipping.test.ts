import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { timeSkippingEnvironment, withWorker, workflowBundle } from '../support/environment.js';
import type { sleepFor } from './workflows/timers.js';

const THREE_HOURS = 3 * 3_600_000;

let env: TestWorkflowEnvironment;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

test('a timer of three hours ends within the test', async () => {
  const taskQueue = 'timers';
  const bundle = await workflowBundle(new URL('workflows/timers.ts', import.meta.url));
  const start = await env.currentTimeMs();
  const slept = await withWorker({ connection: env.nativeConnection, taskQueue, workflowBundle: bundle }, () =>
    env.client.workflow.execute<typeof sleepFor>('sleepFor', { taskQueue, workflowId: 'timer', args: [THREE_HOURS] }),
  );
  expect(slept).toBeGreaterThanOrEqual(THREE_HOURS);
  expect((await env.currentTimeMs()) - start).toBeGreaterThanOrEqual(THREE_HOURS);
});
