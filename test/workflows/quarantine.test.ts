/** A resource that keeps failing is left out by later rollouts, blocks none of them, and is tried again by a person's word. */
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { quarantineSteps } from '../../activities/quarantine.js';
import { listQuarantine, releaseFromQuarantine } from '../../client/quarantine.js';
import { rolloutWorkflowId, runKey, shardWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { MOST_FAILING, quarantine, type Quarantine } from '../../workflows/contracts/quarantine.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput, RolloutResult, ShardResult } from '../../workflows/contracts/rollout.js';
import type { rollout } from '../../workflows/rollout.js';
import { timeSkippingEnvironment } from '../support/environment.js';
import { rolloutInput, type Script, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: TestWorkflowEnvironment;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

const AFTER = 3;
const STUBBORN = 'g2';
const fails: Script = {
  verify: ({ spec: { resource } }) =>
    resource.id === STUBBORN ? { verdict: 'not-at-target', reason: 'version 1, status 303' } : {},
};

interface Ended {
  readonly result: RolloutResult;
  readonly shard: ShardResult;
  readonly called: readonly string[];
}

/** With the real ledger. */
async function run(
  id: string,
  script: Script,
  more: Partial<RolloutInput> = { quarantineAfter: AFTER },
): Promise<Ended> {
  const steps = scriptedSteps({ ...quarantineSteps, ...script });
  return withScriptedWorkers(env, steps, async () => {
    const input = rolloutInput(id, { ids: ['g1', STUBBORN, 'g3'], concurrency: 1 }, { max: 1, mode: 'strict' });
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(id),
      taskQueue: QUEUES.main,
      args: [{ ...input, ...more }],
    });
    const result = await handle.result();
    const workflowId = shardWorkflowId(id, runKey({ rolloutRun: handle.firstExecutionRunId }), 1, 1);
    const shard = (await env.client.workflow.getHandle(workflowId).result()) as ShardResult;
    return { result, shard, called: steps.called };
  });
}

function endOfStubborn({ shard: { ends } }: Ended) {
  return ends.find(({ workflowId }) => workflowId === upgradeWorkflowId(spec(STUBBORN).resource));
}

it('leaves out what failed in rollout after rollout, until a person releases it', async () => {
  for (let turn = 1; turn <= AFTER; turn += 1) {
    const tried = await run(`turn-${turn}`, fails);
    expect(tried.result).toMatchObject({ outcome: 'SucceededWithFailures', counts: { Succeeded: 2, Failed: 1 } });
  }
  expect(await listQuarantine(env.client, { all: false })).toMatchObject([
    { workflowId: upgradeWorkflowId(spec(STUBBORN).resource), failures: AFTER, last: { rollout: `turn-${AFTER}` } },
  ]);

  const without = await run('without', fails);
  expect(without.result).toMatchObject({ failures: 0, counts: { Succeeded: 2, Skipped: 1 } });
  expect(without.called.filter((call) => call.endsWith(STUBBORN))).toEqual([]);
  expect(endOfStubborn(without)).toMatchObject({
    outcome: 'Skipped',
    reason: expect.stringMatching(
      /^in quarantine after 3 failures in a row since \S+, the latest in turn-3: .*; `uplift quarantine release g2 --reason …` lets it be tried again$/,
    ) as string,
  });

  // A plan that says more, or never, tries it.
  expect((await run('patient', {}, { quarantineAfter: AFTER + 1 })).result.outcome).toBe('Succeeded');
  expect(await listQuarantine(env.client, { all: true })).toEqual([]);
});

it('counts from nothing after a release, and keeps who did it and why', async () => {
  for (let turn = 1; turn <= AFTER; turn += 1) await run(`again-${turn}`, fails);
  await expect(releaseFromQuarantine(env.client, 'g9', { actor: 'ana', reason: 'x' })).rejects.toThrow(
    'no failure of g9 is known',
  );
  await releaseFromQuarantine(env.client, STUBBORN, { actor: 'ana', reason: 'disk replaced' });
  await expect(releaseFromQuarantine(env.client, STUBBORN, { actor: 'ben', reason: 'x' })).rejects.toThrow(
    'no failure of g2 is known',
  );
  expect(await listQuarantine(env.client, { all: false })).toEqual([]);
  expect(await listQuarantine(env.client, { all: true })).toMatchObject([
    { failures: 0, released: { by: 'ana', reason: 'disk replaced' } },
  ]);

  expect(endOfStubborn(await run('released', fails))?.outcome).toBe('Failed');
  expect(await listQuarantine(env.client, { all: false })).toMatchObject([{ failures: 1 }]);
  expect((await run('healed', {})).result.outcome).toBe('Succeeded');
});

it('does not count a refused precheck: it has harmed nothing', async () => {
  await run('refused', {
    precheck: ({ spec: { resource } }) => (resource.id === STUBBORN ? { verdict: 'refused', reason: 'no backup' } : {}),
  });
  expect(await listQuarantine(env.client, { all: true })).toEqual([]);
});

it('asks and tells nothing where the plan has no quarantine', async () => {
  const asked: string[] = [];
  const { result } = await run(
    'never',
    {
      ...fails,
      readQuarantine: async () => {
        asked.push('read');
        return {};
      },
      tellQuarantine: async () => {
        asked.push('tell');
      },
    },
    {},
  );
  expect(result.counts).toMatchObject({ Failed: 1 });
  expect(asked).toEqual([]);
});

describe('the section', () => {
  const at = (day: number) => new Date(Date.UTC(2026, 0, day)).toISOString();
  const failed = (state: Quarantine, day: number, ids: readonly string[]): Quarantine => {
    const change = {
      kind: 'ended',
      rollout: `r-${day}`,
      failed: ids.map((workflowId) => ({ workflowId, reason: 'x'.repeat(500) })),
      recovered: [],
    } as const;
    const applied = quarantine.apply(state, change, { requestId: `${day}`, at: at(day) });
    return 'state' in applied ? applied.state : state;
  };

  it('keeps a bounded number: those that failed most often, then the latest', () => {
    const often = failed(failed({}, 1, ['often']), 2, ['often']);
    const many = failed(
      often,
      3,
      Array.from({ length: MOST_FAILING }, (_, n) => `u-${n}`),
    );
    expect(Object.keys(many)).toHaveLength(MOST_FAILING);
    expect(many['often']).toMatchObject({ failures: 2, since: at(1), last: { at: at(2), rollout: 'r-2' } });
    expect(JSON.stringify(many).length).toBeLessThan(200_000);
  });

  it('forgets what has not failed for half a year', () => {
    const two = failed(failed({}, 1, ['old']), 100, ['new']);
    expect(Object.keys(quarantine.prune(two, Date.parse(at(200))))).toEqual(['new']);
  });
});
