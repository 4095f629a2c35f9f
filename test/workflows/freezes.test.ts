/** A shard under freezes: nothing is started, what is found frozen comes back, and each freeze costs the same. */
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Freeze } from '../../workflows/contracts/freezes.js';
import { rolloutWorkflowId, runKey, shardWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutResult, RolloutStatus } from '../../workflows/contracts/rollout.js';
import type { rollout } from '../../workflows/rollout.js';
import { timeSkippingEnvironment } from '../support/environment.js';
import { rolloutInput, type Script, scriptedSteps } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: TestWorkflowEnvironment;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

const IDS = Array.from({ length: 12 }, (_, at) => `g${at + 1}`);

function freeze(id: string, resources?: readonly string[]): Freeze {
  return {
    id,
    scope: [resources === undefined ? {} : { resource: resources }],
    except: [],
    until: '2099-01-01T00:00:00.000Z',
    reason: 'audit',
    owner: 'ana',
    since: '2026-11-28T12:00:00.000Z',
  };
}

async function run(id: string, script: Script): Promise<{ result: RolloutResult; called: string[]; asked: number }> {
  const steps = scriptedSteps(script);
  return withScriptedWorkers(env, steps, async () => {
    const input = rolloutInput(id, { ids: IDS, concurrency: 3 }, { max: 0, mode: 'loose' });
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(id),
      taskQueue: QUEUES.main,
      args: [input],
    });
    const result = await handle.result();
    const shard = env.client.workflow.getHandle(
      shardWorkflowId(id, runKey({ rolloutRun: handle.firstExecutionRunId }), 1, 1),
    );
    const { events } = await shard.fetchHistory();
    const asked = (events ?? []).filter(({ activityTaskScheduledEventAttributes: scheduled }) =>
      ['readFreezes', 'freezesEnded'].includes(scheduled?.activityType?.name ?? ''),
    );
    return { result, called: steps.called, asked: asked.length };
  });
}

it('starts nothing that is frozen, says so, and goes on by itself', async () => {
  const held = freeze('freeze-a');
  const seen: string[] = [];
  const { result, called } = await run('frozen', {
    readFreezes: async () => [held],
    freezesEnded: async (ids) => {
      seen.push(...ids);
      const handle = env.client.workflow.getHandle(rolloutWorkflowId('frozen'));
      let status = await handle.query<RolloutStatus>(MESSAGES.rolloutStatus);
      while (!status.reason.includes('frozen')) status = await handle.query<RolloutStatus>(MESSAGES.rolloutStatus);
      seen.push(status.reason);
      return [];
    },
  });
  expect(seen).toEqual([
    'freeze-a',
    'wave one is running; 12 frozen until 2099-01-01T00:00:00.000Z by ana because audit (freeze-a)',
  ]);
  expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: 12 } });
  expect(called.filter((call) => call.startsWith('submit'))).toHaveLength(12);
});

it('starts what a freeze leaves out, and the rest after its end', async () => {
  const held = freeze('freeze-b', ['g1', 'g2']);
  let ended = false;
  const startedBefore: string[] = [];
  const { result } = await run('partly', {
    readFreezes: async () => [held],
    precheck: ({ spec }) => {
      if (!ended) startedBefore.push(spec.resource.id);
      return {};
    },
    freezesEnded: async () => {
      while (startedBefore.length < 10) await new Promise((resolve) => setTimeout(resolve, 20));
      ended = true;
      return [];
    },
  });
  expect(startedBefore.toSorted()).toEqual(IDS.slice(2).toSorted());
  expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: 12 } });
});

it('takes back what finds itself frozen before its send, at the same price for a long and a short freeze', async () => {
  const price = async (id: string, looks: number) => {
    const held = freeze(`freeze-${id}`);
    let holds = false;
    const { result, called, asked } = await run(id, {
      submit: ({ spec }, call) => {
        if (spec.resource.id === 'g5' && call === 1) holds = true;
        return holds ? { verdict: 'closed', over: false, reason: 'frozen', operation: null, freeze: held } : {};
      },
      freezesEnded: async (ids) => {
        expect(ids).toEqual([held.id]);
        for (let look = 0; look < looks; look += 1) await new Promise((resolve) => setTimeout(resolve, 100));
        holds = false;
        return [];
      },
    });
    expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: 12 } });
    const again = called.filter((call) => call.startsWith('submit')).length - 12;
    expect(again).toBeGreaterThan(0);
    // No more than were in flight when it began.
    expect(again).toBeLessThanOrEqual(3);
    return asked;
  };
  // Asked once before anything starts, once for the freeze, and again if a late upgrade finds it just as it ends.
  for (const asked of [await price('short', 1), await price('long', 20)]) {
    expect(asked).toBeGreaterThanOrEqual(2);
    expect(asked).toBeLessThanOrEqual(3);
  }
});

it('ends what a freeze holds when the rollout is stopped', async () => {
  const held = freeze('freeze-c');
  const { result, called } = await run('stopped', {
    readFreezes: async () => [held],
    freezesEnded: async () => {
      await env.client.workflow.getHandle(rolloutWorkflowId('stopped')).cancel();
      await new Promise((resolve) => setTimeout(resolve, 500));
      return [held];
    },
  });
  expect(result).toMatchObject({ outcome: 'Stopped', counts: { NotStarted: 12 } });
  expect(called).toEqual([]);
});
