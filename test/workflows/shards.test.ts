/** One wave in several shards, on a real server: limits and budget hold across them, and shards overlap. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepInventory } from '../../activities/inventory.js';
import { rolloutWorkflowId, runKey, shardWorkflowId, waveWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { inventoriesOf, SHARD_SIZE, type RolloutInput } from '../../workflows/contracts/rollout.js';
import type { rollout } from '../../workflows/rollout.js';
import { endedRollout } from '../support/ended.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { type Script, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: RealEnvironment;
let number = 0;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

interface Plan {
  readonly accounts: readonly string[];
  readonly concurrency: number;
  readonly budget: RolloutInput['budget'];
  readonly accountLimits?: RolloutInput['accountLimits'];
  readonly shardSize: number;
  readonly prepare?: (input: RolloutInput) => Promise<void>;
  /** After the rollout's end, while its workers still serve what it leaves behind. */
  readonly finish?: (input: RolloutInput) => Promise<void>;
  /** Every task replays the history from its start, so that a non-deterministic workflow fails; slow with many. */
  readonly replays?: boolean;
}

/** Which upgrade was in flight when, by account and shard. */
class Flight {
  readonly now = new Map<string, number>();
  readonly peak = new Map<string, number>();

  change(name: string, by: 1 | -1): void {
    const next = (this.now.get(name) ?? 0) + by;
    this.now.set(name, next);
    this.peak.set(name, Math.max(this.peak.get(name) ?? 0, next));
  }
}

async function run(plan: Plan, script: Script = {}) {
  const id = `s-${(number += 1)}`;
  const flight = new Flight();
  const steps = scriptedSteps({
    ...script,
    submit: async (input, call) => {
      const { resource } = input.spec;
      ['all', resource.account].forEach((name) => flight.change(name, 1));
      return (await script.submit?.(input, call)) ?? {};
    },
    verify: async (input, call) => {
      const { resource } = input.spec;
      // Differently long, so that ends come in another order than starts.
      await new Promise((resolve) => setTimeout(resolve, 20 * (Number(resource.id.split('-')[1]) % 5)));
      ['all', resource.account].forEach((name) => flight.change(name, -1));
      return (await script.verify?.(input, call)) ?? {};
    },
  });
  return withScriptedWorkers(
    env,
    steps,
    async () => {
      const input = await keepInventory(
        env.client,
        {
          rollout: id,
          planDigest: 'digest',
          startedBy: 'test',
          waves: [
            {
              name: 'one',
              concurrency: plan.concurrency,
              upgrades: plan.accounts.map((account, at) => spec(`${id}x-${at}`, account)),
            },
          ],
          budget: plan.budget,
          accountLimits: plan.accountLimits ?? {},
          timing: { scale: 1 },
        },
        plan.shardSize,
      );
      await plan.prepare?.(input);
      const handle = await env.client.workflow.start<typeof rollout>('rollout', {
        workflowId: rolloutWorkflowId(id),
        taskQueue: QUEUES.main,
        args: [input],
      });
      const result = await endedRollout(handle);
      await plan.finish?.(input);
      return { id, input, result, flight, runId: handle.firstExecutionRunId };
    },
    plan.replays ?? true,
  );
}

function repeated<T>(count: number, values: readonly T[]): T[] {
  return Array.from({ length: count }, (_, at) => values[at % values.length] as T);
}

async function eventsOf(workflowId: string) {
  return (await env.client.workflow.getHandle(workflowId).fetchHistory()).events ?? [];
}

it('shards overlap, and never have more in flight than wave and accounts allow', async () => {
  const started = new Set<number>();
  const shardOf = (id: string) => Math.floor(Number(id.split('-').at(-1)) / 6);
  const { result, flight } = await run(
    {
      accounts: repeated(24, ['a', 'a', 'b']),
      concurrency: 4,
      accountLimits: { a: 3, b: 1 },
      budget: { max: 30, mode: 'loose' },
      shardSize: 6,
    },
    {
      precheck: ({ spec: { resource } }) => {
        started.add(shardOf(resource.id));
        return {};
      },
      // The last of each shard ends only once the next shard has begun.
      awaitOperation: async ({ spec: { resource } }) => {
        const isLast = Number(resource.id.split('-').at(-1)) % 6 === 5;
        const next = shardOf(resource.id) + 1;
        while (isLast && next < 4 && !started.has(next)) await new Promise((resolve) => setTimeout(resolve, 50));
        return {};
      },
    },
  );
  expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: 24 } });
  expect(flight.peak.get('all')).toBeLessThanOrEqual(4);
  expect(flight.peak.get('a')).toBeLessThanOrEqual(3);
  expect(flight.peak.get('b')).toBe(1);
});

it('a strict budget holds across shards: never more than one beyond it, and nothing more is started', async () => {
  const { result, flight } = await run(
    { accounts: repeated(20, ['a']), concurrency: 10, budget: { max: 2, mode: 'strict' }, shardSize: 4 },
    {
      verify: ({ spec: { resource } }) =>
        Number(resource.id.split('-').at(-1)) % 3 === 0
          ? { verdict: 'not-at-target', version: '1', reason: 'version 1' }
          : {},
    },
  );
  expect(result).toMatchObject({ outcome: 'Failed', failures: 3, counts: { RolledBack: 3 } });
  expect(flight.peak.get('all')).toBeLessThanOrEqual(3);
  expect(Object.values(result.counts).reduce((sum, count) => sum + count, 0)).toBe(20);
});

it.each([
  ['one of two places', ['bad'], { Failed: 1, Succeeded: 4 }, 1],
  ['both places', ['bad', 'worse'], { Failed: 2, Skipped: 4 }, 0],
])('a group over shards never has more unavailable, with %s lost in an earlier wave', async (_, lost, counts, most) => {
  const id = `g-${lost.length}`;
  const member = (name: string) => ({ ...spec(`${id}-${name}`), groups: { [id]: 2 } });
  const later = ['a', 'b', 'c', 'd'].map(member);
  const flight = new Flight();
  const isLater = (of: string) => later.some(({ resource }) => resource.id === of);
  const steps = scriptedSteps({
    awaitOperation: async ({ spec: { resource } }) => {
      if (!isLater(resource.id)) return {};
      flight.change('later', 1);
      // Long enough for another shard to open, and to begin.
      await new Promise((resolve) => setTimeout(resolve, 500));
      flight.change('later', -1);
      return {};
    },
    verify: ({ spec: { resource } }) => (isLater(resource.id) ? {} : { verdict: 'unhealthy', reason: 'down' }),
  });
  await withScriptedWorkers(env, steps, async () => {
    const waves = [
      { name: 'one', concurrency: 9, upgrades: lost.map(member) },
      { name: 'two', concurrency: 9, upgrades: later },
    ];
    const input: RolloutInput = {
      rollout: id,
      planDigest: 'digest',
      startedBy: 'test',
      waves,
      budget: { max: 5, mode: 'loose' },
      accountLimits: {},
      timing: { scale: 1 },
    };
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(id),
      taskQueue: QUEUES.main,
      args: [await keepInventory(env.client, input, 2)],
    });
    const result = await endedRollout(handle);
    expect(result.counts).toEqual(counts);
    expect(flight.peak.get('later') ?? 0).toBe(most);
  });
});

it('a list that is no longer on the server starts nothing, and says so', async () => {
  const { result, id, runId } = await run({
    accounts: repeated(6, ['a']),
    concurrency: 1,
    budget: { max: 0, mode: 'strict' },
    shardSize: 3,
    prepare: async (input) => {
      const last = input.waves[0]?.parts?.[1]?.inventory;
      await env.client.workflowService.deleteWorkflowExecution({
        namespace: env.namespace,
        workflowExecution: last,
      });
      while (await exists(last?.workflowId ?? '')) await new Promise((resolve) => setTimeout(resolve, 100));
    },
  });
  expect(result).toMatchObject({ outcome: 'Stopped', counts: { Succeeded: 3, NotStarted: 3 }, failures: 0 });
  const shard = env.client.workflow.getHandle(shardWorkflowId(id, runKey({ rolloutRun: runId }), 1, 2));
  await expect(shard.result()).rejects.toMatchObject({ cause: { cause: { type: 'InventoryGone' } } });
});

it('its histories and payloads stay small, and the lists go with the rollout', async () => {
  const { id, result, runId } = await run({
    accounts: repeated(SHARD_SIZE + 40, ['a', 'b']),
    concurrency: 100,
    accountLimits: { a: 60, b: 60 },
    budget: { max: 500, mode: 'strict' },
    shardSize: SHARD_SIZE,
    replays: false,
    finish: async (input) => {
      for (const { workflowId, runId } of inventoriesOf(input)) {
        await env.client.workflow.getHandle(workflowId, runId).result();
      }
    },
  });
  expect(result.counts).toEqual({ Succeeded: SHARD_SIZE + 40 });
  const of = {
    rollout: rolloutWorkflowId(id),
    wave: waveWorkflowId(id, runKey({ rolloutRun: runId }), 1),
    shard: shardWorkflowId(id, runKey({ rolloutRun: runId }), 1, 1),
  };
  for (const [name, workflowId] of Object.entries(of)) {
    const events = await eventsOf(workflowId);
    const payloads = events.flatMap((event) => payloadSizes(event));
    console.log(`${name}: ${events.length} events, largest payload ${Math.max(...payloads)} bytes`);
    expect(events.length).toBeLessThan(4_000);
    expect(Math.max(...payloads)).toBeLessThan(250_000);
  }
  // 440 upgrades: a busy machine needs more than the ordinary time.
}, 400_000);

async function exists(workflowId: string): Promise<boolean> {
  return env.client.workflow
    .getHandle(workflowId)
    .describe()
    .then(() => true)
    .catch(() => false);
}

/** Sizes of all payloads in an event. */
function payloadSizes(value: unknown): number[] {
  if (value instanceof Uint8Array) return [value.length];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(payloadSizes);
}
