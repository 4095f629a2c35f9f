/** Shards that share a wave's concurrency give it back while their windows are shut, and get it again: on a real server. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepInventory } from '../../activities/inventory.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { GateSteps } from '../../workflows/contracts/steps.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { rolloutInput, scriptedSteps } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

const SHARDS = 3;
const PER_SHARD = 6;
const CONCURRENCY = 2;
/** How long the windows are open, and then shut. */
const TURN_MS = 4_000;

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

it('goes on in each opening, with as many at a time as the wave allows', async () => {
  const id = 'shared-windows';
  const begin = Date.now();
  const openings = new Set<number>();
  const sent: string[] = [];
  let [underWay, most] = [0, 0];
  const turn = () => Math.floor((Date.now() - begin) / TURN_MS);
  const steps = scriptedSteps({
    submit: async ({ spec: { resource } }) => {
      sent.push(resource.id);
      openings.add(turn());
      underWay += 1;
      most = Math.max(most, underWay);
      await delay(700);
      underWay -= 1;
      return {};
    },
  });
  const reads: typeof steps.reads & GateSteps = {
    ...steps.reads,
    readGates: async () => {
      const [now, open] = [turn(), turn() % 2 === 0];
      const edge = new Date(begin + (now + 1) * TURN_MS).toISOString();
      return { 0: { open, until: edge, closes: open ? edge : null, reason: open ? 'open' : 'shut', over: false } };
    },
  };
  const result = await withScriptedWorkers(
    env,
    { ...steps, reads },
    async () => {
      const ids = Array.from({ length: SHARDS * PER_SHARD }, (_, at) => `${id}-${at}`);
      const plan = rolloutInput(id, { ids, concurrency: CONCURRENCY }, { max: ids.length, mode: 'loose' }, { gate: 0 });
      const input = await keepInventory(env.client, plan, PER_SHARD);
      const handle = await env.client.workflow.start<typeof rollout>('rollout', {
        workflowId: rolloutWorkflowId(id),
        taskQueue: QUEUES.main,
        args: [input],
      });
      return handle.result();
    },
    false,
  );
  expect(result.waves?.map(({ counts }) => counts)).toEqual([{ Succeeded: SHARDS * PER_SHARD }]);
  expect(new Set(sent).size).toBe(sent.length);
  expect(most).toBe(CONCURRENCY);
  expect(openings.size).toBeGreaterThan(1);
});
