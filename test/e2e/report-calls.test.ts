/** The report's list of mutating calls: of upgrades that came again, still run, or were terminated, on a real server. */
import { Context } from '@temporalio/activity';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rolloutReport } from '../../client/rows.js';
import { reportedCalls } from '../../client/render/calls.js';
import type { Freeze } from '../../workflows/contracts/freezes.js';
import { rolloutWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { SubmitHeartbeat, SubmitResult } from '../../workflows/contracts/steps.js';
import type { SentCall } from '../../workflows/contracts/upgrade.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { reset } from '../support/reset.js';
import { rolloutInput, type Script, scriptedSteps, spec } from '../workflows/scripted-steps.js';
import { withScriptedWorkers } from '../workflows/scripted-workers.js';

/** What waits for a busy resource waits three seconds. */
const SCALE = 0.05;

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

function sent(requestId: string, answer: string): SentCall {
  const at = new Date().toISOString();
  return { at, method: 'POST', path: '/v2/p/graphs/g/upgrade', answer, status: 200, requestId };
}

function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open: () => open() };
}

/** Runs a rollout of these resources, all at once, and hands its id over. */
async function during(id: string, ids: readonly string[], script: Script, body: (id: string) => Promise<void>) {
  await withScriptedWorkers(
    env,
    scriptedSteps(script),
    async () => {
      const input = rolloutInput(id, { ids, concurrency: ids.length }, { max: ids.length, mode: 'loose' });
      const handle = await env.client.workflow.start<typeof rollout>('rollout', {
        workflowId: rolloutWorkflowId(id),
        taskQueue: QUEUES.main,
        args: [{ ...input, timing: { scale: SCALE } }],
      });
      await body(id);
      await handle.result();
    },
    false,
  );
}

/** The request ids that a report lists, once these are among them: visibility is about a second behind. */
async function reported(id: string, awaited: readonly string[]): Promise<readonly (string | null)[]> {
  for (;;) {
    const { calls } = await rolloutReport(env.client, id);
    const ids = reportedCalls(calls).map(({ requestId }) => requestId);
    if (awaited.every((one) => ids.includes(one))) return ids;
    await delay(200);
  }
}

it(
  'has the calls of an upgrade’s earlier run, while it waits to come again and after its end',
  { timeout: 120_000 },
  async () => {
    const freeze: Freeze = {
      id: 'freeze-1',
      scope: [],
      except: [],
      since: new Date().toISOString(),
      until: new Date(Date.now() + 3_600_000).toISOString(),
      owner: 'ana',
      reason: 'audit',
    };
    const { opened, open } = gate();
    const answers: readonly (() => Partial<SubmitResult>)[] = [
      () => ({ verdict: 'busy', reason: 'in use', operation: null, calls: [sent('busy-1', 'busy')] }),
      () => ({ verdict: 'closed', reason: 'frozen', operation: null, freeze, over: false }),
      () => ({ calls: [sent('accepted-1', 'accepted')] }),
    ];
    const script: Script = {
      submit: (_input, call) => answers[call - 1]?.() ?? {},
      freezesEnded: async () => {
        await opened;
        return [];
      },
    };
    await during('comes-again', ['again'], script, async (id) => {
      expect(await reported(id, ['busy-1'])).toEqual(['busy-1']);
      open();
    });
    expect(await reported('comes-again', ['busy-1', 'accepted-1'])).toEqual(['busy-1', 'accepted-1']);
    const { view, results } = await rolloutReport(env.client, 'comes-again');
    expect(view).toMatchObject({ state: 'Succeeded' });
    // The later run's own result has its own call only: the earlier run was read for the other one.
    expect(results.map(({ calls }) => calls.map(({ requestId }) => requestId))).toEqual([['accepted-1']]);
  },
);

it(
  'has the calls of upgrades that run, of a submit that is under way, and of one that was terminated',
  { timeout: 120_000 },
  async () => {
    const { opened, open } = gate();
    const script: Script = {
      submit: async ({ spec: { resource } }) => {
        const calls = [sent(`${resource.id}-1`, resource.id === 'sending' ? 'unknown' : 'accepted')];
        if (resource.id !== 'sending') return { calls };
        const beat: SubmitHeartbeat = { waits: 'no trace of the submit yet', until: null, calls };
        const beating = setInterval(() => Context.current().heartbeat(beat), 500);
        await opened.finally(() => clearInterval(beating));
        return { calls };
      },
      awaitOperation: async () => {
        const beating = setInterval(() => Context.current().heartbeat(), 500);
        await opened.finally(() => clearInterval(beating));
        return {};
      },
    };
    const all = ['running-1', 'sending-1', 'terminated-1'];
    await during('mixed', ['running', 'sending', 'terminated'], script, async (id) => {
      expect(new Set(await reported(id, all))).toEqual(new Set(all));
      await env.client.workflow.getHandle(upgradeWorkflowId(spec('terminated').resource)).terminate('by hand');
      for (;;) {
        const { rows } = await rolloutReport(env.client, id);
        if (rows.some(({ outcome }) => outcome === 'Held')) break;
        await delay(200);
      }
      expect(new Set(await reported(id, all))).toEqual(new Set(all));
      open();
    });
    expect(new Set(await reported('mixed', all))).toEqual(new Set(all));
    const { rows, results } = await rolloutReport(env.client, 'mixed');
    expect(rows.map(({ outcome }) => outcome)).toEqual(['Succeeded', 'Succeeded', 'Held']);
    expect(results).toHaveLength(2);
  },
);

it(
  'has what a reset did under the run that it goes on for, also when a later run of the plan upgraded the resource since',
  { timeout: 120_000 },
  async () => {
    const { opened, open } = gate();
    const script: Script = {
      submit: (_input, call) => ({ calls: [sent(`accepted-${call}`, 'accepted')] }),
      awaitOperation: async (_input, call) => {
        if (call > 1) return {};
        const beating = setInterval(() => Context.current().heartbeat(), 500);
        await opened.finally(() => clearInterval(beating));
        return {};
      },
    };
    const upgrade = { workflowId: upgradeWorkflowId(spec('r').resource) };
    /** Runs the plan once more, and tells that run of the rollout and its first run of the upgrade. */
    const applied = async (key: string, meanwhile: () => Promise<unknown>) => {
      const input = rolloutInput('again', { ids: ['r'], concurrency: 1 }, { max: 1, mode: 'loose' });
      const handle = await env.client.workflow.start<typeof rollout>('rollout', {
        workflowId: rolloutWorkflowId('again'),
        taskQueue: QUEUES.main,
        args: [{ ...input, key, timing: { scale: SCALE } }],
      });
      await meanwhile();
      // What a person has terminated fails it.
      await handle.result().catch(() => null);
      const { runId } = await env.client.workflow.getHandle(upgrade.workflowId).describe();
      return { rolloutRun: handle.firstExecutionRunId, upgradeRun: runId };
    };
    const told = async (run: string) => {
      const { calls, rows } = await rolloutReport(env.client, 'again', run);
      return [rows[0]?.outcome, ...reportedCalls(calls).map(({ requestId }) => requestId)];
    };
    await withScriptedWorkers(
      env,
      scriptedSteps(script),
      async () => {
        const first = await applied('first', async () => {
          await reported('again', ['accepted-1']);
          await env.client.workflow.getHandle(upgrade.workflowId).terminate('by hand');
          open();
        });
        expect(await told(first.rolloutRun)).toEqual(['Held', 'accepted-1']);
        const second = await applied('second', () => reported('again', ['accepted-2']));
        await reset(env.client, { ...upgrade, runId: first.upgradeRun }, 1);
        await env.client.workflow.getHandle(upgrade.workflowId).result();
        while ((await told(first.rolloutRun)).length < 3) await delay(200);
        expect(await told(first.rolloutRun)).toEqual(['Succeeded', 'accepted-1', 'accepted-3']);
        expect(await told(second.rolloutRun)).toEqual(['Succeeded', 'accepted-2']);
        const third = await applied('third', () => reported('again', ['accepted-4']));
        expect(await told(first.rolloutRun)).toEqual(['Succeeded', 'accepted-1', 'accepted-3']);
        expect(await told(third.rolloutRun)).toEqual(['Succeeded', 'accepted-4']);
      },
      false,
    );
  },
);
