/** Workers that are stopped, outdated or ended in order, while another one takes over. */
import { afterAll, expect, it } from 'vitest';
import { submitBounds } from '../../activities/bounds.js';
import { systemClock } from '../../activities/clock.js';
import type { CloudApi } from '../../activities/clouds/port.js';
import { FAILURES } from '../../workflows/contracts/errors.js';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { createWorkers } from '../../worker/workers.js';
import { workflowBundle } from '../support/environment.js';
import { startFrontendProxy } from '../support/frontend-proxy.js';
import { type Installation, install, SCALE } from './installation.js';

const installations: Installation[] = [];

async function installed(fleet: Parameters<typeof install>[0]): Promise<Installation> {
  const life = await install(fleet);
  installations.push(life);
  return life;
}

afterAll(async () => {
  for (const life of installations) await life.close();
});

it.concurrent('a worker that wakes up too late sends nothing', async () => {
  const life = await installed({ seed: 'zombie', engines: 1, durationMs: { min: 2_000, max: 2_000 } });
  const spec = life.take('cse');
  const proxy = await startFrontendProxy(life.env.server.address);
  const sleeper = await life.worker({ address: proxy.address, name: 'sleeper' });

  // Stopped with the answer of the last read on its way: what it would do next is send.
  let reads = 0;
  const lastRead = life.calls.hold(({ call, point }) => call === 'jobs' && point === 'processed' && ++reads === 2);
  const handle = await life.begin(spec);
  await lastRead.reached;
  sleeper.signal('SIGSTOP');
  lastRead.release();
  // Else the server would tell it that its time is over.
  proxy.isolate();
  const { sendWindowMs } = submitBounds(apiOf(life, 'cse').pace, SCALE);
  await systemClock.sleep(sendWindowMs + 100);

  const ended = proxy.swallow(
    ({ method, message }) =>
      method === 'RespondActivityTaskCompleted' && message.includes(upgradeWorkflowId(spec.resource)),
  );
  sleeper.signal('SIGCONT');
  const { message } = await ended;
  expect(message).toContain('"verdict":"deferred"');
  expect(life.calls.seen.filter(({ call }) => call === 'submit')).toEqual([]);

  const successor = await life.worker({ name: 'successor' });
  expect(await handle.result()).toMatchObject({ outcome: 'Succeeded' });
  expect(life.accepted(spec)).toBe(1);
  expect(life.clouds.simulator.truth()).toMatchObject({ refused: [], violations: [] });
  for (const worker of [sleeper, successor]) worker.signal('SIGKILL');
  await proxy.close();
});

function apiOf(life: Installation, service: string): CloudApi {
  const api = life.clouds.deps.apis.find((one) => one.service === service);
  if (api === undefined) throw new Error(`no API ${service}`);
  return api;
}

it.concurrent('a worker that does not know a service leaves its steps to one that does', async () => {
  const life = await installed({ seed: 'older', engines: 1, durationMs: { min: 2_000, max: 2_000 } });
  const spec = life.take('cse');
  const older = await createWorkers({
    connection: life.env.nativeConnection,
    namespace: life.env.namespace,
    identity: 'older',
    deps: { ...life.clouds.deps, apis: life.clouds.deps.apis.filter(({ service }) => service !== 'cse') },
    workflowBundle: await workflowBundle(),
  });
  const running = older.run();
  const handle = await life.begin(spec);
  const failure = async () => (await handle.describe()).raw.pendingActivities?.[0]?.lastFailure;
  await expect.poll(failure, { timeout: 60_000 }).toMatchObject({
    message: 'this worker knows no service cse: update it',
    applicationFailureInfo: { type: FAILURES.outdated, nonRetryable: false },
  });
  expect((await handle.describe()).status.name).toBe('RUNNING');

  await life.worker({ name: 'newer' });
  older.shutdown();
  await running;
  expect(await handle.result()).toMatchObject({ outcome: 'Succeeded' });
  expect(life.accepted(spec)).toBe(1);
});

it.concurrent('a worker that is ended in order hands its polls over', async () => {
  const life = await installed({ seed: 'handed', graphs: 2, durationMs: { min: 16_000, max: 16_000 } });
  const spec = life.take('ges-v1');
  const polls = () => life.calls.seen.filter(({ call, point }) => call === 'job' && point === 'processed').length;
  const first = await life.worker();
  const handle = await life.begin(spec);
  while (polls() < 2) await systemClock.sleep(50);
  first.signal('SIGTERM');
  expect(await first.ended).toBe(0);
  const before = polls();

  await life.worker();
  const result = await handle.result();
  console.log(`${before} polls by the worker that ended, ${polls()} in all, ${result.polls} counted`);
  expect(result).toMatchObject({ outcome: 'Succeeded' });
  expect(polls()).toBeGreaterThan(before);
  // One that was under way when the worker ended may have been answered to nobody.
  expect(result.polls).toBeGreaterThanOrEqual(polls() - 1);
  expect(result.polls).toBeLessThanOrEqual(polls());
  expect(life.accepted(spec)).toBe(1);
});
