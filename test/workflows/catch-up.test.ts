/** What a wave is told that was said between its start and the server's word that it has started. */
import { expect, it, vi } from 'vitest';
import type { SkipRequest, WaveOrder } from '../../workflows/contracts/control.js';
import type { WaveInput } from '../../workflows/contracts/rollout.js';
import { Control } from '../../workflows/control.js';
import type { RolloutState, WaveState } from '../../workflows/rollout-state.js';

// Outside a workflow: a new run has every change, and nothing cancels.
vi.mock('@temporalio/workflow', async (original) => ({
  ...(await original<object>()),
  patched: () => true,
  CancellationScope: { nonCancellable: <T>(body: () => Promise<T>) => body() },
}));

it('is told that a person leaves its rest out', async () => {
  const wave = { plan: { name: 'first' }, state: 'Running', concurrency: 2, skips: [], skipRest: null, child: null };
  const state = { openWave: () => wave, pauses: [], record: (act: object) => ({ ...act, at: 'then' }) };
  const control = new Control(state as unknown as RolloutState);
  const given = { hold: null, wave: { concurrency: 2 }, skips: [] };
  const request: SkipRequest = { wave: 1, upgrade: null, actor: 'ana', reason: 'broken' };
  expect(control.skip(request)).toBe('wave first: what has not started of it is left out');

  const orders: WaveOrder[] = [];
  const child = { signal: async (_to: unknown, order: WaveOrder) => void orders.push(order) };
  control.catchUp({ ...wave, child } as unknown as WaveState, given as unknown as WaveInput);
  await vi.waitFor(() => expect(orders).not.toEqual([]));
  expect(orders).toEqual([{ skipRest: 'skipped by ana at then: broken' }]);
});
