/** A plan that is applied again has a run for each time, and each is told by itself, on a real server. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startRollout } from '../../client/rollouts.js';
import { rolloutReport, rolloutRows } from '../../client/rows.js';
import type { SentCall } from '../../workflows/contracts/upgrade.js';
import { endedRollout } from '../support/ended.js';
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

const sent = (requestId: string): SentCall => ({
  at: '2026-11-21T10:00:00.000Z',
  method: 'POST',
  path: '/upgrade',
  answer: 'accepted',
  status: 200,
  requestId,
});

it('tells the upgrades and the calls of the run that is asked for, with nothing of a later one', async () => {
  let run = 0;
  const steps = scriptedSteps({
    submit: ({ spec: { resource } }) => ({ calls: [sent(`${resource.id}-${run}`)] }),
    verify: () => (run === 1 ? { verdict: 'not-at-target', reason: 'version 1' } : {}),
  });
  const plan = rolloutInput(
    'applied-again',
    { ids: ['twice-a', 'twice-b'], concurrency: 2 },
    { max: 9, mode: 'loose' },
  );
  await withScriptedWorkers(env, steps, async () => {
    const runIds: string[] = [];
    for (run = 1; run <= 2; run += 1) {
      const started = await startRollout(env.client, plan);
      await endedRollout(env.client.workflow.getHandle(started.workflowId, started.runId));
      runIds.push(started.runId);
    }
    const [first = '', second = ''] = runIds;
    // Visibility lags behind; calls are read from what it has.
    const callsOf = async (runId?: string) => {
      const { view, calls } = await rolloutReport(env.client, plan.rollout, runId);
      return [
        view.runId,
        view.state,
        calls.map(({ requestId }) => requestId ?? '').toSorted((a, b) => a.localeCompare(b)),
      ];
    };
    const early = [first, 'Failed', ['twice-a-1', 'twice-b-1']];
    await expect.poll(() => callsOf(first.slice(-8)), { timeout: 30_000 }).toEqual(early);
    const late = [second, 'Succeeded', ['twice-a-2', 'twice-b-2']];
    expect(await callsOf(second)).toEqual(late);
    expect(await callsOf()).toEqual(late);
    expect(await rolloutRows(env.client, plan.rollout)).toMatchObject([
      { outcome: 'Succeeded' },
      { outcome: 'Succeeded' },
    ]);
  });
});

it('meets nothing of an earlier run that was terminated a moment ago', async () => {
  const { script, followed, release } = heldOperations();
  const steps = scriptedSteps(script);
  const plan = rolloutInput(
    'again-at-once',
    { ids: ['again-a'], concurrency: 1 },
    { max: 0, mode: 'strict' },
    { onLocked: 'wait' },
  );
  await withScriptedWorkers(env, steps, async () => {
    const first = await startRollout(env.client, plan);
    await followed;
    await env.client.workflow.getHandle(first.workflowId, first.runId).terminate('a mistake');
    const second = await startRollout(env.client, plan);
    const rows = async () => rolloutRows(env.client, plan.rollout);
    // Its wave and its shard run beside those of the first one, which follow what was sent.
    try {
      await expect
        .poll(rows, { timeout: 30_000 })
        .toMatchObject([{ reason: expect.stringContaining('another upgrade') }]);
    } finally {
      release();
    }
    const result = await endedRollout(env.client.workflow.getHandle(second.workflowId, second.runId));
    expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: 1 } });
  });
});
