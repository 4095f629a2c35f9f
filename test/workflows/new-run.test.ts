/** A shard whose history has become long goes on in a new run, on a real server: nobody that talks to it need know. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { inventorySteps, keepInventory } from '../../activities/inventory.js';
import { decoded } from '../../client/server-reads.js';
import { inputOf } from '../../temporal/reads.js';
import type { GateState } from '../../workflows/contracts/calendar.js';
import type { SkipOrder } from '../../workflows/contracts/control.js';
import {
  rolloutWorkflowId,
  runKey,
  shardWorkflowId,
  upgradeWorkflowId,
  waveWorkflowId,
} from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import {
  SHARD_SIZE,
  type RolloutResult,
  type ShardInput,
  type ShardProgress,
  type ShardResult,
  type ShardStatus,
} from '../../workflows/contracts/rollout.js';
import { ATTRIBUTES } from '../../workflows/contracts/search-attributes.js';
import type { GateSteps, InventorySteps } from '../../workflows/contracts/steps.js';
import type { rollout } from '../../workflows/rollout.js';
import { endedRollout } from '../support/ended.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { heldOperations, rolloutInput, type Script, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: RealEnvironment;
let number = 0;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

const OPEN: GateState = { open: true, until: null, closes: null, reason: 'open', over: false };
const SHUT: GateState = { open: false, until: null, closes: null, reason: 'shut for now', over: false };

/** A rollout of one full shard whose window is shut until `open` is called; and again, where it does not stay open for good. */
async function within<T>(script: Script, body: (shut: Shut) => Promise<T>, isForGood = true): Promise<T> {
  const id = `n-${(number += 1)}`;
  let isOpen = false;
  let mayRead = Promise.resolve();
  const steps = scriptedSteps(script);
  const reads: typeof steps.reads & GateSteps & Pick<InventorySteps, 'readInventory'> = {
    ...steps.reads,
    readInventory: (ref) => mayRead.then(() => inventorySteps.readInventory(ref)),
    readGates: async () => {
      const until = new Date(Date.now() + 1_000).toISOString();
      return { 0: isOpen ? { ...OPEN, ...(isForGood ? {} : { until, closes: until }) } : { ...SHUT, until } };
    },
  };
  return withScriptedWorkers(
    env,
    { ...steps, reads },
    async () => {
      const ids = Array.from({ length: SHARD_SIZE }, (_, at) => `${id}x-${at}`);
      const plan = rolloutInput(id, { ids, concurrency: 2 }, { max: SHARD_SIZE, mode: 'loose' }, { gate: 0 });
      const input = await keepInventory(env.client, plan, SHARD_SIZE);
      const handle = await env.client.workflow.start<typeof rollout>('rollout', {
        workflowId: rolloutWorkflowId(id),
        taskQueue: QUEUES.main,
        args: [input],
      });
      const shard = shardWorkflowId(id, runKey({ rolloutRun: handle.firstExecutionRunId }), 1, 1);
      await expect.poll(() => runOf(shard), { timeout: 20_000 }).not.toBeNull();
      return body({
        id,
        shard,
        wave: waveWorkflowId(id, runKey({ rolloutRun: handle.firstExecutionRunId }), 1),
        handle,
        upgrades: ids.map((one) => upgradeWorkflowId(spec(one).resource)),
        called: steps.called,
        open: () => {
          isOpen = true;
        },
        close: () => {
          isOpen = false;
        },
        keepList: (until) => {
          mayRead = until;
        },
        result: () => endedRollout(handle),
      });
    },
    false,
  );
}

interface Shut {
  readonly id: string;
  /** Workflow ids. */
  readonly shard: string;
  readonly wave: string;
  readonly upgrades: readonly string[];
  readonly handle: { cancel(): Promise<unknown> };
  readonly called: readonly string[];
  open(): void;
  close(): void;
  /** No list is read before that. */
  keepList(until: Promise<void>): void;
  result(): Promise<RolloutResult>;
}

/** The latest run; `null` before the first one. */
async function runOf(workflowId: string): Promise<string | null> {
  try {
    return (await env.client.workflow.getHandle(workflowId).describe()).runId;
  } catch {
    return null;
  }
}

/** Words that are for another shard cost a history as much as any. */
async function talk({ shard }: Pick<Shut, 'shard'>, until: () => Promise<boolean>): Promise<void> {
  const order: SkipOrder = { shard: 99, workflowId: 'another', why: 'another' };
  for (let words = 0; !(await until()); words += 1) {
    if (words > 10_000) throw new Error('it never goes on in a new run');
    await env.client.workflow.getHandle(shard).signal(MESSAGES.skipOrder, order);
  }
}

async function untilNewRun(of: Pick<Shut, 'shard'>): Promise<string> {
  const before = await runOf(of.shard);
  await talk(of, async () => (await runOf(of.shard)) !== before);
  return (await runOf(of.shard)) ?? '';
}

/** How many operations are followed, or were. */
function awaited({ called }: Pick<Shut, 'called'>): number {
  return called.filter((call) => call.startsWith('await')).length;
}

/** Until the server has a request to cancel the shard. */
async function untilAsked({ shard }: Pick<Shut, 'shard'>): Promise<void> {
  const isAsked = async () =>
    (await env.client.workflow.getHandle(shard).describe()).raw.workflowExtendedInfo?.cancelRequested;
  await expect.poll(isAsked, { timeout: 60_000 }).toBe(true);
}

async function endsOf({ shard }: Pick<Shut, 'shard'>) {
  return ((await env.client.workflow.getHandle(shard).result()) as ShardResult).ends;
}

it('tells its new run all that it is told, also at that very moment', async () => {
  const hold = heldOperations();
  await within(hold.script, async (shut) => {
    const { shard, upgrades } = shut;
    const grant = { answers: 0, tellAfter: 1, stop: null };
    const runs = new Set<string>();
    // Word after word, over several runs; each skip makes room for some of them.
    let skipped = 0;
    let words = 0;
    await talk(shut, async () => {
      if ((words += 1) % 25 > 0) return false;
      runs.add((await runOf(shard)) ?? '');
      const workflowId = upgrades[skipped] ?? '';
      const handle = env.client.workflow.getHandle(shard);
      await handle.signal(MESSAGES.skipOrder, { shard: 1, workflowId, why: 'told' });
      skipped += 1;
      await handle.signal(MESSAGES.grant, { ...grant, number: skipped + 1, limits: { slots: 3 + skipped } });
      return runs.size > 3;
    });
    expect(skipped).toBeGreaterThan(runs.size);
    shut.open();
    // As many as the last grant says.
    await expect.poll(() => awaited(shut), { timeout: 60_000 }).toBe(3 + skipped);
    await shut.handle.cancel();
    // Else one that ends before its shard has heard of it makes room for another one.
    await untilAsked(shut);
    hold.release();
    const counts = { Succeeded: 3 + skipped, Skipped: skipped, NotStarted: SHARD_SIZE - 3 - 2 * skipped };
    expect((await shut.result()).counts).toEqual(counts);
    const ends = await endsOf(shut);
    expect(new Set(ends.map(({ workflowId }) => workflowId)).size).toBe(SHARD_SIZE);
    expect(ends.filter(({ outcome }) => outcome === 'Skipped').map(({ workflowId }) => workflowId)).toEqual(
      upgrades.slice(0, skipped),
    );
    const { events } = await env.client.workflow.getHandle(rolloutWorkflowId(shut.id)).fetchHistory();
    const told = (events ?? []).flatMap(({ workflowExecutionSignaledEventAttributes: signal }) =>
      signal?.signalName === MESSAGES.shardProgress ? [decoded(env.client, signal.input?.payloads)] : [],
    );
    const numbers = ((await Promise.all(told)) as ShardProgress[]).map((word) => word.number ?? 0);
    expect(numbers.toSorted((one, other) => one - other)).toEqual(numbers.map((_, at) => at + 1));
  });
});

it('is found by who asks for its rollout, and hears of a cancel', async () => {
  await within({}, async (shut) => {
    const second = await untilNewRun(shut);
    const { typedSearchAttributes, parentExecution } = await env.client.workflow.getHandle(shut.shard).describe();
    expect(typedSearchAttributes.get(ATTRIBUTES.rollout)).toBe(shut.id);
    expect(parentExecution?.workflowId).toBe(shut.wave);
    await shut.handle.cancel();
    expect(await shut.result()).toMatchObject({ outcome: 'Stopped', counts: { NotStarted: SHARD_SIZE } });
    expect(await runOf(shut.shard)).toBe(second);
    expect(await endsOf(shut)).toHaveLength(SHARD_SIZE);
  });
});

it.each([
  ['its wave is cancelled', ({ wave }: Shut) => env.client.workflow.getHandle(wave).cancel()],
  ['its wave is terminated', ({ wave }: Shut) => env.client.workflow.getHandle(wave).terminate()],
  ['it is cancelled', ({ shard }: Shut) => env.client.workflow.getHandle(shard).cancel()],
])('follows what its new run has in flight when %s', async (_, end) => {
  const hold = heldOperations();
  await within(hold.script, async (shut) => {
    const second = await untilNewRun(shut);
    shut.open();
    await expect.poll(() => awaited(shut), { timeout: 60_000 }).toBe(2);
    const [first = ''] = shut.upgrades;
    // Who asks what is above an upgrade finds the run that is.
    const { parentExecution } = await env.client.workflow.getHandle(first).describe();
    expect(parentExecution?.runId).toBe(second);
    await end(shut);
    await untilAsked(shut);
    hold.release();
    const outcomes = (await endsOf(shut)).map(({ outcome }) => outcome);
    expect(outcomes.filter((outcome) => outcome === 'Succeeded')).toHaveLength(2);
    expect(outcomes.filter((outcome) => outcome === 'NotStarted')).toHaveLength(SHARD_SIZE - 2);
    expect(await runOf(shut.shard)).toBe(second);
    await shut.result();
  });
});

it('tells what its earlier runs did, also when it is cancelled before its new run has its list', async () => {
  await within({}, async (shut) => {
    const handle = env.client.workflow.getHandle(shut.shard);
    const [first = ''] = shut.upgrades;
    await handle.signal(MESSAGES.skipOrder, { shard: 1, workflowId: first, why: 'told' } satisfies SkipOrder);
    const ended = async () => (await handle.query<ShardStatus>(MESSAGES.shardStatus)).ends.length;
    await expect.poll(ended, { timeout: 20_000 }).toBe(1);
    let release = () => {};
    shut.keepList(new Promise((resolve) => (release = resolve)));
    await untilNewRun(shut);
    await handle.cancel();
    const hasHeard = async () => (await handle.describe()).raw.pendingWorkflowTask == null;
    await expect.poll(hasHeard, { timeout: 20_000 }).toBe(true);
    release();
    const outcomes = (await endsOf(shut)).map(({ outcome }) => outcome);
    expect(outcomes).toEqual(['Skipped', ...Array.from({ length: SHARD_SIZE - 1 }, () => 'NotStarted')]);
    expect((await shut.result()).counts).toEqual({ Skipped: 1, NotStarted: SHARD_SIZE - 1 });
  });
});

it('starts nothing more once its history is full, and goes on after the end of what it has in flight', async () => {
  const hold = heldOperations();
  await within(hold.script, async (shut) => {
    const first = await runOf(shut.shard);
    const handle = env.client.workflow.getHandle(shut.shard);
    shut.open();
    await expect.poll(() => awaited(shut), { timeout: 60_000 }).toBe(2);
    const waits = async () => (await handle.query<ShardStatus>(MESSAGES.shardStatus)).waits ?? [];
    let words = 0;
    // In flight are two of four hundred, so waiting alone has to fill it.
    await talk(shut, async () => (words += 1) % 20 === 0 && (await waits()).some(({ why }) => why.includes('new run')));
    expect(await waits()).toHaveLength(SHARD_SIZE - 2);
    expect(await runOf(shut.shard)).toBe(first);
    hold.release();
    await expect.poll(() => runOf(shut.shard), { timeout: 60_000 }).not.toBe(first);
    expect((await env.client.workflow.getHandle(shut.shard, first ?? '').describe()).historyLength).toBeLessThan(4_000);
    await expect.poll(() => awaited(shut), { timeout: 60_000 }).toBeGreaterThan(2);
    await shut.handle.cancel();
    const { counts } = await shut.result();
    expect((counts.Succeeded ?? 0) + (counts.NotStarted ?? 0)).toBe(SHARD_SIZE);
  });
});

it('has what was busy go last in its new run, too, and knows how long it has waited', async () => {
  const busy = new Set<string>();
  let isBusy = true;
  const precheck: Script['precheck'] = ({ spec: { resource } }) => {
    if (!isBusy) return {};
    busy.add(upgradeWorkflowId(resource));
    return { verdict: 'busy', reason: 'exporting', closure: { reason: 'shut for now', over: false } };
  };
  await within(
    { precheck },
    async (shut) => {
      shut.open();
      await expect.poll(() => busy.size, { timeout: 60_000 }).toBeGreaterThan(1);
      shut.close();
      const runId = await untilNewRun(shut);
      const { carried } = await inputOf<ShardInput>(env.client, shut.shard, runId);
      expect(new Set(Object.keys(carried?.waited ?? {}))).toEqual(busy);

      isBusy = false;
      const submitted = () =>
        shut.called.filter((call) => call.startsWith('submit')).map((call) => call.slice('submit '.length));
      shut.open();
      await expect.poll(() => submitted().length, { timeout: 60_000 }).toBeGreaterThan(1);
      await shut.handle.cancel();
      await shut.result();
      const first = submitted().map((id) => upgradeWorkflowId(spec(id).resource));
      expect(first.filter((one) => busy.has(one))).toEqual([]);
    },
    false,
  );
});
