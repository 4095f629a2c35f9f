/** Steering many rollouts by a query, as processes against a real server: some with a worker, one without. */
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { chooseRollouts, controlAll, exitCodeOfActs } from '../../client/batch.js';
import type { ControlRequest } from '../../workflows/contracts/control.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { startOptions } from '../../workflows/contracts/start.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { rolloutInput, scriptedSteps } from '../workflows/scripted-steps.js';
import { withScriptedWorkers } from '../workflows/scripted-workers.js';
import { linesOf, uplift } from './cli.js';

const SPRING = 'UpliftRollout STARTS_WITH "spring-"';
const UNHEARD = 'recorded by the server, and no worker has heard it yet: it holds once one is up (uplift worker)';

// Many processes, each of which takes seconds to load on a busy machine.
vi.setConfig({ testTimeout: 300_000 });

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
  for (const name of ['spring-1', 'spring-2', 'autumn-1']) await start(name, QUEUES.main);
  await start('spring-away', 'served-by-nobody');
});
afterAll(async () => {
  await env.teardown();
});

async function start(name: string, taskQueue: string): Promise<void> {
  const input = rolloutInput(name, { ids: [`graph-of-${name}`], concurrency: 1 }, { max: 1, mode: 'strict' });
  await env.client.workflow.start<typeof rollout>('rollout', { ...startOptions(input), taskQueue, args: [input] });
}

const run = (...args: string[]) => uplift(args, { TEMPORAL_ADDRESS: env.server.address, UPLIFT_ACTOR: 'ana' });
const act = (name: string, query: string, ...args: string[]) =>
  run(name, '--query', query, '--reason', 'cloud incident', ...args);

/** Every act that the server has for a rollout, whether or not a worker has heard it. */
async function sentTo(name: string): Promise<ControlRequest[]> {
  const { events = [] } = await env.client.workflow.getHandle(rolloutWorkflowId(name)).fetchHistory();
  return (events ?? []).flatMap((event) => {
    const data = event.workflowExecutionSignaledEventAttributes?.input?.payloads?.[0]?.data;
    return data == null ? [] : [JSON.parse(Buffer.from(data).toString()) as ControlRequest];
  });
}

/** Visibility may lag. */
async function chosen(query: string, many: number) {
  let found = await chooseRollouts(env.client, query);
  while (found.length !== many) {
    await new Promise((wake) => setTimeout(wake, 100));
    found = await chooseRollouts(env.client, query);
  }
  return found;
}

it('only shows what a query chooses, in a dry run', async () => {
  await chosen(SPRING, 3);
  const shown = await act('stop', SPRING, '--dry-run');
  expect(shown).toMatchObject({ code: 0, stderr: '' });
  expect(linesOf(shown.stdout)).toEqual([
    expect.stringMatching(/^spring-1 {2}started \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/),
    expect.stringMatching(/^spring-2 {2}started /),
    expect.stringMatching(/^spring-away {2}started /),
  ]);
  const told = JSON.parse((await act('stop', SPRING, '--dry-run', '-o', 'json')).stdout) as object;
  expect(told).toMatchObject({ version: 1, act: 'stop', query: SPRING, dryRun: true, rollouts: [{}, {}, {}] });
  for (const name of ['spring-1', 'spring-2', 'spring-away', 'autumn-1']) expect(await sentTo(name)).toEqual([]);
});

it('says what is wrong with a query, and what was left unsaid', async () => {
  for (const [query, problem] of [
    ['UpliftNope = "x"', /column name 'UpliftNope' is not a valid search attribute/],
    ['UpliftRollout = ', /malformed SQL query/],
    // Would reach beyond running rollouts, were it only put between brackets.
    ['UpliftRollout = "x") OR (UpliftRollout = "autumn-1"', /malformed SQL query/],
  ] as const) {
    const { code, stdout, stderr } = await act('stop', query);
    expect({ code, stdout, lines: linesOf(stderr) }).toEqual({
      code: 1,
      stdout: '',
      lines: [expect.stringMatching(/^uplift: --query cannot be used: .* \(the syntax: https:.*\)$/)],
    });
    expect(stderr).toMatch(problem);
  }
  await expect(chooseRollouts(env.client, SPRING, 2)).rejects.toThrow(
    '--query chooses more than 2 rollouts, and nothing was sent: narrow it',
  );
  expect(await act('pause', 'UpliftRollout = "winter-1"')).toEqual({
    code: 0,
    stdout: '',
    stderr: '--query chooses no rollout that runs: nothing to do\n',
  });
  const neither = 'uplift: say what to pause: a rollout, or --query FILTER\n';
  expect(await run('pause', '--reason', 'x')).toEqual({ code: 1, stdout: '', stderr: neither });
  expect(await run('pause', 'spring-1', '--query', SPRING, '--reason', 'x')).toMatchObject({ stderr: neither });
  expect(await run('pause', 'spring-1', '--dry-run', '--reason', 'x')).toMatchObject({
    code: 1,
    stderr: 'uplift: --dry-run goes with --query\n',
  });
});

it('reaches each rollout that matches and no other, and tells whose worker has heard it', async () => {
  const busy = scriptedSteps({ precheck: () => ({ verdict: 'busy', reason: 'busy: exporting' }) });
  await withScriptedWorkers(env, busy, async () => {
    const paused = await act('pause', SPRING);
    expect(paused.code).toBe(5);
    expect(linesOf(paused.stderr)[0]).toBe('--query chooses 3 running rollouts:');
    expect(linesOf(paused.stdout)).toEqual([
      'spring-1  is paused: nothing is sent, what was sent goes on',
      'spring-2  is paused: nothing is sent, what was sent goes on',
      `spring-away  ${UNHEARD}`,
    ]);
    const sent = (await Promise.all(['spring-1', 'spring-2', 'spring-away'].map(sentTo))).flat();
    const signed = { act: 'pause', actor: 'ana', reason: 'cloud incident' };
    expect(sent).toMatchObject([signed, signed, signed]);
    expect(new Set(sent.map(({ requestId }) => requestId)).size).toBe(3);
    expect(await sentTo('autumn-1')).toEqual([]);

    const heard = `${SPRING} AND UpliftRollout != "spring-away"`;
    const resumed = await act('resume', heard, '-o', 'json');
    expect(resumed.code).toBe(0);
    expect(JSON.parse(resumed.stdout)).toMatchObject({
      act: 'resume',
      actor: 'ana',
      reason: 'cloud incident',
      rollouts: [
        { rollout: 'spring-1', outcome: 'heard', error: null },
        { rollout: 'spring-2', outcome: 'heard', error: null },
      ],
    });

    // Brackets keep an OR from choosing what has ended, or what is no rollout.
    expect((await act('stop', `UpliftRollout = "spring-1" OR UpliftRollout = "spring-2"`)).code).toBe(0);
    await chosen(heard, 0);
    const ended = await act('stop', `UpliftRollout = "spring-1" OR UpliftRollout = "autumn-1"`, '-o', 'json');
    expect(ended.code).toBe(0);
    expect(JSON.parse(ended.stdout)).toMatchObject({ rollouts: [{ rollout: 'autumn-1', outcome: 'heard' }] });
  });
});

it('resumes none that is stopping, and says so of it alone', async () => {
  const of = 'UpliftRollout STARTS_WITH "winter-"';
  let isDone = false;
  const slow = scriptedSteps({
    awaitOperation: async ({ spec }) => {
      if (spec.resource.id === 'graph-of-winter-1') await vi.waitUntil(() => isDone, { timeout: 300_000 });
      return {};
    },
    precheck: ({ spec }) => (spec.resource.id === 'graph-of-winter-1' ? {} : { verdict: 'busy', reason: 'exporting' }),
  });
  for (const name of ['winter-1', 'winter-2']) await start(name, QUEUES.main);
  await withScriptedWorkers(env, slow, async () => {
    await chosen(of, 2);
    await vi.waitUntil(() => slow.called.includes('await graph-of-winter-1'), { timeout: 60_000 });
    expect((await act('stop', 'UpliftRollout = "winter-1"')).code).toBe(0);
    const resumed = await act('resume', of);
    expect(resumed.code).toBe(1);
    expect(linesOf(resumed.stdout)).toEqual([
      'winter-1  not sent: rollout winter-1 is stopping: nothing more of it begins',
      'winter-2  goes on',
    ]);
    expect((await sentTo('winter-1')).map((sent) => sent.act)).toEqual(['stop']);
    const told = JSON.parse((await act('resume', 'UpliftRollout = "winter-1"', '-o', 'json')).stdout) as object;
    expect(told).toMatchObject({ rollouts: [{ rollout: 'winter-1', outcome: 'refused', requestId: null }] });
    isDone = true;
    expect((await act('stop', 'UpliftRollout = "winter-2"')).code).toBe(0);
    await chosen(of, 0);
  });
});

it('goes on where one has ended or fails, and the exit code tells', async () => {
  const runs = await chosen(SPRING, 1);
  const order = { act: 'pause', actor: 'ana', reason: 'x' } as const;
  // The server takes only a UUID as a run's id.
  const misnamed = runs.map((one) => ({ ...one, runId: 'x' }));
  const failed = await controlAll(env.client, misnamed, order);
  expect(failed).toMatchObject([{ rollout: 'spring-away', outcome: 'failed', requestId: null }]);
  expect(failed[0]?.error).toMatch(/RunId/i);
  expect(exitCodeOfActs(failed)).toBe(1);

  await env.client.workflow.getHandle(rolloutWorkflowId('spring-away')).terminate();
  const late = await controlAll(env.client, runs, order);
  expect(late).toMatchObject([{ outcome: 'ended', requestId: null, error: null }]);
  expect(exitCodeOfActs(late)).toBe(0);
});
