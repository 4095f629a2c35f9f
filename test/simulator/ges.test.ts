/** GES by both API versions: one inventory in two spellings. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEMO_PROJECT } from '../../simulator/inventory.js';
import type { Fate } from '../../simulator/model.js';
import { DURATION_MS, startClouds, type Answer, type Clouds } from './clients.js';

const CAMEL = (snake: string): string => snake.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
const VERSIONS = [
  { api: 'v1', root: `/v1.0/${DEMO_PROJECT}/graphs`, spell: CAMEL, code: 'errorCode', message: 'errorMessage' },
  {
    api: 'v2',
    root: `/v2/${DEMO_PROJECT}/graphs`,
    spell: (name: string) => name,
    code: 'error_code',
    message: 'error_msg',
  },
] as const;

describe.each(VERSIONS)('GES $api', ({ api, root, spell, code, message }) => {
  let clouds: Clouds;
  let id: string;
  beforeEach(async () => {
    clouds = await startClouds({ fleet: { graphs: 1, clusters: 0 } });
    id = clouds.first('ges').id;
  });
  afterEach(() => clouds.simulator.close());

  const submit = (version: unknown, fields: Record<string, unknown> = {}, graph = id): Promise<Answer> => {
    const body = { [spell('upgrade_version')]: version, ...fields };
    return api === 'v1'
      ? clouds.huawei({ method: 'POST', path: `${root}/${graph}/action`, query: { action_id: 'upgrade' }, body })
      : clouds.huawei({ method: 'POST', path: `${root}/${graph}/upgrade`, body });
  };
  const graph = async (): Promise<Record<string, unknown>> =>
    (await clouds.huawei({ path: `${root}/${id}` })).json['graph'] as Record<string, unknown>;
  const seen = async (): Promise<unknown[]> => {
    const { status, [spell('data_store_version')]: version } = await graph();
    return [status, version];
  };
  const job = async (jobId: unknown): Promise<Record<string, unknown>> =>
    (await clouds.huawei({ path: `${root}/${id}/jobs/${String(jobId)}/status` })).json;
  const fated = (fate: Fate): void => clouds.simulator.inventory.change(id, { fate });
  const before = (): string => clouds.simulator.inventory.get(id).versions['graph'] ?? '';

  it('shows a graph as the documents do', async () => {
    const shown = await graph();
    expect(shown).toMatchObject({ id, status: '200', [spell('data_store_version')]: before() });
    expect(shown['tags']).toEqual(expect.arrayContaining([{ key: 'env', value: 'canary' }]));
    expect(shown[spell('action_progress')]).toBeUndefined();
  });

  it('upgrades: 200, 201 while it runs, 200 with the new version', async () => {
    const old = before();
    const accepted = await submit('9.0.0', { [spell('force_upgrade')]: false });
    expect(accepted.status).toBe(200);
    const jobId = accepted.json[spell('job_id')];
    expect(String(jobId).length).toBeGreaterThanOrEqual(44);
    expect(await seen()).toEqual(['201', old]);
    expect(await job(jobId)).toMatchObject({ [spell('job_id')]: jobId, status: 'pending', [spell('job_progress')]: 0 });

    clouds.clock.advance(DURATION_MS / 2);
    expect(await seen()).toEqual(['201', old]);
    const running = await job(jobId);
    expect(running).toMatchObject({ status: 'running', [spell('begin_time')]: '2026-11-21T05:26:00' });
    expect(running[spell('end_time')]).toBeUndefined();
    expect(running[spell('related_graph')]).toBe(clouds.simulator.inventory.get(id).name);

    clouds.clock.advance(DURATION_MS / 2);
    expect(await seen()).toEqual(['200', '9.0.0']);
    expect(await job(jobId)).toMatchObject({ status: 'success', [spell('end_time')]: '2026-11-21T05:36:00' });
    expect(clouds.simulator.truth().submits).toMatchObject([{ resource: id, account: 'north', answerLost: false }]);
  });

  it('rolls a failed upgrade back by itself: 201, 203, 200 with the old version, job failed', async () => {
    const old = before();
    fated('rolls-back');
    const jobId = (await submit('9.0.0')).json[spell('job_id')];
    clouds.clock.advance(DURATION_MS);
    expect(await seen()).toEqual(['203', old]);
    expect(await job(jobId)).toMatchObject({ status: 'running' });
    clouds.clock.advance(DURATION_MS / 2);
    expect(await seen()).toEqual(['200', old]);
    const ended = await job(jobId);
    expect(ended).toMatchObject({ status: 'failed' });
    expect(ended[spell('fail_reason')]).toMatch(/rolled back/);
  });

  it('can say success and keep the old version', async () => {
    const old = before();
    fated('job-says-success-but-old-version');
    const jobId = (await submit('9.0.0')).json[spell('job_id')];
    clouds.clock.advance(DURATION_MS);
    expect(await job(jobId)).toMatchObject({ status: 'success' });
    expect(await seen()).toEqual(['200', old]);
  });

  it('can run for ever, or end broken', async () => {
    fated('stuck');
    await submit('9.0.0');
    clouds.clock.advance(1000 * DURATION_MS);
    expect((await seen())[0]).toBe('201');
    clouds.simulator.inventory.change(id, { fate: 'ends-broken' });
    expect((await seen())[0]).toBe('201');
  });

  it('ends broken where that is its fate', async () => {
    fated('ends-broken');
    await submit('9.0.0');
    clouds.clock.advance(DURATION_MS);
    expect(await seen()).toEqual(['300', '9.0.0']);
  });

  it.each([
    ['an earlier version', '0.9.9', 'GES.7036'],
    ['no version', undefined, 'GES.0001'],
    ['a version that is none', 'latest', 'GES.0001'],
  ])('refuses %s', async (_, version, expected) => {
    const answer = await submit(version);
    expect(answer.status).toBe(400);
    expect(answer.json[code]).toBe(expected);
    expect(answer.json[message]).toEqual(expect.any(String));
    expect(clouds.simulator.truth()).toMatchObject({ submits: [], refused: [{ resource: id, code: expected }] });
  });

  it('refuses the version that it has', async () => {
    expect((await submit(before())).json[code]).toBe('GES.7036');
  });

  it.each([
    ['100', 'GES.7042'],
    ['205', 'GES.7001'],
    ['800', 'GES.7001'],
    ['900', 'GES.7003'],
    ['903', 'GES.7002'],
  ])('refuses an upgrade in status %s with %s', async (status, expected) => {
    clouds.simulator.inventory.change(id, { status });
    expect((await submit('9.0.0')).json[code]).toBe(expected);
  });

  it('refuses a second upgrade while one runs, and notes that somebody tried', async () => {
    await submit('9.0.0');
    expect((await submit('9.0.1')).json[code]).toBe('GES.7001');
    const truth = clouds.simulator.truth();
    expect(truth.submits).toHaveLength(1);
    expect(truth.violations).toMatchObject([{ kind: 'submit-while-running', detail: id }]);
  });

  it('answers HTTP 400 for an unknown graph, and for an unknown job', async () => {
    const unknown = await clouds.huawei({ path: `${root}/4c5f882d-a813-4d78-a6e3-73212ddd4121` });
    expect([unknown.status, unknown.json[code]]).toEqual([400, 'GES.7000']);
    expect((await submit('9.0.0', {}, 'nobody')).json[code]).toBe('GES.7000');
    expect((await job('nothing'))[code]).toBe('GES.7007');
  });

  it('pages graphs by offset and limit, ten when nothing is said', async () => {
    await clouds.simulator.close();
    clouds = await startClouds({ fleet: { graphs: 23, clusters: 0 } });
    const page = async (query: Record<string, string>): Promise<string[]> => {
      const { json } = await clouds.huawei({ path: root, query });
      expect(json[spell('graph_count')]).toBe(23);
      return (json['graphs'] as { id: string }[]).map((entry) => entry.id);
    };
    const all = [
      ...(await page({})),
      ...(await page({ offset: '10' })),
      ...(await page({ offset: '20', limit: '10' })),
    ];
    expect(all).toEqual(clouds.simulator.inventory.now().map((resource) => resource.id));
    expect(await page({ offset: '23' })).toEqual([]);
    expect((await clouds.huawei({ path: root, query: { offset: '-1' } })).json[code]).toBe('GES.0001');
  });

  it('lists jobs, filtered by name, day and state, newest first', async () => {
    const list = async (query: Record<string, string>): Promise<unknown[]> => {
      const { json } = await clouds.huawei({ path: `${root}/jobs`, query });
      const jobs = json[spell('job_list')] as Record<string, unknown>[];
      expect(json[spell('job_count')]).toBe(jobs.length);
      return jobs.map((entry) => entry[spell('job_id')]);
    };
    const { name } = clouds.simulator.inventory.get(id);
    const first = (await submit('9.0.0')).json[spell('job_id')];
    expect(await list({ status: 'waiting' })).toEqual([first]);
    clouds.clock.advance(24 * 3_600_000);
    const second = (await submit('9.0.1')).json[spell('job_id')];
    expect(await list({})).toEqual([second, first]);
    expect(await list({ graph_name: name, status: 'success' })).toEqual([first]);
    expect(await list({ graph_name: 'another' })).toEqual([]);
    expect(await list({ [spell('start_time')]: '2026-11-22' })).toEqual([second]);
    expect(await list({ [spell('end_time')]: '2026-11-21' })).toEqual([first]);
    const wrong = await clouds.huawei({ path: `${root}/jobs`, query: { status: 'pending' } });
    expect(wrong.status).toBe(400);
    expect(Object.keys(wrong.json).toSorted()).toEqual(
      api === 'v1' ? ['errCode', 'externalMessage'] : ['error_code', 'error_msg'],
    );
  });

  it('notes what a strict reader would object to', async () => {
    const other = spell === CAMEL ? 'upgrade_version' : 'upgradeVersion';
    clouds.simulator.inventory.change(id, { facts: { runningTasks: false } });
    await submit('9.0.0', { [spell('force_upgrade')]: true, [other]: '9.0.0' });
    await clouds.huawei({ method: 'DELETE', path: `${root}/${id}` });
    await clouds.huawei({ path: `${root}/${id}/metadata` });
    const truth = clouds.simulator.truth();
    expect(truth.violations.map(({ kind }) => kind)).toEqual([
      'unknown-field',
      'forced-without-cause',
      'forbidden-method',
    ]);
    expect(truth.unknownPaths).toEqual({ [`DELETE ${root}/${id}`]: 1, [`GET ${root}/${id}/metadata`]: 1 });
    expect(clouds.simulator.inventory.now()).toHaveLength(1);
  });

  it('lets a graph with running tasks be forced', async () => {
    clouds.simulator.inventory.change(id, { facts: { runningTasks: true } });
    expect((await submit('9.0.0', { [spell('force_upgrade')]: true })).status).toBe(200);
    expect(clouds.simulator.truth().violations).toEqual([]);
  });
});

describe('both versions', () => {
  it('reach the same graph', async () => {
    const clouds = await startClouds();
    const { id } = clouds.first('ges');
    const body = { upgradeVersion: '9.0.0', forceUpgrade: false };
    const query = { action_id: 'upgrade' };
    const [one, two] = [`/v1.0/${DEMO_PROJECT}/graphs/${id}`, `/v2/${DEMO_PROJECT}/graphs/${id}`];
    const { jobId } = (await clouds.huawei({ method: 'POST', path: `${one}/action`, query, body })).json;
    expect((await clouds.huawei({ path: two })).json).toMatchObject({ graph: { status: '201' } });
    expect((await clouds.huawei({ path: `${two}/jobs/${String(jobId)}/status` })).json).toMatchObject({
      job_id: jobId,
    });
    await clouds.simulator.close();
  });
});
