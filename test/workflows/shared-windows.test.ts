/** Shards that share a wave's concurrency while their windows open and shut: on a real server. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepInventory } from '../../activities/inventory.js';
import type { GateRule } from '../../workflows/contracts/calendar.js';
import { rolloutWorkflowId, runKey, upgradeWorkflowId, waveWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { GateSteps } from '../../workflows/contracts/steps.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { rolloutInput, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

const SHARDS = 3;
const PER_SHARD = 6;
const CONCURRENCY = 2;
/** How long the windows are open, and then shut. */
const TURN_MS = 4_000;
/** From when as many shards are open as shall be until the first opening. */
const FIRST_MS = 3_000;

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

interface Case {
  readonly id: string;
  readonly gates: readonly GateRule[];
  /** Which gate the upgrade of a number waits at. */
  readonly gateOf?: (at: number) => number;
  /** How many shards are opened before the windows are. */
  readonly opened: number;
}

/** A rollout that goes on in each opening, with as many at a time as the wave allows, and each upgrade once. */
async function alternating({ id, gates, gateOf = () => 0, opened }: Case) {
  let begin = Infinity;
  const sent: string[] = [];
  const openings = new Set<number>();
  let openAtFirst = 0;
  let wave = '';
  let [underWay, most] = [0, 0];
  const turn = () => Math.floor((Date.now() - begin) / TURN_MS);
  const openShards = async () =>
    (await env.client.workflow.getHandle(wave).describe()).raw.pendingChildren?.length ?? 0;
  const steps = scriptedSteps({
    submit: async ({ spec: { resource } }) => {
      underWay += 1;
      most = Math.max(most, underWay);
      if (sent.length === 0) openAtFirst = await openShards();
      sent.push(resource.id);
      openings.add(turn());
      await delay(700);
      underWay -= 1;
      return {};
    },
  });
  const reads: typeof steps.reads & GateSteps = {
    ...steps.reads,
    readGates: async ({ gates: asked }) => {
      const iso = (at: number) => new Date(at).toISOString();
      const shut = (until: number) => ({ open: false, until: iso(until), closes: null, reason: 'shut', over: false });
      const stateOf = (gate: number) => {
        const now = turn();
        if (now < 0) return shut(begin === Infinity ? Date.now() + 1_000 : begin);
        const closes = begin + (now + 1) * TURN_MS;
        if (now % 2 > 0) return shut(closes);
        const until = closes - (gates[gate]?.needsMs ?? 0);
        return { open: true, until: iso(until), closes: iso(closes), reason: 'open', over: false };
      };
      return Object.fromEntries(asked.map((gate) => [gate, stateOf(gate)]));
    },
  };
  const body = async () => {
    const ids = Array.from({ length: SHARDS * PER_SHARD }, (_, at) => `${id}-${at}`);
    const plan = rolloutInput(id, { ids, concurrency: CONCURRENCY }, { max: ids.length, mode: 'loose' });
    const input = await keepInventory(
      env.client,
      {
        ...plan,
        waves: plan.waves.map(({ upgrades = [], ...one }) => ({
          ...one,
          upgrades: upgrades.map((spec, at) => ({ ...spec, gate: gateOf(at) })),
        })),
        windows: {
          calendars: gates.map(() => ({ windows: [], blackouts: [] })),
          gates,
          since: new Date().toISOString(),
          missedWindow: 'next',
        },
      },
      PER_SHARD,
    );
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(id),
      taskQueue: QUEUES.main,
      args: [input],
    });
    wave = waveWorkflowId(id, runKey({ rolloutRun: handle.firstExecutionRunId }), 1);
    await expect.poll(() => openShards().catch(() => 0), { timeout: 60_000 }).toBe(opened);
    begin = Date.now() + FIRST_MS;
    return handle.result();
  };
  const result = await withScriptedWorkers(env, { ...steps, reads }, body, false);
  expect(result.waves?.map(({ counts }) => counts)).toEqual([{ Succeeded: SHARDS * PER_SHARD }]);
  expect(new Set(sent).size).toBe(SHARDS * PER_SHARD);
  expect(sent).toHaveLength(SHARDS * PER_SHARD);
  expect(most).toBe(CONCURRENCY);
  expect(openings.size).toBeGreaterThan(1);
  expect(openAtFirst).toBe(opened);
  const { events } = await env.client.workflow.getHandle(wave).fetchHistory();
  const signals = (events ?? []).flatMap((event) => event.workflowExecutionSignaledEventAttributes?.signalName ?? []);
  return { words: signals.filter((name) => name === MESSAGES.shardWord).length };
}

it('give concurrency back while their own windows are shut, and keep it where those of all are', async () => {
  const gates = [
    { calendar: 0, needsMs: 0 },
    { calendar: 1, needsMs: 0 },
  ];
  // None knows of the others that they are shut as well.
  const own = await alternating({ id: 'own-windows', gates, gateOf: (at) => at % 2, opened: SHARDS });
  const one = await alternating({ id: 'one-window', gates, opened: 1 });
  console.log(`${own.words} words with windows of their own, ${one.words} with one for all`);
  expect(one.words).toBeLessThan(own.words);
});

it('are asked again once all that waited at them belonged to others for a moment', async () => {
  const id = 'others';
  const begin = Date.now();
  let [looks, submits] = [0, 0];
  const steps = scriptedSteps({
    submit: async () => {
      submits += 1;
      return submits > 1 ? {} : { verdict: 'closed', operation: null, over: false, reason: 'it has closed' };
    },
  });
  const reads: typeof steps.reads & GateSteps = {
    ...steps.reads,
    readGates: async () => {
      looks += 1;
      const until = new Date(begin + (Math.floor((Date.now() - begin) / TURN_MS) + 1) * TURN_MS).toISOString();
      return { 0: { open: true, until, closes: until, reason: 'open', over: false } };
    },
  };
  const body = async () => {
    const others = await env.client.workflow.start('upgrade', {
      workflowId: upgradeWorkflowId(spec(id).resource),
      taskQueue: 'nobody',
      args: [],
    });
    const plan = rolloutInput(
      id,
      { ids: [id], concurrency: 1 },
      { max: 0, mode: 'strict' },
      { gate: 0, onLocked: 'wait' },
    );
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(id),
      taskQueue: QUEUES.main,
      // Who owns it is looked at each second or two.
      args: [{ ...plan, timing: { scale: 0.05 } }],
    });
    await expect.poll(() => looks, { timeout: 60_000 }).toBeGreaterThan(1);
    await others.terminate();
    return handle.result();
  };
  const { outcome } = await withScriptedWorkers(env, { ...steps, reads }, body);
  expect([outcome, submits]).toEqual(['Succeeded', 2]);
});
