/** What is terminated by hand, on a real server: the time-skipping one tells no parent of it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rolloutWorkflowId, runKey, waveWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { heldOperations, rolloutInput, scriptedSteps } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

it('a rollout whose wave is terminated counts every upgrade, and what was submitted is followed', async () => {
  const { script, followed, release } = heldOperations();
  const steps = scriptedSteps(script);
  await withScriptedWorkers(env, steps, async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId('r'),
      taskQueue: QUEUES.main,
      args: [rolloutInput('r', { ids: ['a', 'b', 'c'], concurrency: 1 }, { max: 5, mode: 'loose' })],
    });
    await followed;
    await env.client.workflow
      .getHandle(waveWorkflowId('r', runKey({ rolloutRun: handle.firstExecutionRunId }), 1))
      .terminate('by hand');
    const result = await handle.result();
    expect(result).toMatchObject({ outcome: 'Stopped', counts: { Held: 3 } });

    release();
    const upgrade = await env.client.workflow.getHandle('upgrade/huawei/ges/cn-north-4/a').result();
    expect(upgrade).toMatchObject({ outcome: 'Succeeded' });
    expect(steps.called).not.toContain('submit b');
  });
});
