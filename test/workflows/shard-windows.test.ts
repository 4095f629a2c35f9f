/** A shard's windows, asked at each edge: what it knows between them, without a server. */
import { beforeEach, expect, it, vi } from 'vitest';
import { ShardWindows } from '../../workflows/shard-windows.js';
import type { GateState } from '../../workflows/contracts/calendar.js';

const told = vi.hoisted(() => ({
  answers: [] as GateState[],
  asked: 0,
  /** What is waited for. */
  waits: [] as { isMet: () => boolean; end: (isMet: boolean) => void }[],
}));
vi.mock('@temporalio/workflow', () => ({
  patched: () => true,
  condition: (isMet: () => boolean) =>
    isMet() ? Promise.resolve(true) : new Promise<boolean>((end) => told.waits.push({ isMet, end })),
}));
vi.mock('../../workflows/steps.js', () => ({
  readGates: () => {
    told.asked += 1;
    const [state] = told.answers.splice(0, 1);
    return state === undefined ? new Promise(() => undefined) : Promise.resolve({ 0: state });
  },
}));

const EDGE = '2026-01-03T00:00:00.000Z';
const open: GateState = { open: true, until: EDGE, closes: EDGE, reason: 'open', over: false };
const shut: GateState = { open: false, until: EDGE, closes: null, reason: 'shut', over: false };
const over: GateState = { open: false, until: null, closes: null, reason: 'over', over: true };
const one = { gate: 0 };

beforeEach(() => {
  told.answers = [];
  told.waits = [];
  told.asked = 0;
});

/** @param answers of its gate, look by look; without one the answer stays away */
async function watched(answers: GateState[], sharesGate = true, carried: Record<string, GateState> = {}) {
  told.answers = answers;
  const waiting = [one];
  const windows = new ShardWindows(
    {
      rollout: { rollout: 'r', rolloutRun: 'run' },
      waiting: () => waiting,
      hasStarted: () => true,
      isOver: () => false,
      beforeOpening: () => Promise.resolve(),
      news: () => undefined,
      sharesGate,
    },
    carried,
  );
  windows.watch();
  await settled();
  return { windows, waiting };
}

async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** The edge comes, or what is waited for. */
async function goOn(): Promise<void> {
  for (const { isMet, end } of told.waits.splice(0)) end(isMet());
  await settled();
}

it('knows whether all its wave is shut: until it has asked, and from one edge to the next', async () => {
  const { windows } = await watched([]);
  expect(windows.isWaveShut).toBe(true);
  const asked = await watched([shut, open, shut, over]);
  const seen = [asked.windows.isWaveShut];
  for (let edge = 0; edge < 3; edge += 1) {
    await goOn();
    seen.push(asked.windows.isWaveShut);
  }
  // What is over is no shut window, and nothing is asked any more.
  expect(seen).toEqual([true, false, true, false]);
  expect(told.waits).toEqual([]);
});

it('knows nothing of others that wait elsewhere', async () => {
  const { windows } = await watched([shut], false);
  expect(windows.isWaveShut).toBe(false);
});

it('takes the word of one upgrade for its own, not for all its wave', async () => {
  const { windows } = await watched([open, shut]);
  windows.isShut(one, 'closed');
  expect(windows.isOpen(one)).toBe(false);
  expect(windows.isWaveShut).toBe(false);
  await goOn();
  expect(windows.isWaveShut).toBe(true);
  // It was on its way when the windows were asked.
  windows.isShut(one, 'closed');
  expect(windows.stateFor(one)).toEqual(shut);
});

it('has nothing shut once it has ended, or has nothing to ask', async () => {
  const { windows, waiting } = await watched([shut]);
  waiting.length = 0;
  await goOn();
  expect(windows.isWaveShut).toBe(false);
  expect((await watched([], true, { 0: over })).windows.isWaveShut).toBe(false);
});

it('asks again for what comes back after nothing waited', async () => {
  const { windows, waiting } = await watched([open, shut, open]);
  waiting.length = 0;
  await goOn();
  windows.watchAgain();
  expect(told.asked).toBe(1);
  waiting.push(one);
  windows.watchAgain();
  // Once for all.
  windows.watchAgain();
  await settled();
  expect([told.asked, windows.isWaveShut]).toEqual([2, true]);
  await goOn();
  expect(windows.isOpen(one)).toBe(true);
});

it('does not ask again for what is open for good', async () => {
  const { windows, waiting } = await watched([{ ...open, until: null }]);
  waiting.length = 0;
  waiting.push(one);
  windows.watchAgain();
  expect(told.asked).toBe(1);
});
