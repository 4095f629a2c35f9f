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
import { heldOperations, rolloutInput, scriptedSteps, spec } from './scripted-steps.js';
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

it('hears of a loose budget that is spent little by little in several shards after the rest was skipped', async () => {
  const id = 'five';
  // In the order in which they fail: by turns, since a shard tells at once what fails at once.
  const bad = ['bad1', 'bad6', 'bad2', 'bad7', 'bad3', 'bad8', 'bad4', 'bad9', 'bad5'].map((name) => `${id}-${name}`);
  const operations = new Map(bad.map((name) => [name, heldOperations()]));
  const going = heldOperations();
  const runOf = (name: string) => env.client.workflow.getHandle(`upgrade/huawei/ges/cn-north-4/${name}`);
  const steps = scriptedSteps({
    submit: ({ spec: { resource } }) =>
      resource.id === `${id}-busy` ? { verdict: 'busy', reason: 'a backup runs', operation: null } : {},
    awaitOperation: ({ spec: { resource } }) => (operations.get(resource.id) ?? going).script.awaitOperation(),
    verify: ({ spec: { resource } }) => (operations.has(resource.id) ? { verdict: 'unhealthy', reason: 'down' } : {}),
  });
  await withScriptedWorkers(
    env,
    steps,
    async () => {
      // Each shard has an account with room for six: five and four fail, and the shards would tell four and four, since
      // what waits wants all of their slots.
      const waiting = (shard: number) => Array.from({ length: 6 }, (_, at) => `left${shard}${at}`);
      const parts = [
        ['busy', 'bad1', 'bad2', 'bad3', 'bad4', 'bad5', ...waiting(1)],
        ['bad6', 'bad7', 'bad8', 'bad9', 'good1', 'good2', ...waiting(2)],
      ];
      const upgrades = parts.flatMap((names, at) => names.map((name) => spec(`${id}-${name}`, `account${at}`)));
      const input = {
        ...rolloutInput(id, { ids: [], concurrency: 12 }, { max: 8, mode: 'loose' }),
        waves: [{ name: 'one', concurrency: 12, upgrades }],
        accountLimits: { account0: 6, account1: 6 },
      };
      const handle = await env.client.workflow.start<typeof rollout>('rollout', {
        workflowId: rolloutWorkflowId(id),
        taskQueue: QUEUES.main,
        args: [await keepInventory(env.client, input, 12)],
      });
      await expect
        .poll(() => steps.called.filter((call) => /^(await|submit five-busy)/.test(call)).length, { timeout: 60_000 })
        .toBe(12);
      await skip(env.client, id, { wave: 'one' }, { actor: 'ana', reason: 'a test' });
      for (const [name, { release }] of operations) {
        release();
        await expect(runOf(name).result()).rejects.toThrow('Workflow execution failed');
      }
      expect(await runOf(`${id}-busy`).result()).toMatchObject({ outcome: 'NotStarted' });
      going.release();

      const result = await endedRollout(handle);
      expect(result).toMatchObject({
        outcome: 'Failed',
        counts: { Failed: 9, Succeeded: 2, NotStarted: 1, Skipped: 12 },
      });
    },
    false,
  );
});
