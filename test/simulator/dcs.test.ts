/** DCS: two components, a task list, and no status that says an upgrade runs. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEMO_PROJECT } from '../../simulator/inventory.js';
import type { Fate } from '../../simulator/model.js';
import { DURATION_MS, startClouds, type Answer, type Clouds } from './clients.js';

const ROOT = `/v2/${DEMO_PROJECT}/instances`;
const OFFER = { engine: '5.0.14.2', proxy: '5.0.14.1' };

let clouds: Clouds;
let id: string;

beforeEach(async () => {
  clouds = await startClouds({ fleet: { graphs: 0, clusters: 0, caches: 3 } });
  ({ id } = clouds.first('dcs'));
  clouds.simulator.inventory.change(id, { versions: { engine: '5.0.12', proxy: '5.0.10' } });
});
afterEach(() => clouds.simulator.close());

const read = async (path = ''): Promise<Record<string, unknown>> =>
  (await clouds.huawei({ path: `${ROOT}/${id}${path}` })).json;
const submit = (body: unknown, instance = id): Promise<Answer> =>
  clouds.huawei({ method: 'POST', path: `${ROOT}/${instance}/minor-version/upgrade`, body });
const upgrade = async (): Promise<string> =>
  String((await submit({ engine_minor_version: 'latest', proxy_minor_version: 'latest' })).json['task_id']);
const tasks = async (query: Record<string, string> = {}): Promise<Record<string, unknown>> =>
  (await clouds.huawei({ path: `${ROOT}/${id}/tasks`, query })).json;
const fated = (fate: Fate): void => clouds.simulator.inventory.change(id, { fate });

describe('an upgrade', () => {
  it('shows by a flag, a task id and the task list, and never by its status', async () => {
    expect(await read()).toMatchObject({ status: 'RUNNING', service_upgrade: false, service_task_id: null });
    expect(await tasks()).toEqual({ task_count: '0', tasks: [] });
    const task = await upgrade();
    expect(task).toMatch(/^[0-9a-f]{32}$/);
    clouds.clock.advance(DURATION_MS / 2);
    expect(await read()).toMatchObject({ status: 'RUNNING', service_upgrade: true, service_task_id: task });
    expect(await read()).toHaveProperty('task');
    expect(await tasks()).toMatchObject({ task_count: '1', tasks: [{ id: task, status: 'EXECUTING' }] });
    const progress = await read(`/tasks/${task}/progress`);
    expect(progress).toMatchObject({ progress: 50, remain_time: DURATION_MS / 2 / 1000 });
    const steps = progress['step_details'] as Record<string, unknown>[];
    expect(steps.map((step) => step['step_status'])).toEqual(['FINISH', 'FINISH', 'EXECUTING', 'WAITING', 'WAITING']);
    expect(steps[0]?.['error_code']).toBe('DCS.0000');

    clouds.clock.advance(DURATION_MS / 2);
    const after = await read();
    expect(after).toMatchObject({ status: 'RUNNING', service_upgrade: false, service_task_id: null });
    expect(after).not.toHaveProperty('task');
    expect(await tasks()).toMatchObject({ tasks: [{ id: task, status: 'SUCCESS' }] });
    expect(await read(`/tasks/${task}/progress`)).toMatchObject({ progress: 100, remain_time: 0 });
    expect(clouds.simulator.truth().submits).toMatchObject([{ resource: id, target: OFFER }]);
  });

  it('to latest is one to what is on offer then', async () => {
    expect(await read('/version')).toEqual({
      engine_minor_version: '5.0.12',
      latest_engine_minor_version: OFFER.engine,
      engine_minor_version_upgradable: true,
      proxy_minor_version: '5.0.10',
      latest_proxy_minor_version: OFFER.proxy,
      proxy_minor_version_upgradable: true,
    });
    const { facts } = clouds.simulator.inventory.get(id);
    clouds.simulator.inventory.change(id, { facts: { ...facts, latestEngine: '5.0.15' } });
    await submit({ engine_minor_version: 'latest' });
    clouds.clock.advance(DURATION_MS);
    expect(await read('/version')).toMatchObject({
      engine_minor_version: '5.0.15',
      engine_minor_version_upgradable: false,
      proxy_minor_version: '5.0.10',
    });
  });

  it('to a version that is named leads there, on offer or below it', async () => {
    expect((await submit({ engine_minor_version: '5.0.14', proxy_minor_version: OFFER.proxy })).status).toBe(200);
    clouds.clock.advance(DURATION_MS);
    expect(clouds.simulator.inventory.now()[0]?.version).toBe(`engine 5.0.14, proxy ${OFFER.proxy}`);
  });

  it('that fails leaves the old versions and names the step', async () => {
    fated('rolls-back');
    const task = await upgrade();
    clouds.clock.advance(2 * DURATION_MS);
    expect(await read()).toMatchObject({ status: 'RUNNING', service_upgrade: false });
    expect((await tasks())['tasks']).toMatchObject([{ status: expect.stringMatching(/^FAIL(ED)?$/) as string }]);
    const steps = (await read(`/tasks/${task}/progress`))['step_details'] as Record<string, unknown>[];
    expect(steps.at(-1)).toMatchObject({ step_status: 'FAILED', error_code: 'DCS.5091' });
    expect(await read('/version')).toMatchObject({ engine_minor_version: '5.0.12', proxy_minor_version: '5.0.10' });
  });

  it('can say success and keep the old versions, end broken, or run for ever', async () => {
    fated('job-says-success-but-old-version');
    await upgrade();
    clouds.clock.advance(DURATION_MS);
    expect((await tasks())['tasks']).toMatchObject([{ status: 'SUCCESS' }]);
    expect(await read('/version')).toMatchObject({ engine_minor_version: '5.0.12' });
    fated('ends-broken');
    await upgrade();
    clouds.clock.advance(DURATION_MS);
    expect(await read()).toMatchObject({ status: 'ERROR' });

    clouds.simulator.inventory.change(id, { status: 'RUNNING', fate: 'stuck', versions: { engine: '5.0.12' } });
    const task = String((await submit({ engine_minor_version: 'latest' })).json['task_id']);
    clouds.clock.advance(1000 * DURATION_MS);
    expect(await read()).toMatchObject({ service_upgrade: true });
    expect(await read(`/tasks/${task}/progress`)).toMatchObject({ progress: 99, remain_time: null });
  });
});

describe('a submit is refused', () => {
  it.each<[string, unknown, string]>([
    ['with neither field', {}, 'DCS.4004'],
    ['with a word that is no version', { engine_minor_version: 'newest' }, 'DCS.4063'],
    ['with a number', { engine_minor_version: 5 }, 'DCS.4063'],
    ['below the current version', { engine_minor_version: '5.0.10' }, 'DCS.4063'],
    ['above the offer', { engine_minor_version: '5.0.15' }, 'DCS.4063'],
    ['for the current version', { engine_minor_version: '5.0.12' }, 'DCS.4053'],
    ['for one component that is there', { engine_minor_version: 'latest', proxy_minor_version: '5.0.10' }, 'DCS.4053'],
  ])('%s', async (_, body, code) => {
    const answer = await submit(body);
    expect(answer.status).toBe(400);
    expect(answer.json).toEqual({ error_code: code, error_msg: expect.any(String) as string, error_ext_msg: null });
    expect(clouds.simulator.truth()).toMatchObject({ submits: [], refused: [{ resource: id, code }] });
  });

  it('while one runs, or another task does', async () => {
    await upgrade();
    expect((await submit({ engine_minor_version: 'latest' })).json['error_code']).toBe('DCS.4116');
    clouds.clock.advance(DURATION_MS);
    const versions = { engine: '5.0.12' };
    clouds.simulator.inventory.change(id, { versions, facts: { latestEngine: '5.0.14.2', runningTask: 'BACKUP' } });
    expect(await read()).toMatchObject({ status: 'RUNNING', task: 'BACKUP', service_upgrade: false });
    expect((await submit({ engine_minor_version: 'latest' })).json['error_code']).toBe('DCS.4017');
  });

  it.each([
    ['CREATING', 'DCS.4118'],
    ['RESTARTING', 'DCS.4111'],
    ['EXTENDING', 'DCS.4113'],
    ['RESTORING', 'DCS.4097'],
    ['FROZEN', 'DCS.4120'],
    ['ERROR', 'DCS.4049'],
  ])('in status %s', async (status, code) => {
    clouds.simulator.inventory.change(id, { status });
    expect((await submit({ engine_minor_version: 'latest' })).json['error_code']).toBe(code);
  });

  it('for a proxy that is not there, and for an instance that is not', async () => {
    const other = clouds.simulator.inventory.now().find(({ version }) => !version.includes('proxy'));
    expect((await submit({ proxy_minor_version: 'latest' }, other?.id)).json['error_code']).toBe('DCS.4063');
    const unknown = await submit({ engine_minor_version: 'latest' }, '00000000-0000-4000-8000-000000000000');
    expect([unknown.status, unknown.json['error_code']]).toEqual([404, 'DCS.3022']);
  });

  it('with the old number of the error by every third instance', async () => {
    const old = clouds.simulator.inventory.now()[2]?.id;
    expect((await submit({}, old)).json['error_code']).toBe('111400004');
    await submit({ engine_minor_version: 'latest' }, old);
    expect((await submit({ engine_minor_version: 'latest' }, old)).json['error_code']).toBe('111400116');
  });
});

it('lists tasks by time and page, newest first', async () => {
  const first = await upgrade();
  clouds.clock.advance(24 * 3_600_000);
  clouds.simulator.inventory.change(id, { versions: { engine: '5.0.12' } });
  const second = String((await submit({ engine_minor_version: 'latest' })).json['task_id']);
  const ids = async (query: Record<string, string>): Promise<unknown[]> =>
    ((await tasks(query))['tasks'] as Record<string, unknown>[]).map((task) => task['id']);
  expect(await ids({})).toEqual([second, first]);
  expect(await ids({ offset: '1', limit: '1' })).toEqual([first]);
  expect(await ids({ start_time: '20261122000000' })).toEqual([second]);
  expect(await ids({ end_time: '20261122000000' })).toEqual([first]);
  expect((await tasks({ start_time: 'yesterday' }))['error_code']).toBe('DCS.4062');
  expect((await tasks({ limit: '1001' }))['error_code']).toBe('DCS.4062');
  expect((await read('/tasks/another/progress'))['error_code']).toBe('DCS.4070');
});

it('pages instances by offset and limit, ten when nothing is said', async () => {
  await clouds.simulator.close();
  clouds = await startClouds({ fleet: { graphs: 0, clusters: 0, caches: 23 } });
  const page = async (query: Record<string, string>): Promise<string[]> => {
    const { json } = await clouds.huawei({ path: ROOT, query });
    expect(json['instance_num']).toBe(23);
    return (json['instances'] as { instance_id: string }[]).map((entry) => entry.instance_id);
  };
  const all = [
    ...(await page({})),
    ...(await page({ offset: '10' })),
    ...(await page({ offset: '20', limit: '1000' })),
  ];
  expect(all).toEqual(clouds.simulator.inventory.now().map((resource) => resource.id));
  const names = clouds.simulator.inventory.now().filter(({ version }) => version.includes('proxy'));
  expect(names).toHaveLength(12);
});

it('notes what a strict reader would object to', async () => {
  await submit({ engine_minor_version: 'latest', version: '5.0.14.2' });
  await clouds.huawei({ method: 'DELETE', path: `${ROOT}/${id}/tasks/1` });
  expect(clouds.simulator.truth().violations.map(({ kind }) => kind)).toEqual(['unknown-field', 'forbidden-method']);
});
