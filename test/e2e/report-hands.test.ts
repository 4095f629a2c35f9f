/** What report, status and explain tell of histories that were reset, ended by hand or deleted, on a real server. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { explain } from '../../client/explain.js';
import { rolloutReport, rolloutRows } from '../../client/rows.js';
import { rolloutWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput } from '../../workflows/contracts/rollout.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { reset } from '../support/reset.js';
import { heldOperations, rolloutInput, scriptedSteps, spec } from '../workflows/scripted-steps.js';
import { withScriptedWorkers } from '../workflows/scripted-workers.js';

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

const upgradeOf = (id: string) => ({ workflowId: upgradeWorkflowId(spec(id).resource) });
const latest = ({ workflowId }: { readonly workflowId: string }) => env.client.workflow.getHandle(workflowId);
const latestRun = async (run: { readonly workflowId: string }) => (await latest(run).describe()).runId;

async function start(input: RolloutInput) {
  return env.client.workflow.start<typeof rollout>('rollout', {
    workflowId: rolloutWorkflowId(input.rollout),
    taskQueue: QUEUES.main,
    args: [input],
  });
}

/** Serves while `body` runs; what it has not let go is let go in the end. */
function serving(
  { script, release }: Pick<ReturnType<typeof heldOperations>, 'script' | 'release'>,
  body: () => Promise<void>,
) {
  return withScriptedWorkers(env, scriptedSteps(script), () => body().finally(release), false);
}

it('a running upgrade that was reset is shown as the run that goes on, and reported with its result', async () => {
  const held = heldOperations();
  await serving(held, async () => {
    const handle = await start(rolloutInput('reset', { ids: ['r1'], concurrency: 1 }, { max: 1, mode: 'loose' }));
    await held.followed;
    await reset(env.client, upgradeOf('r1'), 1);
    const runId = await latestRun(upgradeOf('r1'));
    await expect
      .poll(() => rolloutRows(env.client, 'reset'), { timeout: 60_000 })
      .toMatchObject([{ runId, outcome: null, phase: 'Await' }]);
    expect(await explain(env.client, 'reset', 'r1')).toContainEqual(
      expect.objectContaining({ who: 'r1', what: 'Await: awaitOperation is under way' }),
    );
    held.release();
    await handle.result();
    const { rows, results } = await rolloutReport(env.client, 'reset');
    expect(rows).toMatchObject([{ runId, outcome: 'Succeeded', to: '2' }]);
    expect(results).toMatchObject([{ outcome: 'Succeeded' }]);
  });
});

it('an upgrade that was terminated and reset later is what its new run came to', async () => {
  const held = heldOperations();
  await serving(held, async () => {
    const handle = await start(rolloutInput('revived', { ids: ['t1'], concurrency: 1 }, { max: 1, mode: 'loose' }));
    await held.followed;
    await latest(upgradeOf('t1')).terminate('by hand');
    await expect(handle.result()).rejects.toThrow('failed');
    expect(await rolloutRows(env.client, 'revived')).toMatchObject([{ outcome: 'Held' }]);

    await reset(env.client, upgradeOf('t1'), 1);
    held.release();
    await latest(upgradeOf('t1')).result();
    const { rows, results } = await rolloutReport(env.client, 'revived');
    expect(rows).toMatchObject([{ runId: await latestRun(upgradeOf('t1')), outcome: 'Succeeded' }]);
    expect(results).toMatchObject([{ outcome: 'Succeeded' }]);
  });
});
