/** What is told of a wave, or the rest of one, that a person has left out: the same while the rollout runs and after its end, on a real server. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepInventory } from '../../activities/inventory.js';
import { skip } from '../../client/control.js';
import { forecastRollout, NOTHING_LEARNED } from '../../client/forecast.js';
import { rolloutStatus } from '../../client/rollouts.js';
import { rolloutReport, rolloutRows } from '../../client/rows.js';
import { withRows } from '../../client/views.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput } from '../../workflows/contracts/rollout.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { heldOperations, rolloutInput, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

const ana = { actor: 'ana', reason: 'a test' };
const told = { phase: 'Ended', outcome: 'Skipped', reason: expect.stringMatching(/^skipped by ana at .*: a test$/) };

it('is skipped while the rollout runs and in its report, and is not forecast', async () => {
  let goOn: () => void = () => undefined;
  const seen = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const steps = scriptedSteps({
    awaitOperation: async () => {
      await seen;
      return {};
    },
  });
  const lists = [[spec('first')], [spec('second'), spec('third')]];
  const input: RolloutInput = {
    ...rolloutInput('leaves-out', { ids: [], concurrency: 1 }, { max: 9, mode: 'loose' }),
    waves: lists.map((upgrades, at) => ({ name: at === 0 ? 'now' : 'later', concurrency: 1, upgrades })),
  };
  const skipped = ({ waveIndex }: { readonly waveIndex: number }) => waveIndex === 2;

  await withScriptedWorkers(env, steps, async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId('leaves-out'),
      taskQueue: QUEUES.main,
      args: [await keepInventory(env.client, input)],
    });
    try {
      await expect.poll(() => steps.called, { timeout: 60_000 }).toContain('submit first');
      await skip(env.client, 'leaves-out', { wave: 'later' }, ana);

      const rows = await rolloutRows(env.client, 'leaves-out');
      expect(rows.filter(skipped)).toMatchObject([told, told]);
      const view = withRows(await rolloutStatus(env.client, 'leaves-out'), rows);
      expect(view.waves.map(({ state, counts }) => [state, counts])).toEqual([
        ['Running', {}],
        ['Skipped', { Skipped: 2 }],
      ]);
      expect(view.next).toBe('it ends when 1 more of wave now has ended');
      const forecast = forecastRollout(input, lists, { view, rows }, NOTHING_LEARNED, Date.now());
      expect(forecast?.waves.map(({ upgrades }) => upgrades.length)).toEqual([1, 0]);
      expect(forecast?.ends).toEqual(forecast?.waves[0]?.ends);
    } finally {
      goOn();
    }
    await handle.result();
    const report = await rolloutReport(env.client, 'leaves-out');
    expect(report.rows.filter(skipped)).toMatchObject([told, told]);
    expect(report.view.counts).toEqual({ Succeeded: 1, Skipped: 2 });
  });
});

it('is skipped in the shard that is open and in those that never are, before the wave ends and after', async () => {
  const [first, later] = [heldOperations(), heldOperations()];
  const steps = scriptedSteps({
    awaitOperation: ({ spec: { resource } }) => (resource.id === 'a' ? first : later).script.awaitOperation(),
  });
  const lists = [['a', 'b', 'c', 'd'], ['e']];
  const input: RolloutInput = {
    ...rolloutInput('leaves-rest-out', { ids: [], concurrency: 1 }, { max: 9, mode: 'loose' }),
    waves: lists.map((ids, at) => ({ name: `wave ${at + 1}`, concurrency: 1, upgrades: ids.map((id) => spec(id)) })),
  };
  const rest = async () => (await rolloutRows(env.client, 'leaves-rest-out')).slice(1, 4);
  const pending = { phase: 'Pending', outcome: null };

  await withScriptedWorkers(env, steps, async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId('leaves-rest-out'),
      taskQueue: QUEUES.main,
      args: [await keepInventory(env.client, input, 2)],
    });
    try {
      await first.followed;
      expect(await rest()).toMatchObject([pending, pending, pending]);
      await skip(env.client, 'leaves-rest-out', { wave: 'wave 1' }, ana);
      await expect.poll(rest, { timeout: 60_000 }).toMatchObject([told, told, told]);
      const rows = await rolloutRows(env.client, 'leaves-rest-out');
      const view = withRows(await rolloutStatus(env.client, 'leaves-rest-out'), rows);
      expect(view.waves.map(({ state, counts }) => [state, counts])).toEqual([
        ['Running', { Skipped: 3 }],
        ['Pending', {}],
      ]);
      expect(view.next).toBe('wave wave 2 starts when 1 more of wave wave 1 has ended');

      first.release();
      await later.followed;
      expect(await rest()).toMatchObject([told, told, told]);
    } finally {
      first.release();
      later.release();
    }
    expect(await handle.result()).toMatchObject({ counts: { Succeeded: 2, Skipped: 3 } });
    expect((await rolloutReport(env.client, 'leaves-rest-out')).rows.slice(1, 4)).toMatchObject([told, told, told]);
  });
});

it('is told of a single resource too before its turn, and what waits for it is not forecast', async () => {
  const { script, followed, release } = heldOperations();
  const steps = scriptedSteps(script);
  const lists = [
    [spec('single-a')],
    [
      { ...spec('single-out'), provides: ['engines'] },
      { ...spec('single-waits'), after: ['engines'] },
    ],
  ];
  const input: RolloutInput = {
    ...rolloutInput('single', { ids: [], concurrency: 1 }, { max: 9, mode: 'loose' }),
    waves: lists.map((upgrades, at) => ({ name: `wave-${at + 1}`, concurrency: 1, upgrades })),
  };
  await withScriptedWorkers(env, steps, async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId('single'),
      taskQueue: QUEUES.main,
      args: [await keepInventory(env.client, input)],
    });
    try {
      await followed;
      await skip(env.client, 'single', { resource: 'single-out' }, ana);
      const rows = await rolloutRows(env.client, 'single');
      expect(rows).toMatchObject([{ phase: 'Await' }, told, { phase: 'Pending' }]);
      const view = withRows(await rolloutStatus(env.client, 'single'), rows);
      const forecast = forecastRollout(input, lists, { view, rows }, NOTHING_LEARNED, Date.now());
      expect(forecast?.waves.map(({ upgrades }) => upgrades.length)).toEqual([1, 0]);
    } finally {
      release();
    }
    expect(await handle.result()).toMatchObject({ counts: { Succeeded: 1, Skipped: 2 } });
  });
  expect((await rolloutReport(env.client, 'single')).rows[1]).toMatchObject(told);
});
