/**
 * A schedule on a real server creates a rollout by itself. The rollout does not finish in its window, worker and server are
 * killed and started again, and it goes on in the next one.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, isGrpcDeadlineError } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { systemClock } from '../../activities/clock.js';
import { describeSchedule, type ScheduleView } from '../../client/schedules.js';
import { connectClient, localTarget } from '../../temporal/connection.js';
import type { DevServer } from '../../temporal/dev-server.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import type { Notice } from '../../workflows/contracts/notices.js';
import type { RolloutResult } from '../../workflows/contracts/rollout.js';
import { uplift } from '../cli/cli.js';
import { CLOUD_ENV, type Clouds, simulatedClouds } from '../support/clouds.js';
import { startTestServer } from '../support/environment.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { startWorkerProcess, type WorkerProcess, writeAccounts } from '../support/worker-process.js';

const SCALE = 0.05;
const RESOURCES = 16;
const SECOND = 1_000;

let directory: string;
let clouds: Clouds;
let server: DevServer;
let client: Client;
let worker: WorkerProcess;
let accounts: string;
let receiver: Receiver;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'uplift-schedule-'));
  const durationMs = { min: 4_000, max: 4_000 };
  clouds = await simulatedClouds({ clock: systemClock, scale: SCALE, graphs: RESOURCES, durationMs });
  receiver = await startReceiver(() => 204);
  accounts = await writeAccounts(directory, clouds.simulator.url);
  const webhooks = { ops: { url: { env: 'OPS_URL' } } };
  await writeFile(accounts, stringify({ ...(parse(await readFile(accounts, 'utf8')) as object), webhooks }));
  server = await startTestServer({ dbFile: join(directory, 'temporal.db') });
  client = await connectClient(localTarget(server.address));
  worker = await work();
});
afterAll(async () => {
  worker.signal('SIGKILL');
  await worker.ended;
  await client.connection.close();
  await server.stop();
  await clouds.close();
  await receiver.close();
  await rm(directory, { recursive: true, force: true });
});

function work(): Promise<WorkerProcess> {
  return startWorkerProcess({ address: server.address, accounts, name: 'one', env: { OPS_URL: receiver.url } });
}

interface Span {
  readonly opens: number;
  readonly closes: number;
}

/** In whole seconds, as windows are. */
function span(from: number, lasts: number): Span {
  const opens = Math.ceil(from / SECOND) * SECOND;
  return { opens, closes: opens + lasts };
}

function windowOf(name: string, { opens, closes }: Span) {
  const start = new Date(opens).toISOString().slice(11, 19);
  return { name, rrule: 'FREQ=DAILY', start, duration: `PT${(closes - opens) / SECOND}S`, timezone: 'UTC' };
}

async function run(...args: string[]) {
  return uplift(['schedule', ...args], { ...CLOUD_ENV, TEMPORAL_ADDRESS: server.address, UPLIFT_ACCOUNTS: accounts });
}

const view = (): Promise<ScheduleView> => describeSchedule(client, 'nightly');

/** A busy server may be late with an answer: then one looks again. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const seen = async () => {
    try {
      return await isSo();
    } catch (error) {
      if (!isGrpcDeadlineError(error)) throw error;
      return false;
    }
  };
  while (!(await seen())) await delay(200);
}

const acceptedIn = ({ opens, closes }: Span) =>
  clouds.simulator.truth().submits.filter(({ at }) => at >= opens && at < closes).length;

it('a rollout that its schedule created goes on in the next window after worker and server were killed', async () => {
  const first = span(Date.now() + 90 * SECOND, 25 * SECOND);
  const second = span(first.closes + 45 * SECOND, 3_600 * SECOND);
  const plan = join(directory, 'nightly.yaml');
  const spec = {
    targets: [{ service: 'ges-v2', account: 'huawei', select: { currentVersion: '<9.9.9' }, version: '9.9.9' }],
    waves: [{ name: 'all', rest: true, concurrency: 2 }],
    failureBudget: { max: '100%', mode: 'loose' },
    windows: [windowOf('first', first), windowOf('second', second)],
    startOnlyIfFits: false,
    notify: [{ webhook: 'ops' }],
    timeScale: SCALE,
  };
  const metadata = { name: 'nightly' };
  await writeFile(plan, stringify({ apiVersion: 'uplift/v1', kind: 'Rollout', metadata, spec }));

  const created = await run('create', 'nightly', plan, '--window', 'first', '--lead', '20s', '-o', 'json');
  expect(created.code, created.stderr).toBe(0);
  const { schedule } = JSON.parse(created.stdout) as { schedule: ScheduleView };
  const rollout = `nightly-${new Date(first.opens).toISOString().slice(0, 10)}`;
  expect(schedule.next[0]).toMatchObject({ rollout, opens: new Date(first.opens).toISOString() });
  expect(schedule.next).toHaveLength(10);
  expect(schedule.agrees).toBe(true);

  // By itself: nobody triggers it.
  await until(async () => (await view()).runs[0]?.state === 'Created');
  await until(() => Date.now() > first.closes + SECOND);
  const before = acceptedIn(first);

  const port = Number(server.address.split(':')[1]);
  worker.signal('SIGKILL');
  process.kill(server.pid, 'SIGKILL');
  await Promise.all([worker.ended, server.ended]);
  server = await startTestServer({ dbFile: join(directory, 'temporal.db'), port });
  worker = await work();

  // While it waits for its next window, the schedule says why it creates no other one.
  const skipped = await run('trigger', 'nightly', '-o', 'json');
  expect(skipped.code, skipped.stderr).toBe(6);
  const { reason, state } = (JSON.parse(skipped.stdout) as { run: { reason: string; state: string } }).run;
  expect(state).toBe('Skipped');
  expect(reason).toContain(`rollout ${rollout} still runs, since `);

  const result = (await client.workflow.getHandle(rolloutWorkflowId(rollout)).result()) as RolloutResult;
  expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: RESOURCES } });
  const after = acceptedIn(second);
  console.log(
    `accepted submits: ${before} in the first window, ${after} in the second, ${clouds.simulator.truth().submits.length} in all, of ${RESOURCES} resources`,
  );
  expect(before).toBeGreaterThan(0);
  expect(after).toBeGreaterThan(0);
  expect(before + after).toBe(RESOURCES);
  expect(clouds.simulator.truth().submits).toHaveLength(RESOURCES);

  let runs: ScheduleView['runs'] = [];
  await until(async () => {
    ({ runs } = await view());
    return runs.some((one) => one.state === 'Succeeded');
  });
  expect(runs.map((one) => one.state)).toEqual(['Skipped', 'Succeeded']);
  // What was skipped is the next opening's; tomorrow, since today's was over.
  expect(runs.map((one) => one.rollout)).toEqual([schedule.next[1]?.rollout, rollout]);

  // People heard of both windows, also of the edge at which nobody was up to tell them.
  const told = () => [...new Map(receiver.received.map(({ body }) => [(body as Notice).id, body as Notice])).values()];
  await until(() => told().some(({ kind }) => kind === 'done'));
  expect(told().every((one) => one.rollout === rollout && one.schedule === 'nightly')).toBe(true);
  const texts = (kind: Notice['kind']) => told().flatMap((one) => (one.kind === kind ? [one.text] : []));
  const edge = ({ closes }: Span) => new Date(closes).toISOString();
  expect(texts('opened')).toEqual([
    `window first is open until ${edge(first)}: ${RESOURCES} of ${RESOURCES} left`,
    expect.stringContaining(`window second is open until ${edge(second)}: `) as string,
  ]);
  expect(texts('closed')).toEqual([expect.stringMatching(/^window first has closed: \d+ of 16 left/) as string]);
  expect(texts('done')).toEqual([`Succeeded: ${RESOURCES} of ${RESOURCES} at target, 0 failed (16 Succeeded)`]);
}, 400_000);
