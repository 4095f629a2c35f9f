/** Asking whether people let a rollout send: together where many ask at once, never with a look from before the question. */
import { expect, it } from 'vitest';
import { cancelReader, holdReader } from '../../activities/hold.js';
import type { Hold } from '../../temporal/hold.js';
import { VirtualClock } from '../support/virtual-clock.js';

const PAUSED: Hold = { reason: 'paused', over: false };
const ROLLOUT = { rollout: 'r', rolloutRun: 'run' };

/** A server whose answers are given by hand: each is what held when its look began. */
function server() {
  let hold: Hold | null = null;
  const looks: { readonly of: string; readonly seen: Hold | null; readonly answer: () => void }[] = [];
  const holdOf = holdReader(
    new VirtualClock(),
    ({ rolloutRun }) =>
      new Promise((resolve) => {
        const seen = hold;
        looks.push({ of: rolloutRun, seen, answer: () => resolve(seen) });
      }),
  );
  const begun = async (count: number) => {
    while (looks.length < count) await Promise.resolve();
  };
  return { holdOf, looks, begun, pause: () => (hold = PAUSED) };
}

it('shares the next look among all who come while one is under way, and tells them of a pause since', async () => {
  const { holdOf, looks, begun, pause } = server();
  const first = holdOf(ROLLOUT);
  await begun(1);
  pause();
  const later = Array.from({ length: 30 }, () => holdOf(ROLLOUT));
  looks[0]?.answer();
  expect(await first).toBe(null);
  await begun(2);
  looks[1]?.answer();
  expect([new Set(await Promise.all(later)), looks.length]).toEqual([new Set([PAUSED]), 2]);
});

it('looks at each rollout by itself', async () => {
  const { holdOf, looks, begun } = server();
  const both = [holdOf(ROLLOUT), holdOf({ ...ROLLOUT, rolloutRun: 'another' })];
  await begun(2);
  expect(looks.map(({ of }) => of)).toEqual(['run', 'another']);
  for (const { answer } of looks) answer();
  expect(await Promise.all(both)).toEqual([null, null]);
});

it('looks anew after a look that failed, which lets none of those through who shared it', async () => {
  let looks = 0;
  const holdOf = holdReader(new VirtualClock(), () => {
    looks += 1;
    return looks === 1 ? Promise.reject(new Error('no answer')) : Promise.resolve(null);
  });
  const asked = await Promise.allSettled([holdOf(ROLLOUT), holdOf(ROLLOUT)]);
  expect(asked.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect([await holdOf(ROLLOUT), looks]).toEqual([null, 2]);
});

/** Of an upgrade, who started whom: its shard, the shard's wave, the wave's rollout. */
const CHAIN = ['upgrade/a', 'shard/r/1/1', 'wave/r/1', 'rollout/r'].map((workflowId) => ({
  workflowId,
  runId: workflowId,
}));

it.each([
  ['upgrade/a', 'upgrade/a was cancelled'],
  ['shard/r/1/1', 'shard/r/1/1 was cancelled'],
  ['wave/r/1', 'wave/r/1 was cancelled'],
  // As its memo and history say.
  ['rollout/r', null],
  [null, null],
])('asks all above an upgrade for a cancel: %s', async (cancelled, reason) => {
  const looks: [string, boolean][] = [];
  const cancelOf = cancelReader(new VirtualClock(), ({ workflowId }, isQuiet) => {
    looks.push([workflowId, isQuiet]);
    const place = CHAIN.findIndex((run) => run.workflowId === workflowId);
    return Promise.resolve({ isCancelled: workflowId === cancelled, startedBy: CHAIN[place + 1] ?? null });
  });
  const upgrade = { workflowId: 'upgrade/a', runId: 'upgrade/a' };
  expect(await cancelOf(upgrade, 'r')).toEqual(reason === null ? null : { reason, over: true });
  // Only the upgrade's own task is waited for: the others have one most of the time.
  const all: typeof looks = [
    ['upgrade/a', true],
    ['shard/r/1/1', false],
    ['wave/r/1', false],
  ];
  const last = all.findIndex(([workflowId]) => workflowId === cancelled);
  expect(looks).toEqual(last === -1 ? all : all.slice(0, last + 1));
});
