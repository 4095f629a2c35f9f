/** Which of very many acts a rollout goes on to tell. */
import { expect, it, vi } from 'vitest';
import type { Act } from '../../workflows/contracts/control.js';
import { statusOf } from '../../workflows/rollout-details.js';
import { RolloutState } from '../../workflows/rollout-state.js';
import { rolloutInput } from './scripted-steps.js';

// Outside a workflow: nothing cancels.
vi.mock('@temporalio/workflow', async (original) => ({
  ...(await original<object>()),
  workflowInfo: () => ({ firstExecutionRunId: 'run' }),
  CancellationScope: class {
    static readonly current = () => ({ consideredCancelled: false });
    readonly consideredCancelled = false;
  },
}));

const rollout = () =>
  new RolloutState(rolloutInput('acts', { ids: ['a', 'b'], concurrency: 1 }, { max: 0, mode: 'strict' }));

const act = (done: Act['act'], what: string, requestId: string | null = null) => ({
  requestId,
  act: done,
  what,
  actor: 'ana',
  reason: 'a test',
});

it('tells what goes on to matter, however much else people did since, and how much it leaves out', () => {
  const state = rollout();
  state.record(act('approve', 'wave one is approved'));
  state.record(act('skip', 'wave one'));
  state.record(act('skip', 'a'));
  state.record(act('waive', 'the soak of wave one'));
  state.record(act('pause', 'the rollout', 'request-1'));
  for (let n = 1; n <= 60; n += 1) state.record(act('concurrency', `${n} at a time`));

  const { acts = [], actsLeftOut } = statusOf(state);
  expect(acts.slice(0, 4).map(({ act: done, what }) => `${done} ${what}`)).toEqual([
    'approve wave one is approved',
    'skip wave one',
    'waive the soak of wave one',
    'concurrency 11 at a time',
  ]);
  expect([acts.length, actsLeftOut]).toEqual([53, 12]);
});

it('tells all of fewer, and leaves nothing out', () => {
  const state = rollout();
  for (let n = 1; n <= 50; n += 1) state.record(act('concurrency', `${n} at a time`));
  expect(state.acts).toHaveLength(50);
  expect(statusOf(state)).not.toHaveProperty('actsLeftOut');
});

it('knows a request by its id while fifty others follow, whatever else it tells', () => {
  const state = rollout();
  for (let n = 0; n < 200; n += 1) state.record(act('approve', 'wave one'));
  expect([state.acts.length, state.actsLeftOut]).toEqual([100, 100]);
  state.record(act('pause', 'the rollout', 'request-1'));
  const isKnown = () => state.acts.some(({ requestId }) => requestId === 'request-1');
  for (let n = 0; n < 49; n += 1) {
    state.record(act('approve', 'wave one'));
    expect(isKnown()).toBe(true);
  }
  state.record(act('approve', 'wave one'));
  expect(isKnown()).toBe(false);
});
