/** A person's word holds from when the server has it: also for submits that were queued before, and with no worker up. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { learningSteps } from '../../activities/durations.js';
import { inventorySteps } from '../../activities/inventory.js';
import { rolloutHold } from '../../activities/hold.js';
import { lockSteps } from '../../activities/locks.js';
import { sendControl, setConcurrency, skip } from '../../client/control.js';
import { NotTakenError } from '../../client/upgrades.js';
import type { Hold } from '../../temporal/hold.js';
import type { ControlRequest } from '../../workflows/contracts/control.js';
import { rolloutWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutResult, RolloutStatus } from '../../workflows/contracts/rollout.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment, workflowBundle } from '../support/environment.js';
import { reset } from '../support/reset.js';
import { asksForHold, rolloutInput, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: RealEnvironment;
beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

const UPGRADES = 20;
const eventually = async (met: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await met())) await new Promise((resolve) => setTimeout(resolve, 100));
};

/** As the submit of one of its upgrades asks. */
function lookAt(rollout: string, rolloutRun: string): Promise<Hold | null> {
  return new MockActivityEnvironment({}, { client: env.client }).run(() => rolloutHold({ rollout, rolloutRun }));
}

it.each([
  ['pause', 1],
  ['stop', 1],
  ['cancel', 1],
  ['pause', 2],
] as const)('%s is not missed while a worker has the task, in its attempt %i', async (act, attempt) => {
  const { namespace } = env;
  const id = `taken-${attempt}-${act}`;
  const handle = await env.client.workflow.start<typeof rollout>('rollout', {
    workflowId: rolloutWorkflowId(id),
    taskQueue: id,
    workflowTaskTimeout: '1 minute',
    args: [rolloutInput(id, { ids: [id], concurrency: 1 }, { max: 0, mode: 'strict' })],
  });
  const { workflowService } = env.client;
  const asked = { namespace, taskQueue: { name: id }, identity: 'dies' };
  const poll = () => env.client.withDeadline(Date.now() + 60_000, () => workflowService.pollWorkflowTaskQueue(asked));
  let { taskToken } = await poll();
  for (let at = 1; at < attempt; at += 1) {
    await workflowService.respondWorkflowTaskFailed({ namespace, taskToken });
    ({ taskToken } = await poll());
  }
  if (act === 'cancel') await handle.cancel();
  else await handle.signal(MESSAGES.control, { requestId: 'once', act, actor: 'ana', reason: 'a complaint' });

  await expect(lookAt(id, handle.firstExecutionRunId)).rejects.toThrow(`a worker has a task of rollout/${id}: `);
  const next = lookAt(id, handle.firstExecutionRunId);
  await workflowService.respondWorkflowTaskCompleted({ namespace, taskToken, commands: [] });
  const words = act === 'cancel' ? /was cancelled$/ : /^(paused|stopped) by ana at \S+: a complaint$/;
  expect(await next).toEqual({ reason: expect.stringMatching(words) as string, over: false });
  await handle.terminate();
});

it('asks the run that goes on after a reset', async () => {
  const { namespace } = env;
  const workflowId = rolloutWorkflowId('reset');
  const handle = await env.client.workflow.start<typeof rollout>('rollout', {
    workflowId,
    taskQueue: 'reset',
    args: [rolloutInput('reset', { ids: ['reset-1'], concurrency: 1 }, { max: 0, mode: 'strict' })],
  });
  const { workflowService } = env.client;
  const asked = { namespace, taskQueue: { name: 'reset' }, identity: 'by hand' };
  const { taskToken } = await env.client.withDeadline(Date.now() + 60_000, () =>
    workflowService.pollWorkflowTaskQueue(asked),
  );
  await workflowService.respondWorkflowTaskCompleted({ namespace, taskToken, commands: [] });
  const runId = handle.firstExecutionRunId;
  await reset(env.client, { workflowId, runId }, 1);
  expect(await lookAt('reset', runId)).toBe(null);
  const goesOn = env.client.workflow.getHandle(workflowId);
  await goesOn.signal(MESSAGES.control, { requestId: 'once', act: 'pause', actor: 'ana', reason: 'x' });
  expect(await lookAt('reset', runId)).toMatchObject({ reason: expect.stringMatching(/^paused by ana/), over: false });
  await goesOn.terminate();
  expect(await lookAt('reset', runId)).toEqual({ reason: 'the rollout has ended: TERMINATED', over: true });
});

it.each(['pause', 'stop', 'cancel', 'terminate'] as const)('%s reaches submits that wait for a worker', async (act) => {
  const sent: string[] = [];
  const heldBack: string[] = [];
  const steps = scriptedSteps({
    submit: async (input) => {
      const { id } = input.spec.resource;
      const hold = await rolloutHold(input);
      if (hold === null) {
        sent.push(id);
        return {};
      }
      heldBack.push(hold.reason);
      const { reason, over } = hold;
      return { verdict: over ? 'closed' : 'held-back', reason, over, operation: null };
    },
  });
  const common = { connection: env.nativeConnection, namespace: env.namespace };
  const workflows = async () =>
    Worker.create({
      ...common,
      taskQueue: QUEUES.main,
      workflowBundle: await workflowBundle(),
      activities: { ...steps.reads, ...inventorySteps, ...learningSteps, ...lockSteps },
    });
  const ids = Array.from({ length: UPGRADES }, (_, at) => `${act}-${at}`);
  const input = rolloutInput(`unheard-${act}`, { ids, concurrency: UPGRADES }, { max: UPGRADES, mode: 'loose' });
  const start = () =>
    env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(input.rollout),
      taskQueue: QUEUES.main,
      args: [input],
    });
  // All have been prechecked, and nobody serves the queue of submits.
  const first = await workflows();
  const handle = await first.runUntil(async () => {
    const started = await start();
    for (const { resource } of input.waves[0]?.upgrades ?? []) {
      const upgrade = env.client.workflow.getHandle(upgradeWorkflowId(resource));
      await eventually(async () => {
        const told = await upgrade.describe().catch(() => null);
        return told?.raw.pendingActivities?.some(({ activityType }) => activityType?.name === 'submit') === true;
      });
    }
    return started;
  });
  if (act === 'cancel') await handle.cancel();
  else if (act === 'terminate') await handle.terminate();
  else await handle.signal(MESSAGES.control, { requestId: 'once', act, actor: 'ana', reason: 'a customer complained' });

  // First those that send, with nobody who could hear the word meanwhile.
  const submits = await Worker.create({ ...common, taskQueue: QUEUES.submit, activities: { ...steps.submits } });
  await submits.runUntil(async () => {
    await eventually(() => heldBack.length + sent.length >= UPGRADES);
    expect([sent, new Set(heldBack).size]).toEqual([[], 1]);
    expect(heldBack[0]).toMatch(
      {
        cancel: /^the rollout was cancelled$/,
        terminate: /^the rollout has ended: TERMINATED$/,
        pause: /^paused by ana at \S+: a customer complained$/,
        stop: /^stopped by ana at \S+: a customer complained$/,
      }[act],
    );
    const [main, waits] = [
      await workflows(),
      await Worker.create({ ...common, taskQueue: QUEUES.wait, activities: { ...steps.waits } }),
    ];
    await main.runUntil(() =>
      waits.runUntil(async () => {
        if (act === 'pause') {
          await eventually(async () => (await handle.query<RolloutStatus>(MESSAGES.rolloutStatus)).state === 'Paused');
          expect(sent).toEqual([]);
          await handle.signal(MESSAGES.control, { requestId: 'again', act: 'resume', actor: 'ana', reason: 'over' });
          expect(await handle.result()).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: UPGRADES } });
        } else if (act === 'terminate') {
          for (const { resource } of input.waves[0]?.upgrades ?? []) {
            const upgrade = env.client.workflow.getHandle(upgradeWorkflowId(resource));
            expect(await upgrade.result()).toMatchObject({ outcome: 'NotStarted', reason: heldBack[0] });
          }
          expect(sent).toEqual([]);
        } else {
          const result = (await handle.result()) as RolloutResult;
          expect(result).toMatchObject({ outcome: 'Stopped', counts: { NotStarted: UPGRADES } });
          expect(sent).toEqual([]);
        }
      }),
    );
  });
});

it('takes no notice of a signal that is no request', async () => {
  const steps = scriptedSteps();
  const common = { connection: env.nativeConnection, namespace: env.namespace };
  const main = await Worker.create({
    ...common,
    taskQueue: QUEUES.main,
    workflowBundle: await workflowBundle(),
    activities: { ...steps.reads, ...inventorySteps, ...learningSteps, ...lockSteps },
  });
  const input = rolloutInput('odd', { ids: ['odd-1'], concurrency: 1 }, { max: 0, mode: 'strict' });
  await main.runUntil(async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId('odd'),
      taskQueue: QUEUES.main,
      args: [input],
    });
    const saidAt = new Date(Date.now() - 3_600_000).toISOString();
    await handle.signal(MESSAGES.control, { requestId: 'a', act: 'pause', actor: 'ana', reason: 'x', at: saidAt });
    for (const odd of [
      { act: 'Pause' },
      { requestId: 'b', act: 'resume', actor: '', reason: 'x' },
      { requestId: '', act: 'resume', actor: 'ana', reason: 'x' },
      'resume',
      null,
    ]) {
      await handle.signal(MESSAGES.control, odd);
    }
    await handle.signal(MESSAGES.control);
    const status = await handle.query<RolloutStatus>(MESSAGES.rolloutStatus);
    expect([status.state, status.acts?.length]).toEqual(['Paused', 1]);
    expect(status.reason).toContain(`paused by ana at ${saidAt} (heard at ${status.acts?.[0]?.at}): x`);
    await handle.terminate();
  });
});

it('keeps what people say short: a signal that has to hold is cut, an update is refused', async () => {
  const long = 'x'.repeat(120_000);
  const said = `${'x'.repeat(299)}…`;
  const id = 'talkative';
  const input = rolloutInput(id, { ids: [id], concurrency: 1 }, { max: 0, mode: 'strict' });
  const handle = await env.client.workflow.signalWithStart<typeof rollout, [ControlRequest]>('rollout', {
    workflowId: rolloutWorkflowId(id),
    taskQueue: QUEUES.main,
    args: [input],
    signal: MESSAGES.control,
    signalArgs: [{ requestId: '0', act: 'pause', actor: long, reason: long }],
  });
  const { runId } = await handle.describe();
  expect(await lookAt(id, runId)).toEqual({
    reason: expect.stringMatching(new RegExp(`^paused by ${said} at \\S+: ${said}$`)) as string,
    over: false,
  });
  for (let at = 1; at < 18; at += 1) {
    await handle.signal(MESSAGES.control, { requestId: `${at}`, act: 'pause', actor: 'ana', reason: long });
  }
  await withScriptedWorkers(env, scriptedSteps(), async () => {
    // The server takes two megabytes of an answer.
    const { state, acts } = await handle.query<RolloutStatus>(MESSAGES.rolloutStatus);
    expect([state, acts?.length, new Set(acts?.map(({ reason }) => reason))]).toEqual(['Paused', 18, new Set([said])]);
    expect(acts?.[0]?.actor).toBe(said);

    const skip = { wave: 1, upgrade: null, actor: 'ana', reason: 'a test' };
    const concurrency = { wave: null, concurrency: 2, actor: 'ana', reason: 'a test' };
    const approve = { decision: 'approve', planDigest: input.planDigest, actor: 'ana', reason: 'a test' };
    for (const [update, request] of [
      [MESSAGES.skip, skip],
      [MESSAGES.setConcurrency, concurrency],
      [MESSAGES.waive, { actor: 'ana', reason: 'a test' }],
      [MESSAGES.decide, approve],
    ] as const) {
      for (const [words, why] of [
        [{ reason: 'x'.repeat(301) }, 'its reason has at most 300 characters: say it shorter'],
        [{ actor: 'x'.repeat(301) }, 'its actor has a name of at most 300 characters'],
      ] as const) {
        const refused = handle.executeUpdate(update, { args: [{ ...request, ...words }] });
        await expect(refused).rejects.toMatchObject({ cause: { message: why } });
      }
    }
    const upgrade = { shard: 1, workflowId: upgradeWorkflowId(spec('long').resource), title: 'long' };
    const names = "it names an upgrade by its shard's number, its workflow id and a title";
    for (const [update, request, why] of [
      [MESSAGES.skip, { ...skip, upgrade: { ...upgrade, title: long } }, 'its title has at most 300 characters'],
      [MESSAGES.skip, { ...skip, upgrade: { ...upgrade, title: [long] } }, names],
      [
        MESSAGES.skip,
        { ...skip, upgrade: { ...upgrade, workflowId: 'x'.repeat(1_001) } },
        'its workflow id has at most 1000 characters',
      ],
      [MESSAGES.skip, { ...skip, upgrade: { ...upgrade, shard: long } }, names],
      [MESSAGES.skip, { ...skip, upgrade: undefined }, names],
      [MESSAGES.skip, { ...skip, reason: [long] }, 'it has an actor and a reason'],
      [MESSAGES.decide, { ...approve, decision: long }, 'a decision is to approve or to reject'],
    ] as const) {
      const refused = handle.executeUpdate(update, { args: [request] });
      await expect(refused).rejects.toMatchObject({ cause: { message: why } });
    }
    await handle.terminate();
  });
  const run = { workflowId: handle.workflowId, runId };
  const sent = sendControl(env.client, run, { act: 'stop', actor: 'ana', reason: long });
  await expect(sent).rejects.toThrow('its reason has at most 300 characters');
});

it('leaves out a resource of any id, of which it tells the beginning', async () => {
  const [id, long] = ['long-ids', 'x'.repeat(301)];
  const handle = await env.client.workflow.signalWithStart<typeof rollout, [ControlRequest]>('rollout', {
    workflowId: rolloutWorkflowId(id),
    taskQueue: QUEUES.main,
    args: [rolloutInput(id, { ids: [long, 'short'], concurrency: 1 }, { max: 0, mode: 'strict' })],
    signal: MESSAGES.control,
    signalArgs: [{ requestId: '0', act: 'pause', actor: 'ana', reason: 'a test' }],
  });
  await withScriptedWorkers(env, scriptedSteps(), async () => {
    const answer = await skip(env.client, id, { resource: long }, { actor: 'ana', reason: 'a test' });
    expect(answer).toBe(`${'x'.repeat(299)}… is left out, unless it has started already`);
    await handle.terminate();
  });
});

it('says in its own words why the server takes no update', async () => {
  const own = await realEnvironment({ dynamicConfig: { 'history.maxTotalUpdates': '1' } });
  onTestFinished(() => own.teardown());
  const { client, namespace } = own;
  const signed = { actor: 'ana', reason: 'a test' };
  const start = (id: string, taskQueue: string) =>
    client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(id),
      taskQueue,
      args: [rolloutInput(id, { ids: [id], concurrency: 1 }, { max: 0, mode: 'strict' })],
    });
  await start('failing', 'failing');
  const { workflowService } = client;
  const asked = { namespace, taskQueue: { name: 'failing' }, identity: 'fails' };
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    const { taskToken } = await client.withDeadline(Date.now() + 60_000, () =>
      workflowService.pollWorkflowTaskQueue(asked),
    );
    await workflowService.respondWorkflowTaskFailed({ namespace, taskToken });
  }
  await expect(skip(client, 'failing', { wave: 'one' }, signed)).rejects.toEqual(
    new NotTakenError(
      'no worker answers, or what it tries fails, and nothing was recorded (start one: uplift worker; its log tells what fails)',
    ),
  );

  const busy = scriptedSteps({ precheck: () => ({ verdict: 'busy', reason: 'busy: exporting' }) });
  await withScriptedWorkers(own, busy, async () => {
    const handle = await start('many-words', QUEUES.main);
    const set = (concurrency: number) => setConcurrency(client, 'many-words', { concurrency, wave: null }, signed);
    expect(await set(2)).toMatch(/^2 at a time/);
    await expect(set(3)).rejects.toEqual(
      new NotTakenError(
        'nothing was recorded: the server takes no more such words for this run, which goes on (pause, resume and stop are still taken)',
      ),
    );
    await handle.terminate();
  });
});

it('the end of a pause reaches an upgrade that was reset meanwhile', async () => {
  const id = 'reset-held';
  let isPaused = false;
  const steps = scriptedSteps({
    submit: asksForHold(() => eventually(() => isPaused)),
  });
  await withScriptedWorkers(env, steps, async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(id),
      taskQueue: QUEUES.main,
      args: [rolloutInput(id, { ids: [id], concurrency: 1 }, { max: 0, mode: 'strict' })],
    });
    const control = (act: 'pause' | 'resume') =>
      handle.signal(MESSAGES.control, { requestId: act, act, actor: 'ana', reason: 'a complaint' });
    const upgrade = env.client.workflow.getHandle(upgradeWorkflowId(spec(id).resource));
    const eventsOf = async () => (await upgrade.fetchHistory().catch(() => null))?.events ?? [];
    const waits = async () => (await eventsOf()).some(({ timerStartedEventAttributes: timer }) => timer != null);
    await eventually(() => steps.called.includes(`submit ${id}`));
    await control('pause');
    await eventually(async () => (await handle.query<RolloutStatus>(MESSAGES.rolloutStatus)).state === 'Paused');
    isPaused = true;
    await eventually(waits);
    const { workflowId, runId } = await upgrade.describe();
    await reset(env.client, { workflowId, runId }, 1);
    await eventually(async () => (await upgrade.describe()).runId !== runId && (await waits()));
    await control('resume');
    expect(await upgrade.result()).toMatchObject({ outcome: 'Succeeded' });
    await handle.terminate();
  });
});
