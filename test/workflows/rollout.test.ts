import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rolloutWorkflowId, runKey, shardWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type {
  RolloutInput,
  RolloutResult,
  RolloutStatus,
  ShardStatus,
  UpgradeEnd,
} from '../../workflows/contracts/rollout.js';
import { ATTRIBUTES } from '../../workflows/contracts/search-attributes.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import type { rollout } from '../../workflows/rollout.js';
import { endedRollout } from '../support/ended.js';
import { timeSkippingEnvironment } from '../support/environment.js';
import { heldOperations, type Script, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: TestWorkflowEnvironment;
let number = 0;

beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

interface Plan {
  /** Resources per wave, and how many at a time. */
  readonly waves: readonly { ids: readonly string[]; concurrency: number; maxFailures?: number }[];
  /** What binds single resources. */
  readonly more?: Readonly<Record<string, Partial<UpgradeSpec>>>;
  readonly budget?: RolloutInput['budget'];
  readonly accountLimits?: RolloutInput['accountLimits'];
}

interface Ran {
  readonly result: RolloutResult;
  readonly status: RolloutStatus;
  readonly called: readonly string[];
  /** Of the first wave's first shard. */
  readonly ends: readonly UpgradeEnd[];
  /** The most upgrades that were between submit and verify at one time. */
  readonly peak: number;
}

/** Resource ids are unique per test, since their workflow ids are leases. */
function ids(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${(number += 1)}-${index}`);
}

async function run(
  plan: Plan,
  script: Script = {},
  meanwhile: (handle: WorkflowHandle<typeof rollout>) => Promise<void> = () => Promise.resolve(),
): Promise<Ran> {
  let now = 0;
  let peak = 0;
  const steps = scriptedSteps({
    ...script,
    submit: async (input, call) => {
      now += 1;
      peak = Math.max(peak, now);
      return (await script.submit?.(input, call)) ?? {};
    },
    verify: async (input, call) => {
      now -= 1;
      return (await script.verify?.(input, call)) ?? {};
    },
  });
  const id = `r-${(number += 1)}`;
  return withScriptedWorkers(env, steps, async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(id),
      taskQueue: QUEUES.main,
      args: [
        {
          rollout: id,
          planDigest: 'digest',
          startedBy: 'test',
          waves: plan.waves.map((wave, index) => ({
            name: `wave ${index + 1}`,
            concurrency: wave.concurrency,
            ...(wave.maxFailures === undefined ? {} : { maxFailures: wave.maxFailures }),
            upgrades: wave.ids.map((resource) => ({ ...spec(resource), ...plan.more?.[resource] })),
          })),
          budget: plan.budget ?? { max: 0, mode: 'strict' },
          accountLimits: plan.accountLimits ?? {},
          timing: { scale: 1 },
        },
      ],
    });
    await meanwhile(handle);
    const result = await endedRollout(handle);
    const status = await handle.query<RolloutStatus>(MESSAGES.rolloutStatus);
    const shard = shardWorkflowId(id, runKey({ rolloutRun: handle.firstExecutionRunId }), 1, 1);
    const { ends } = await env.client.workflow.getHandle(shard).query<ShardStatus>(MESSAGES.shardStatus);
    return { result, status, called: steps.called, ends, peak };
  });
}

/** Resolves once a cancel has come down the tree to this workflow. */
async function cancelRequested(workflowId: string): Promise<void> {
  for (;;) {
    const { events } = await env.client.workflow.getHandle(workflowId).fetchHistory();
    if (events?.some((event) => event.workflowExecutionCancelRequestedEventAttributes != null)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Resolves once the shard of an upgrade has acted on a signal. */
async function untilHandled(resource: string, signal: string): Promise<void> {
  for (;;) {
    const upgrade = env.client.workflow.getHandle(upgradeWorkflowId(spec(resource).resource));
    const parent = (await upgrade.describe().catch(() => null))?.parentExecution?.workflowId ?? null;
    const { events = [] } = parent === null ? {} : await env.client.workflow.getHandle(parent).fetchHistory();
    const at = events?.findIndex(({ workflowExecutionSignaledEventAttributes: it }) => it?.signalName === signal) ?? -1;
    if (at >= 0 && events?.slice(at).some((event) => event.workflowTaskCompletedEventAttributes != null)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const rolledBack = { verdict: 'not-at-target', version: '1', reason: 'version 1' } as const;

describe('rollout', () => {
  it('runs wave after wave, and succeeds when every resource is at its target', async () => {
    const [first, second] = [ids('a', 3), ids('a', 2)];
    const { result, status, called } = await run({
      waves: [
        { ids: first, concurrency: 3 },
        { ids: second, concurrency: 2 },
      ],
      budget: { max: 5, mode: 'loose' },
    });
    expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: 5 }, failures: 0 });
    expect(status.waves.map(({ state }) => state)).toEqual(['Done', 'Done']);
    const of = (entry: string) => entry.split(' ')[1] ?? '';
    const lastOfFirst = called.findLastIndex((entry) => first.includes(of(entry)));
    const firstOfSecond = called.findIndex((entry) => second.includes(of(entry)));
    expect(lastOfFirst).toBeLessThan(firstOfSecond);
  });

  it('stays with the latest word of a shard when an earlier one comes after it', async () => {
    const { script, followed, release } = heldOperations();
    const { status } = await run({ waves: [{ ids: ids('word', 1), concurrency: 1 }] }, script, async (handle) => {
      await followed;
      // As of a shard that has none of its upgrades itself.
      const word = { wave: 1, shard: 2, inFlight: 0, failure: null };
      await handle.signal(MESSAGES.shardProgress, { ...word, counts: { Succeeded: 2 } });
      await handle.signal(MESSAGES.shardProgress, { ...word, counts: { Succeeded: 1 } });
      const { waves } = await handle.query<RolloutStatus>(MESSAGES.rolloutStatus);
      expect(waves[0]?.counts).toEqual({ Succeeded: 2 });
      release();
    });
    expect(status.waves[0]?.counts).toEqual({ Succeeded: 1 });
  });

  it('stays with its latest word also where nothing more had ended by then', async () => {
    const { script, followed, release } = heldOperations();
    await run({ waves: [{ ids: ids('numbered', 1), concurrency: 1 }] }, script, async (handle) => {
      await followed;
      const word = { wave: 1, shard: 2, inFlight: 1, failure: null, counts: { Succeeded: 1 } };
      await handle.signal(MESSAGES.shardProgress, { ...word, number: 12, failures: 1 });
      await handle.signal(MESSAGES.shardProgress, { ...word, number: 11, failures: 0 });
      const told = await handle.query<RolloutStatus>(MESSAGES.rolloutStatus);
      release();
      expect(told.waves[0]?.failures).toBe(1);
    });
  });

  it('keeps a strict budget: one at a time with 0, and stops at the first failure', async () => {
    const { result, status, peak } = await run(
      {
        waves: [
          { ids: ids('b', 5), concurrency: 5 },
          { ids: ids('b', 2), concurrency: 1 },
        ],
      },
      { verify: (input) => (input.spec.resource.id.endsWith('-1') ? rolledBack : {}) },
    );
    expect(peak).toBe(1);
    expect(result).toMatchObject({ outcome: 'Failed', failures: 1 });
    expect(result.counts).toEqual({ Succeeded: 1, RolledBack: 1, NotStarted: 5 });
    expect(status.waves.map(({ state }) => state)).toEqual(['Done', 'NotStarted']);
  });

  it('tolerates failures up to the budget and says so', async () => {
    const { result, peak } = await run(
      { waves: [{ ids: ids('c', 6), concurrency: 6 }], budget: { max: 2, mode: 'strict' } },
      { verify: (input) => (input.spec.resource.id.endsWith('-0') ? rolledBack : {}) },
    );
    expect(peak).toBeLessThanOrEqual(3);
    expect(result).toMatchObject({ outcome: 'SucceededWithFailures', failures: 1 });
  });

  it('charges an overdue upgrade to the budget once, while it is followed on', async () => {
    const resources = ids('o', 4);
    const { result } = await run(
      { waves: [{ ids: resources, concurrency: 2 }], budget: { max: 0, mode: 'loose' } },
      {
        awaitOperation: ({ spec: { resource } }, call) =>
          resource.id === resources[0] && call < 3 ? { ended: false, reason: 'job running' } : {},
      },
    );
    // It ended well, and yet the rollout had stopped starting others.
    expect(result).toMatchObject({ outcome: 'Failed', failures: 1 });
    expect(result.counts.Succeeded).toBeGreaterThanOrEqual(1);
    expect(result.counts.NotStarted).toBeGreaterThanOrEqual(1);
    expect(result.counts.Failed).toBeUndefined();
  });

  it('does not charge one twice that was overdue and then failed', async () => {
    const resources = ids('p', 3);
    const { result } = await run(
      { waves: [{ ids: resources, concurrency: 1 }], budget: { max: 1, mode: 'strict' } },
      {
        awaitOperation: ({ spec: { resource } }, call) =>
          resource.id === resources[0] && call < 2 ? { ended: false, reason: 'job running' } : {},
        verify: ({ spec: { resource } }) => (resource.id === resources[0] ? rolledBack : {}),
      },
    );
    expect(result).toMatchObject({ outcome: 'SucceededWithFailures', failures: 1 });
    expect(result.counts).toEqual({ RolledBack: 1, Succeeded: 2 });
  });

  it('frees no place in a strict budget for one that is overdue and was not charged', async () => {
    const resources = ids('q', 3);
    let goOn = () => {};
    const shardHasHeard = new Promise<void>((resolve) => (goOn = resolve));
    const { result } = await run(
      { waves: [{ ids: resources, concurrency: 3 }], budget: { max: 0, mode: 'strict', counts: ['upgrade'] } },
      {
        awaitOperation: async (_input, call) => {
          if (call === 1) return { ended: false, reason: 'job running' };
          await shardHasHeard;
          return {};
        },
        verify: () => rolledBack,
      },
      async () => {
        await untilHandled(resources[0] ?? '', MESSAGES.upgradeOverdue);
        goOn();
      },
    );
    expect(result).toMatchObject({ outcome: 'Failed', failures: 1 });
    expect(result.counts).toEqual({ RolledBack: 1, NotStarted: 2 });
  });

  it('has one of a group in flight at a time, and starts what waits once that has come', async () => {
    const [engine, left, right, client] = ids('g', 4) as [string, string, string, string];
    const pair = { groups: { pair: 1 } };
    const flying = new Set<string>();
    const together: string[] = [];
    const { result, called } = await run(
      {
        waves: [{ ids: [client, left, right, engine], concurrency: 4 }],
        budget: { max: 3, mode: 'loose' },
        more: {
          [client]: { after: ['engines'] },
          [left]: pair,
          [right]: pair,
          [engine]: { provides: ['engines'] },
        },
      },
      {
        submit: ({ spec: { resource } }) => {
          flying.add(resource.id);
          if (flying.has(left) && flying.has(right)) together.push(resource.id);
          return {};
        },
        verify: ({ spec: { resource } }) => {
          flying.delete(resource.id);
          return {};
        },
      },
    );
    expect(result.outcome).toBe('Succeeded');
    expect(together).toEqual([]);
    expect(called.indexOf(`precheck ${client}`)).toBeGreaterThan(called.indexOf(`verify ${engine}`));
  });

  it('keeps the place in its group of one that was found at its target and unhealthy', async () => {
    const [left, right] = ids('unwell', 2) as [string, string];
    const pair = { groups: { pair: 1 } };
    const { result, called } = await run(
      {
        waves: [
          { ids: [left], concurrency: 1 },
          { ids: [right], concurrency: 1 },
        ],
        budget: { max: 2, mode: 'loose' },
        more: { [left]: pair, [right]: pair },
      },
      {
        precheck: ({ spec: { resource } }) =>
          resource.id === left ? { verdict: 'refused', unwell: true, reason: 'at its target, and unhealthy' } : {},
      },
    );
    expect(result.counts).toEqual({ Refused: 1, Skipped: 1 });
    expect(called.filter((call) => call.startsWith('submit'))).toEqual([]);
  });

  it('keeps the place in its group of one that ended held, and skips the others, also those of a later wave', async () => {
    const [left, right, alone, late] = ids('held', 4) as [string, string, string, string];
    const pair = { groups: { pair: 1 } };
    const { result, called, ends } = await run(
      {
        waves: [
          { ids: [left, right, alone], concurrency: 3 },
          { ids: [late], concurrency: 1 },
        ],
        budget: { max: 3, mode: 'loose' },
        more: { [left]: pair, [right]: pair, [late]: pair },
      },
      {
        verify: ({ spec: { resource } }) =>
          resource.id === left ? { verdict: 'unhealthy', reason: 'status 500' } : { verdict: 'at-target' },
      },
    );
    expect(result.counts).toEqual({ Failed: 1, Skipped: 2, Succeeded: 1 });
    // These two fly together: either may be first.
    const submits = called.filter((call) => call.startsWith('submit'));
    expect(submits.toSorted()).toEqual([`submit ${left}`, `submit ${alone}`].toSorted());
    expect(ends.find(({ outcome }) => outcome === 'Skipped')?.reason).toBe(
      `no more than 1 of group pair may be unavailable, and ${left} ended failed, held or unhealthy`,
    );
  });

  it('skips what waits in vain, in this wave and in the next', async () => {
    const [engine, client, late] = ids('h', 3) as [string, string, string];
    const { result, called } = await run(
      {
        waves: [
          { ids: [engine, client], concurrency: 2 },
          { ids: [late], concurrency: 1 },
        ],
        budget: { max: 1, mode: 'strict' },
        more: {
          [engine]: { provides: ['engines'] },
          [client]: { after: ['engines'], provides: ['clients'] },
          [late]: { after: ['clients'] },
        },
      },
      { verify: () => rolledBack },
    );
    expect(result).toMatchObject({ outcome: 'Failed', failures: 1, counts: { RolledBack: 1, Skipped: 2 } });
    expect(called.filter((entry) => entry.startsWith('precheck'))).toEqual([`precheck ${engine}`]);
  });

  it('charges only what its budget counts, and tells the rest apart', async () => {
    const { result } = await run(
      {
        waves: [{ ids: ids('k', 4), concurrency: 1 }],
        budget: { max: 0, mode: 'strict', counts: ['submit', 'upgrade', 'verify', 'timeout'] },
      },
      {
        precheck: ({ spec: { resource } }) => (resource.id.endsWith('-1') ? { verdict: 'refused', reason: 'no' } : {}),
        verify: ({ spec: { resource } }) => (resource.id.endsWith('-2') ? { verdict: 'unhealthy', reason: 'red' } : {}),
      },
    );
    expect(result).toMatchObject({ outcome: 'Failed', failures: 1, byClass: { precheck: 1, verify: 1 } });
    expect(result.counts).toEqual({ Succeeded: 1, Refused: 1, Failed: 1, NotStarted: 1 });
  });

  it('stops when a wave exceeds a budget of its own', async () => {
    const { result } = await run(
      {
        waves: [
          { ids: ids('m', 2), concurrency: 1, maxFailures: 0 },
          { ids: ids('m', 1), concurrency: 1 },
        ],
        budget: { max: 3, mode: 'strict' },
      },
      { verify: () => rolledBack },
    );
    expect(result).toMatchObject({ outcome: 'Failed', counts: { RolledBack: 1, NotStarted: 2 } });
    expect(result.reason).toBe('failure budget of 0 of wave wave 1 exceeded: 0 of 3 at target, 1 failed');
  });

  it('never has more in flight in an account than the account allows', async () => {
    const { result, peak } = await run({
      waves: [{ ids: ids('d', 8), concurrency: 8 }],
      budget: { max: 9, mode: 'loose' },
      accountLimits: { prod: 2 },
    });
    expect(result.outcome).toBe('Succeeded');
    expect(peak).toBeLessThanOrEqual(2);
  });

  it('cancelled: starts nothing more, follows what was submitted, and says that it was stopped', async () => {
    const resources = ids('e', 4);
    const { script, followed, release } = heldOperations();
    const { result, called } = await run(
      {
        waves: [
          { ids: resources, concurrency: 1 },
          { ids: ids('e', 1), concurrency: 1 },
        ],
      },
      script,
      async (handle) => {
        await followed;
        await handle.cancel();
        await cancelRequested(upgradeWorkflowId(spec(resources[0] ?? '').resource));
        release();
      },
    );
    expect(called).toEqual(['precheck', 'submit', 'await', 'verify'].map((step) => `${step} ${resources[0]}`));
    expect(result).toMatchObject({ outcome: 'Stopped', counts: { Succeeded: 1, NotStarted: 4 } });
  });

  describe('a resource whose lease somebody else holds', () => {
    /** Holds the lease of the first of two resources under another rollout. */
    async function locked(prefix: string) {
      const resources = ids(prefix, 2);
      const handle = await env.client.workflow.start('upgrade', {
        workflowId: upgradeWorkflowId(spec(resources[0] ?? '').resource),
        taskQueue: 'nobody',
        args: [],
        typedSearchAttributes: [
          { key: ATTRIBUTES.rollout, value: 'spring' },
          { key: ATTRIBUTES.phase, value: 'Await' },
        ],
      });
      return { resources, handle };
    }
    const owner =
      /another upgrade of this resource is running: upgrade\/\S+ of rollout spring since \d{4}-\S+, in phase Await/;

    it('is skipped unless the plan says otherwise, and its owner is named', async () => {
      const { resources, handle } = await locked('f');
      const { result, status, ends } = await run({ waves: [{ ids: resources, concurrency: 1 }] });
      await handle.terminate();
      expect(result).toMatchObject({ outcome: 'SucceededWithFailures', counts: { Skipped: 1, Succeeded: 1 } });
      expect(status.failures).toBe(0);
      expect(ends.find(({ outcome }) => outcome === 'Skipped')?.reason).toMatch(owner);
    });

    it('is refused and charged where the plan says fail', async () => {
      const { resources, handle } = await locked('g');
      const more = { [resources[0] ?? '']: { onLocked: 'fail' as const } };
      const waves = [{ ids: resources, concurrency: 1 }];
      const { result, ends } = await run({ waves, more, budget: { max: 1, mode: 'strict' } });
      await handle.terminate();
      expect(result).toMatchObject({ failures: 1, counts: { Refused: 1, Succeeded: 1 } });
      expect(ends.find(({ outcome }) => outcome === 'Refused')?.reason).toMatch(owner);
    });

    it('waits for its end where the plan says wait, and holds up nothing else', async () => {
      const { resources, handle } = await locked('h');
      const [first, second] = resources;
      const more = { [first ?? '']: { onLocked: 'wait' as const } };
      const { result, called } = await run(
        { waves: [{ ids: resources, concurrency: 1 }], more },
        {
          verify: async ({ spec: { resource } }) => {
            if (resource.id === second) await handle.terminate();
            return {};
          },
        },
      );
      expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: 2 } });
      expect(called.filter((entry) => entry.startsWith('submit'))).toEqual([`submit ${second}`, `submit ${first}`]);
    });

    it.each(['wait', 'skip'] as const)(
      'takes its place in its group while it is held, where the plan says %s',
      async (onLocked) => {
        const { resources, handle } = await locked('pair');
        const [first = '', second = ''] = resources;
        const pair = { groups: { pair: 1 }, onLocked };
        let wasHeld: readonly string[] = [];
        const { result, called } = await run(
          { waves: [{ ids: resources, concurrency: 2 }], more: { [first]: pair, [second]: pair } },
          {
            submit: async () => {
              const others = env.client.workflow.getHandle(handle.workflowId, handle.firstExecutionRunId);
              const { status } = await others.describe();
              if (status.name === 'RUNNING') wasHeld = [...wasHeld, 'submitted while another of its pair is upgraded'];
              return {};
            },
          },
          async (rolloutHandle) => {
            const shard = shardWorkflowId(
              rolloutHandle.workflowId.replace('rollout/', ''),
              runKey({ rolloutRun: (await rolloutHandle.describe()).runId }),
              1,
              1,
            );
            const standing = () => env.client.workflow.getHandle(shard).query<ShardStatus>(MESSAGES.shardStatus);
            for (;;) {
              const told = await standing().catch(() => null);
              const isMoving =
                (told?.inFlight.length ?? 0) > 0 || told?.ends.some(({ outcome }) => outcome === 'Succeeded');
              const waits = told?.waits?.find(({ workflowId }) => workflowId.endsWith(second));
              if (
                isMoving === true ||
                waits?.why.startsWith('waits for a member of its group: another upgrade') === true
              )
                break;
              await new Promise((resolve) => setTimeout(resolve, 50));
            }
            await handle.terminate();
          },
        );
        expect(wasHeld).toEqual([]);
        expect(result.counts).toEqual(onLocked === 'wait' ? { Succeeded: 2 } : { Skipped: 1, Succeeded: 1 });
        expect(called).toContain(`submit ${second}`);
      },
    );
  });
});
