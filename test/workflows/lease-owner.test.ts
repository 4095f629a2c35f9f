/** Who is told to hold a lease that is waited for, on a real server. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rolloutWorkflowId, runKey, shardWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutResult, ShardStatus } from '../../workflows/contracts/rollout.js';
import { ATTRIBUTES } from '../../workflows/contracts/search-attributes.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { rolloutInput, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

/** Takes the lease, from whoever has it. */
const lock = (resource: string, by: string) =>
  env.client.workflow.start('upgrade', {
    workflowId: upgradeWorkflowId(spec(resource).resource),
    taskQueue: 'nobody',
    args: [],
    workflowIdConflictPolicy: 'TERMINATE_EXISTING',
    typedSearchAttributes: [
      { key: ATTRIBUTES.rollout, value: by },
      { key: ATTRIBUTES.phase, value: 'Await' },
    ],
  });

it('is whoever holds it now', async () => {
  await withScriptedWorkers(
    env,
    scriptedSteps(),
    async () => {
      await lock('leased', 'spring');
      const input = rolloutInput(
        'waiting',
        { ids: ['leased'], concurrency: 1 },
        { max: 0, mode: 'strict' },
        {
          onLocked: 'wait',
        },
      );
      const handle = await env.client.workflow.start<typeof rollout>('rollout', {
        workflowId: rolloutWorkflowId('waiting'),
        taskQueue: QUEUES.main,
        args: [{ ...input, timing: { scale: 0.1 } }],
      });
      const shard = env.client.workflow.getHandle(
        shardWorkflowId('waiting', runKey({ rolloutRun: handle.firstExecutionRunId }), 1, 1),
      );
      const why = () =>
        shard.query<ShardStatus>(MESSAGES.shardStatus).then(
          ({ waits }) => waits?.[0]?.why ?? '',
          () => '',
        );
      await expect.poll(why, { timeout: 60_000 }).toContain('of rollout spring since');
      const next = await lock('leased', 'summer');
      await expect.poll(why, { timeout: 60_000 }).toContain('of rollout summer since');
      await next.terminate();
      expect(((await handle.result()) as RolloutResult).counts).toEqual({ Succeeded: 1 });
    },
    false,
  );
});
