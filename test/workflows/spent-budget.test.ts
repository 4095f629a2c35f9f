/** What has begun and not sent when a loose budget is spent, on a real server, which knows of requests to cancel. */
import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepInventory } from '../../activities/inventory.js';
import { rolloutRows } from '../../client/rows.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutResult } from '../../workflows/contracts/rollout.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { rolloutInput, type Script, scriptedSteps } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

/** `-bad` fails its verify; `-busy` waits before its send; `-sent` is followed until `-bad` has ended. */
function script(id: string): Script & { readonly badEnded: () => void } {
  let badEnded = () => {};
  const ended = new Promise<void>((resolve) => (badEnded = resolve));
  let [arrived, allThere] = [0, () => {}];
  const there = new Promise<void>((resolve) => (allThere = resolve));
  const arrive = () => {
    arrived += 1;
    if (arrived === 3) allThere();
  };
  return {
    badEnded: () => {
      badEnded();
    },
    submit: ({ spec: { resource } }, call) => {
      if (call === 1) arrive();
      const reason = 'a backup runs';
      return resource.id === `${id}-busy` ? { verdict: 'busy', reason, operation: null } : {};
    },
    awaitOperation: async ({ spec: { resource } }) => {
      await (resource.id === `${id}-sent` ? ended : there);
      return {};
    },
    verify: ({ spec: { resource } }) => (resource.id === `${id}-bad` ? { verdict: 'unhealthy', reason: 'down' } : {}),
  };
}

it.each([
  ['in one shard', 'one', undefined],
  ['across shards', 'two', 1],
])('ends what waits before its send, and follows what has sent, %s', async (_, id, shardSize) => {
  const { badEnded, ...rest } = script(id);
  const steps = scriptedSteps(rest);
  await withScriptedWorkers(
    env,
    steps,
    async () => {
      const ids = ['bad', 'busy', 'sent', 'never'].map((name) => `${id}-${name}`);
      const input = rolloutInput(id, { ids, concurrency: 3 }, { max: 0, mode: 'loose' });
      const handle = await env.client.workflow.start<typeof rollout>('rollout', {
        workflowId: rolloutWorkflowId(id),
        taskQueue: QUEUES.main,
        args: [await keepInventory(env.client, input, shardSize)],
      });
      const busy = env.client.workflow.getHandle(`upgrade/huawei/ges/cn-north-4/${id}-busy`);
      await expect.poll(() => steps.called, { timeout: 20_000 }).toContain(`verify ${id}-bad`);
      // It would wait for a minute and more, and try again for two hours.
      expect(await busy.result()).toMatchObject({ outcome: 'NotStarted' });
      badEnded();

      const result: RolloutResult = await handle.result().catch((error: unknown) => {
        if (!(error instanceof WorkflowFailedError) || !(error.cause instanceof ApplicationFailure)) throw error;
        return error.cause.details?.[0] as RolloutResult;
      });
      expect(result).toMatchObject({ outcome: 'Failed', counts: { Failed: 1, NotStarted: 2, Succeeded: 1 } });
      expect(steps.called).not.toContain(`precheck ${id}-never`);
      const rows = await rolloutRows(env.client, id);
      const spent = 'the failure budget was spent first';
      expect(rows.find(({ resourceId }) => resourceId === `${id}-busy`)?.reason).toBe(
        `${spent}; stopped before anything was sent`,
      );
    },
    false,
  );
});
