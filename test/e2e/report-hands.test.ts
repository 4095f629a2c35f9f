/** What report, status and explain tell of histories that were reset, ended by hand or deleted, on a real server. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepInventory } from '../../activities/inventory.js';
import { explain } from '../../client/explain.js';
import { control } from '../../client/control.js';
import { ACTS_UNKNOWN, renderReport } from '../../client/render/report.js';
import { renderHtmlReport } from '../../client/render/report-html.js';
import { readRows, rolloutReport, rolloutRows } from '../../client/rows.js';
import {
  rolloutWorkflowId,
  runKey,
  shardWorkflowId,
  upgradeWorkflowId,
  waveWorkflowId,
} from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput } from '../../workflows/contracts/rollout.js';
import type { rollout } from '../../workflows/rollout.js';
import { deleted } from '../support/deleted.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { reset } from '../support/reset.js';
import { heldOperations, rolloutInput, type Script, scriptedSteps, spec } from '../workflows/scripted-steps.js';
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

/** Two waves, or as many as there are lists. */
function waves(id: string, lists: readonly (readonly string[])[]): RolloutInput {
  return {
    ...rolloutInput(id, { ids: [], concurrency: 1 }, { max: 9, mode: 'loose' }),
    waves: lists.map((ids, at) => ({ name: `w${at + 1}`, concurrency: 1, upgrades: ids.map((one) => spec(one)) })),
  };
}

const waveHistories = (id: string, run: string, wave: number, ids: readonly string[]) => [
  ...ids.map((one) => upgradeOf(one).workflowId),
  shardWorkflowId(id, runKey({ rolloutRun: run }), wave, 1),
  waveWorkflowId(id, runKey({ rolloutRun: run }), wave),
];

async function start(input: RolloutInput) {
  return env.client.workflow.start<typeof rollout>('rollout', {
    workflowId: rolloutWorkflowId(input.rollout),
    taskQueue: QUEUES.main,
    args: [input],
  });
}

/** Serves while `body` runs; what it has not let go is let go in the end. */
function serving(
  { script, release }: { readonly script: Script; readonly release: () => void },
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
    for (const name of ['r1', upgradeOf('r1').workflowId]) {
      expect(await explain(env.client, 'reset', name)).toContainEqual(
        expect.objectContaining({ who: 'r1', what: 'Await: awaitOperation is under way' }),
      );
    }
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

const ENDED = { phase: 'Ended', reason: expect.stringContaining('no longer on the server') };

it('what is no longer on the server is counted as its wave had, and nobody calls it not begun', async () => {
  const held = heldOperations();
  const script: Script = {
    verify: ({ spec: { resource } }) => (resource.id === 'd2' ? { verdict: 'not-at-target', version: '1' } : {}),
    awaitOperation: ({ spec: { resource } }) => (resource.id === 'd4' ? held.script.awaitOperation() : {}),
  };
  await serving({ script, release: held.release }, async () => {
    const handle = await start(waves('deleted', [['d1', 'd2'], ['d3'], ['d4']]));
    const run = handle.firstExecutionRunId;
    await held.followed;
    await deleted(
      env.client,
      ...waveHistories('deleted', run, 1, ['d1', 'd2']),
      ...waveHistories('deleted', run, 2, ['d3']),
    );

    const { view, rows } = await readRows(env.client, 'deleted');
    expect(rows).toMatchObject([
      { ...ENDED, outcome: null, gone: true },
      { ...ENDED, outcome: null, gone: true },
      { ...ENDED, outcome: 'Succeeded', gone: true },
      { phase: 'Await' },
    ]);
    expect(view).toMatchObject({ state: 'Running', counts: { Succeeded: 2, RolledBack: 1 }, failures: 1 });
    expect(await explain(env.client, 'deleted', 'd1')).toContainEqual(
      expect.objectContaining({ who: 'd1', what: expect.stringContaining('no longer on the server') }),
    );

    held.release();
    await handle.result();
    const told = await rolloutReport(env.client, 'deleted');
    expect(told.view).toMatchObject({ state: 'SucceededWithFailures', counts: { Succeeded: 3, RolledBack: 1 } });
    for (const text of [renderReport(told, Date.now()), renderHtmlReport(told, Date.now())]) {
      expect(text).toContain('The details of 3 upgrades are no longer kept');
      expect(text).not.toContain('NotStarted');
    }
  });
});

it('what shards of a running wave had begun is told without them, and not called pending', async () => {
  const held = heldOperations();
  const flying = ['f3', 'f4', 'f5', 'g1'];
  const script: Script = {
    awaitOperation: ({ spec: { resource } }) => (flying.includes(resource.id) ? held.script.awaitOperation() : {}),
  };
  const begin = async (id: string, ids: readonly string[], concurrency: number) => {
    const input = waves(id, [ids]);
    const wide = { ...input, waves: input.waves.map((wave) => ({ ...wave, concurrency })) };
    return start(await keepInventory(env.client, wide, 2));
  };
  const told = async (id: string) =>
    (await rolloutRows(env.client, id)).map(({ phase, outcome, gone }) => [phase, outcome, gone === true]);
  const following = ['Await', null, false];
  const pending = ['Pending', null, false];
  const succeeded = ['Ended', 'Succeeded', false];
  await serving({ script, release: held.release }, async () => {
    const early = await begin('early', ['f1', 'f2', 'f3', 'f4', 'f5', 'f6', 'f7', 'f8'], 3);
    const begun = [succeeded, succeeded, following, following, following];
    await expect.poll(async () => (await told('early')).slice(0, 5), { timeout: 60_000 }).toEqual(begun);
    const late = await begin('late', ['g1', 'g2', 'g3', 'g4'], 2);
    const four = [following, succeeded, succeeded, succeeded];
    await expect.poll(() => told('late'), { timeout: 60_000 }).toEqual(four);

    await deleted(
      env.client,
      shardWorkflowId('early', runKey({ rolloutRun: early.firstExecutionRunId }), 1, 2),
      shardWorkflowId('late', runKey({ rolloutRun: late.firstExecutionRunId }), 1, 2),
      ...['g3', 'g4'].map((one) => upgradeOf(one).workflowId),
    );
    const rows = await told('early');
    expect([...rows.slice(0, 5), ...rows.slice(6)]).toEqual([...begun, pending, pending]);
    // The rollout may not have heard of the very last one.
    const gone = ['Ended', expect.toBeOneOf([null, 'Succeeded']), true];
    expect(await told('late')).toEqual([following, succeeded, gone, gone]);
    held.release();
    await Promise.all([early.result(), late.result()]);
  });
});

it.each(['wave', 'shard'])('after its %s was terminated, a report tells both counts, and why', async (kind) => {
  const held = heldOperations();
  const ids = [1, 2, 3].map((n) => `${kind}-${n}`);
  await serving(held, async () => {
    const handle = await start(waves(kind, [ids]));
    const run = handle.firstExecutionRunId;
    await held.followed;
    const workflowId =
      kind === 'wave'
        ? waveWorkflowId(kind, runKey({ rolloutRun: run }), 1)
        : shardWorkflowId(kind, runKey({ rolloutRun: run }), 1, 1);
    await latest({ workflowId }).terminate('by hand');
    await handle.result();
    held.release();
    await latest(upgradeOf(`${kind}-1`)).result();
    // Its shard, or visibility, is a moment behind.
    await expect
      .poll(async () => (await readRows(env.client, kind)).view.counts, { timeout: 60_000 })
      .toEqual({ Succeeded: 1, NotStarted: 2 });
    const { view } = await rolloutReport(env.client, kind);
    expect(view).toMatchObject({ state: 'Stopped', failures: 0 });
    expect(view.reason).toMatch(/^stopped: 0 of 3 at target, 3 failed \(so far as .* 1 of 3 at target, 0 failed\)$/);
  });
});

it('a terminated rollout tells what people did, and without a worker that it cannot', async () => {
  const held = heldOperations();
  const script: Script = {
    awaitOperation: ({ spec: { resource } }) => (resource.id === 'e2' ? held.script.awaitOperation() : {}),
  };
  await serving({ script, release: held.release }, async () => {
    const handle = await start(waves('ended', [['e1'], ['e2'], ['e3']]));
    await held.followed;
    await control(env.client, 'ended', { act: 'pause', actor: 'ana', reason: 'incident 4711' });
    await handle.terminate('by hand');
    held.release();
    await latest(upgradeOf('e2')).result();
    await latest({
      workflowId: waveWorkflowId('ended', runKey({ rolloutRun: handle.firstExecutionRunId }), 2),
    }).result();
    await deleted(env.client, ...waveHistories('ended', handle.firstExecutionRunId, 1, ['e1']));

    const { view, rows } = await readRows(env.client, 'ended');
    expect(view).toMatchObject({ state: 'Terminated', workerAnswers: true, acts: [{ act: 'pause', actor: 'ana' }] });
    expect(view.waves.map(({ state }) => state)).toEqual(['Done', 'Stopped', 'NotStarted']);
    expect(rows.map(({ outcome }) => outcome)).toEqual(['Succeeded', 'Succeeded', 'NotStarted']);
    expect(rows[0]).toMatchObject({ ...ENDED, gone: true });
  });

  const told = await rolloutReport(env.client, 'ended');
  expect(told.view).toMatchObject({ state: 'Terminated', workerAnswers: false, acts: [] });
  expect(told.view.waves.map(({ state }) => state)).toEqual(['Done', 'Stopped', 'NotStarted']);
  expect(told.rows.map(({ outcome }) => outcome)).toEqual([null, 'Succeeded', 'NotStarted']);
  expect(renderReport(told, Date.now())).toContain(ACTS_UNKNOWN);
});
