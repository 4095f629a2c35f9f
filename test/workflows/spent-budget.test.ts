/** What has begun and not sent when a loose budget is spent, on a real server, which knows of requests to cancel. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepInventory } from '../../activities/inventory.js';
import { skip } from '../../client/control.js';
import { renderReport } from '../../client/render/report.js';
import { rolloutReport } from '../../client/rows.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { rollout } from '../../workflows/rollout.js';
import { endedRollout } from '../support/ended.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { reset } from '../support/reset.js';
import { heldOperations, rolloutInput, scriptedSteps } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

interface Case {
  readonly shardSize?: number;
  /** While `-bad` runs: what else happens. */
  readonly before?: (id: string) => Promise<void>;
}

const SKIPPED = /^skipped by ana at .*: a test; stopped before anything was sent$/;
const SPENT = /^the failure budget was spent first; stopped before anything was sent$/;

it.each<[string, string, RegExp, Case]>([
  ['in one shard', 'one', SPENT, {}],
  ['across shards', 'two', SPENT, { shardSize: 1 }],
  [
    'after the rest of the wave was skipped',
    'three',
    SKIPPED,
    {
      shardSize: 1,
      before: async (id) => {
        await skip(env.client, id, { wave: 'one' }, { actor: 'ana', reason: 'a test' });
      },
    },
  ],
  [
    'after an operator has reset it',
    'four',
    SPENT,
    { before: (id) => reset(env.client, { workflowId: `upgrade/huawei/ges/cn-north-4/${id}-busy` }, 1) },
  ],
])('ends what waits before its send, and follows what has sent, %s', async (_, id, reason, { shardSize, before }) => {
  const [bad, sent] = [heldOperations(), heldOperations()];
  // `-bad` fails its verify; `-busy` waits before its send; `-sent` is followed until `-busy` has ended.
  const steps = scriptedSteps({
    submit: ({ spec: { resource } }) =>
      resource.id === `${id}-busy` ? { verdict: 'busy', reason: 'a backup runs', operation: null } : {},
    awaitOperation: ({ spec: { resource } }) => (resource.id === `${id}-bad` ? bad : sent).script.awaitOperation(),
    verify: ({ spec: { resource } }) => (resource.id === `${id}-bad` ? { verdict: 'unhealthy', reason: 'down' } : {}),
  });
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
      await Promise.all([bad.followed, sent.followed]);
      await expect.poll(() => steps.called, { timeout: 60_000 }).toContain(`submit ${id}-busy`);
      await before?.(id);
      bad.release();
      // It would wait for a minute and more, and try again for two hours.
      const busy = env.client.workflow.getHandle(`upgrade/huawei/ges/cn-north-4/${id}-busy`);
      expect(await busy.result()).toMatchObject({ outcome: 'NotStarted' });
      sent.release();

      const result = await endedRollout(handle);
      expect(result).toMatchObject({ outcome: 'Failed', counts: { Failed: 1, Succeeded: 1 } });
      expect(steps.called).not.toContain(`precheck ${id}-never`);
      const report = await rolloutReport(env.client, id);
      const row = report.rows.find(({ resourceId }) => resourceId === `${id}-busy`);
      expect(row).toMatchObject({ outcome: 'NotStarted', reason: expect.stringMatching(reason) });
      expect(renderReport(report, Date.now())).toContain(`| NotStarted | ${row?.reason} | 1 |`);
    },
    false,
  );
});
