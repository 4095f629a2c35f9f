/** Steering a rollout by commands, as real processes against a real server and the simulated clouds. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { parse, stringify } from 'yaml';
import type { Cause } from '../../client/explain.js';
import type { RolloutReport, RolloutView } from '../../client/views.js';
import type { Truth } from '../../simulator/truth.js';
import type { DevServer } from '../../temporal/dev-server.js';
import { connectClient, localTarget } from '../../temporal/connection.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { startTestServer } from '../support/environment.js';
import { linesOf, rehearsal, type Rehearsal, serve, type Service, uplift } from './cli.js';

// Many processes, each of which takes seconds to load on a busy machine.
vi.setConfig({ testTimeout: 300_000 });

let server: DevServer;
let place: Rehearsal;
let worker: Service | null = null;
let rollout: string;
/** Somebody whom only a profile names. */
let asBen: NodeJS.ProcessEnv;

beforeAll(async () => {
  server = await startTestServer();
  place = await rehearsal('--seed', 'steer', '--graphs', '4', '--clusters', '0', '--min', '1s', '--max', '2s');
  const profiles = join(place.directory, 'temporal.toml');
  asBen = { TEMPORAL_CONFIG_FILE: profiles, TEMPORAL_PROFILE: 'ben' };
  const metadata = '[profile.ben.grpc_meta]\nuplift-actor = "ben@example.com"\n';
  writeFileSync(profiles, `[profile.ben]\naddress = "${server.address}"\n${metadata}`);
});
afterAll(async () => {
  await worker?.stop();
  await place.dispose();
  await server.stop();
});

const run = (...args: string[]) => uplift(args, { TEMPORAL_ADDRESS: server.address, UPLIFT_ACTOR: 'ana' });
const steer = (act: string, ...args: string[]) => run(act, rollout, ...args, '--reason', 'a test');

async function statusOf(id: string): Promise<{ rollout: RolloutView; resources: RolloutReport['rows'] }> {
  return JSON.parse((await run('status', id, '-o', 'json')).stdout) as {
    rollout: RolloutView;
    resources: RolloutReport['rows'];
  };
}

async function submits(): Promise<Truth['submits']> {
  return ((await (await fetch(`${place.url}/_simulator/truth`)).json()) as Truth).submits;
}

it('pause holds though no worker is up; what needs an answer says that none came', async () => {
  const plan = parse(readFileSync(place.plan, 'utf8')) as { spec: { waves: unknown } };
  plan.spec.waves = [{ name: 'all', rest: true }];
  const file = join(place.directory, 'steered.yaml');
  writeFileSync(file, stringify(plan));
  rollout = linesOf((await run('apply', file, '--accounts', place.accounts)).stdout)[0] ?? '';

  expect(await run('pause', rollout)).toMatchObject({ code: 1, stdout: '' });
  expect(await run('pause', rollout, '--reason', 'x'.repeat(301))).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('Say it in 300 characters.') as string,
  });
  expect(await steer('pause')).toMatchObject({
    code: 5,
    stderr: 'recorded by the server, and no worker has heard it yet: it holds once one is up (uplift worker)\n',
  });
  expect(await steer('concurrency', '4')).toMatchObject({
    code: 1,
    stderr:
      'uplift: no worker answered, and whether one recorded it is not known (start one: uplift worker; then look: uplift report)\n',
  });
  expect(await steer('retry')).toMatchObject({
    code: 1,
    stderr: `uplift: rollout ${rollout} is Paused: only what has ended is tried again (end it first: uplift stop ${rollout} --reason …)\n`,
  });
  // The server alone knows of it.
  expect((await statusOf(rollout)).rollout).toMatchObject({
    state: 'Paused',
    workerAnswers: false,
    reason: expect.stringMatching(/^paused by ana at \S+: a test$/) as string,
    next: `nothing, until somebody resumes it: \`uplift resume ${rollout} --reason …\``,
  });
  const { causes } = JSON.parse((await run('explain', rollout, '-o', 'json')).stdout) as { causes: Cause[] };
  expect(causes.map(({ who, changes }) => [who, changes])).toEqual([
    ['worker', 'start one: uplift worker'],
    [rollout, `uplift resume ${rollout} --reason …`],
  ]);
});

it('with a worker it stays paused until it is resumed, and does as it is told', async () => {
  worker = await serve(['worker', '--accounts', place.accounts], /worker is ready/, {
    TEMPORAL_ADDRESS: server.address,
  });
  let told = await statusOf(rollout);
  while (told.rollout.state !== 'Paused') told = await statusOf(rollout);
  expect(told.rollout.next).toBe(`nothing, until somebody resumes it: \`uplift resume ${rollout} --reason …\``);
  expect(told.rollout.acts).toMatchObject([{ act: 'pause', actor: 'ana', reason: 'a test' }]);
  expect(await submits()).toEqual([]);

  const last = told.resources.at(-1)?.resourceId ?? '';
  expect(await steer('skip', last)).toMatchObject({
    code: 0,
    stderr: `${last} is left out, unless it has started already\n`,
  });
  expect(await steer('skip', 'nothing')).toMatchObject({
    code: 1,
    stderr: `uplift: nothing is no resource of this rollout (\`uplift status ${rollout} --all\` lists them)\n`,
  });
  expect(await steer('skip', '--wave', 'none')).toMatchObject({
    code: 1,
    stderr: 'uplift: there is no wave "none" (there are "all")\n',
  });
  expect(await steer('approve')).toMatchObject({ code: 1, stderr: 'uplift: nothing of this rollout needs approval\n' });
  expect(await steer('concurrency', '3', '-o', 'json')).toMatchObject({ code: 0 });
  expect(await uplift(['resume', rollout, '--reason', 'a test'], asBen)).toMatchObject({
    code: 0,
    stderr: `rollout ${rollout} goes on; this ends ana's pause: a test\n`,
  });

  expect((await run('watch', rollout)).code).toBe(3);
  told = await statusOf(rollout);
  expect(told.rollout).toMatchObject({ state: 'SucceededWithFailures', counts: { Succeeded: 3, Skipped: 1 } });
  expect(told.resources.at(-1)).toMatchObject({
    outcome: 'Skipped',
    reason: expect.stringContaining('by ana') as string,
  });
  expect(await submits()).toHaveLength(3);
  const { stdout: report } = await run('report', rollout);
  expect(report).toMatch(/## What people did\n[^#]*\| pause +\| the rollout +\| ana +\| a test +\|\n[^#]*\| resume/);
});

it('retry starts what was skipped as a rollout of its own, linked to its parent', async () => {
  expect(await steer('pause')).toMatchObject({
    code: 1,
    stderr: `uplift: rollout ${rollout} has ended: SucceededWithFailures (\`uplift retry ${rollout} --reason …\` tries again what did not go well)\n`,
  });
  expect(await steer('retry', '--only', 'failed')).toMatchObject({
    code: 1,
    stderr: `uplift: nothing of ${rollout} is left to be tried again\n`,
  });
  const started = await uplift(['retry', rollout, '--only', 'skipped', '--reason', 'a test'], asBen);
  const { code, stdout, stderr } = started;
  expect(stderr).toMatch(/^failure budget: .*\nstarted: \d+ resources?; follow it by `uplift watch \S+`\n$/);
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${rollout}-retry-1\n` });
  expect((await run('watch', `${rollout}-retry-1`)).code).toBe(0);
  expect(await run('resume', `${rollout}-retry-1`, '--reason', 'a test')).toMatchObject({
    code: 1,
    stderr: `uplift: rollout ${rollout}-retry-1 has ended: Succeeded\n`,
  });
  const parent = await statusOf(rollout);
  const told = await statusOf(`${rollout}-retry-1`);
  expect(told.rollout).toMatchObject({
    state: 'Succeeded',
    startedBy: 'ben@example.com',
    planDigest: parent.rollout.planDigest,
    retryOf: { rollout, runId: parent.rollout.runId, reason: 'a test' },
  });
  expect(told.resources.map(({ resourceId }) => resourceId)).toEqual([parent.resources.at(-1)?.resourceId]);
  expect(await submits()).toHaveLength(4);
});

it('every event in which a person has a hand names the person, also one whom only a profile names', async () => {
  const client = await connectClient(localTarget(server.address));
  const eventsOf = async (id: string) =>
    (await client.workflow.getHandle(rolloutWorkflowId(id)).fetchHistory()).events ?? [];
  const events = await eventsOf(rollout);
  const retried = await eventsOf(`${rollout}-retry-1`);
  await client.connection.close();

  const starter = (all: typeof events) => all[0]?.workflowExecutionStartedEventAttributes?.identity;
  expect(starter(events)).toBe('ana');
  expect(starter(retried)).toBe('ben@example.com');
  const signals = events.map((event) => event.workflowExecutionSignaledEventAttributes);
  expect(signals.flatMap((one) => (one?.signalName === 'control' ? [one.identity] : []))).toEqual([
    'ana',
    'ben@example.com',
  ]);
  const updates = events.flatMap(
    (event) => event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest?.meta?.identity ?? [],
  );
  expect(new Set(updates)).toEqual(new Set(['ana']));
  expect((await statusOf(rollout)).rollout.acts?.map(({ act, actor }) => [act, actor])).toEqual(
    expect.arrayContaining([
      ['pause', 'ana'],
      ['resume', 'ben@example.com'],
    ]),
  );
});
