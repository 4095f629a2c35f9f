/** CSE: jobs with nested tasks and integer ids, no progress, no way back but a retry. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEMO_PROJECT } from '../../simulator/inventory.js';
import type { SimulatedResource } from '../../simulator/model.js';
import { DURATION_MS, startClouds, type Answer, type Clouds } from './clients.js';

const ROOT = `/v2/${DEMO_PROJECT}/enginemgr/engines`;

let clouds: Clouds;
let id: string;
let before: string;
beforeEach(async () => {
  clouds = await startClouds({ fleet: { graphs: 0, engines: 1, clusters: 0 } });
  id = clouds.first('cse').id;
  before = clouds.simulator.inventory.get(id).versions['engine'] ?? '';
});
afterEach(() => clouds.simulator.close());

const put = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
  clouds.huawei({ method: 'PUT', path: `${ROOT}/${path}`, body, headers });
const upgrade = (version: unknown, headers?: Record<string, string>): Promise<Answer> =>
  put(`${id}/upgrade`, { version }, headers);
const retry = (): Promise<Answer> => put(`${id}/actions`, { action: 'Retry' });
const get = async (path: string, query: Record<string, string> = {}): Promise<Record<string, unknown>> =>
  (await clouds.huawei({ path: `${ROOT}${path}`, query })).json;
const seen = async (): Promise<unknown[]> => {
  const { status, version } = await get(`/${id}`);
  return [status, version];
};
const job = (jobId: unknown): Promise<Record<string, unknown>> => get(`/${id}/jobs/${String(jobId)}`);
const is = (patch: Partial<Pick<SimulatedResource, 'fate' | 'status' | 'facts'>>): void =>
  clouds.simulator.inventory.change(id, patch);

interface Task {
  readonly taskName: string;
  readonly status: string;
  readonly log?: string;
  readonly tasks: readonly Task[];
}
/** `UpgradeInstance1/drain Finished` */
const steps = async (jobId: unknown): Promise<string[]> =>
  ((await job(jobId))['tasks'] as Task[]).flatMap((phase) =>
    phase.tasks.map((step) => `${phase.taskName}/${step.taskName} ${step.status}`),
  );

describe('an upgrade', () => {
  it('goes from Available by Upgrading to Available with the new version', async () => {
    expect(await seen()).toEqual(['Available', before]);
    const accepted = await upgrade('2.4.2');
    expect(accepted.status).toBe(200);
    expect(accepted.json).toEqual({
      id,
      name: clouds.simulator.inventory.get(id).name,
      jobId: expect.any(Number) as number,
    });
    const { jobId } = accepted.json;
    expect(Number.isInteger(jobId)).toBe(true);
    expect(await seen()).toEqual(['Upgrading', before]);
    expect((await get(`/${id}`))['latestJobId']).toBe(jobId);
    expect(await job(jobId)).toMatchObject({ id: jobId, engineId: id, type: 'Upgrade', status: 'Init', endTime: 0 });

    clouds.clock.advance(DURATION_MS / 2);
    expect(await job(jobId)).toMatchObject({ status: 'Executing', scheduling: 1 });
    clouds.clock.advance(DURATION_MS / 2);
    expect(await seen()).toEqual(['Available', '2.4.2']);
    expect(await job(jobId)).toMatchObject({ status: 'Finished', scheduling: 0, endTime: clouds.clock.now() });
    expect(clouds.simulator.truth()).toMatchObject({ submits: [{ resource: id, family: 'cse' }], violations: [] });
  });

  it('rolls over two instances in steps, and tells of no progress', async () => {
    const { jobId } = (await upgrade('2.4.2')).json;
    expect(new Set((await steps(jobId)).map((step) => step.split(' ')[1]))).toEqual(new Set(['Init']));
    clouds.clock.advance(DURATION_MS / 2);
    expect(await steps(jobId)).toEqual([
      'PreCheck/check-engine Finished',
      'UpgradeInstance1/drain Finished',
      'UpgradeInstance1/upgrade Finished',
      'UpgradeInstance1/rejoin Finished',
      'UpgradeInstance2/drain Executing',
      'UpgradeInstance2/upgrade Init',
      'UpgradeInstance2/rejoin Init',
      'PostCheck/check-engine Init',
    ]);
    const shown = await job(jobId);
    expect((shown['tasks'] as Task[]).map(({ status }) => status)).toEqual([
      'Finished',
      'Finished',
      'Executing',
      'Init',
    ]);
    expect(JSON.stringify(shown)).not.toMatch(/progress|percent/i);
    clouds.clock.advance(DURATION_MS / 2);
    expect(new Set((await steps(jobId)).map((step) => step.split(' ')[1]))).toEqual(new Set(['Finished']));
  });

  it.each([
    ['job-says-success-but-old-version', 'Finished', 'Available', false],
    ['ends-broken', 'Finished', 'Unavailable', true],
    ['stuck', 'Executing', 'Upgrading', false],
  ] as const)('%s', async (fate, status, engineStatus, isNew) => {
    is({ fate });
    const { jobId } = (await upgrade('2.4.2')).json;
    clouds.clock.advance(10 * DURATION_MS);
    expect(await job(jobId)).toMatchObject({ status });
    expect(await seen()).toEqual([engineStatus, isNew ? '2.4.2' : before]);
  });
});

describe('an upgrade that fails', () => {
  const fail = async (): Promise<unknown> => {
    is({ fate: 'rolls-back' });
    const { jobId } = (await upgrade('2.4.2')).json;
    clouds.clock.advance(DURATION_MS);
    return jobId;
  };

  it.each(['Error', 'Timeout'])('ends in %s at the second instance, and stays there', async (word) => {
    is({ facts: { failsBy: word } });
    const jobId = await fail();
    expect(await seen()).toEqual(['UpgradeFailed', before]);
    expect(await job(jobId)).toMatchObject({ status: word, scheduling: 0 });
    expect(await steps(jobId)).toContain(`UpgradeInstance2/upgrade ${word}`);
    const log = ((await job(jobId))['tasks'] as Task[]).flatMap((phase) =>
      phase.tasks.flatMap((step) => step.log || []),
    );
    expect(log).toEqual(['instance 2 failed to become ready']);
    clouds.clock.advance(100 * DURATION_MS);
    expect(await seen()).toEqual(['UpgradeFailed', before]);
  });

  it('takes no upgrade, and a retry to the version that it had', async () => {
    const failed = await fail();
    expect((await upgrade('2.4.2')).json['error_code']).toBe('SVCSTG.00501117');
    is({ fate: 'succeeds' });
    const retried = await retry();
    expect(retried.json).toMatchObject({ id, jobId: expect.any(Number) as number });
    expect(retried.json['jobId']).not.toBe(failed);
    expect((await seen())[0]).toBe('Upgrading');
    clouds.clock.advance(DURATION_MS);
    expect(await seen()).toEqual(['Available', '2.4.2']);
    expect(await job(failed)).toMatchObject({ status: 'Error' });
    expect(clouds.simulator.truth().submits).toHaveLength(2);
  });

  it('keeps its job when it is retried, where it is told to', async () => {
    is({ facts: { retryKeepsJob: true } });
    const failed = await fail();
    is({ fate: 'succeeds' });
    expect((await retry()).json['jobId']).toBe(failed);
    expect(await job(failed)).toMatchObject({ status: 'Init' });
    expect(await get(`/${id}/jobs`)).toMatchObject({ total: 1, data: [{ id: failed, status: 'Init' }] });
  });

  it('may have failed before anybody looked: a retry goes to the latest version', async () => {
    is({ status: 'UpgradeFailed' });
    expect((await retry()).status).toBe(200);
    clouds.clock.advance(DURATION_MS);
    expect(await seen()).toEqual(['Available', '2.4.2']);
  });
});

describe('a submit', () => {
  it.each([
    ['no version', undefined],
    ['the version that it has', '2.3.4'],
    ['a version that is none', 'latest'],
    ['a version of more than 24 characters', '2.4.0000000000000000000000'],
  ])('with %s is refused with code, message and detail', async (_, version) => {
    clouds.simulator.inventory.change(id, { versions: { engine: '2.3.4' } });
    const answer = await upgrade(version);
    expect(answer.status).toBe(400);
    expect(Object.keys(answer.json)).toEqual(expect.arrayContaining(['error_code', 'error_msg', 'detail']));
    expect(clouds.simulator.truth()).toMatchObject({ submits: [], refused: [{ resource: id }] });
  });

  it.each(['Upgrading', 'Creating', 'UpgradeFailed', 'Unavailable', 'Freezed'])(
    'to an engine that is %s is refused',
    async (status) => {
      is({ status });
      const { json } = await upgrade('2.4.2');
      expect(json).toMatchObject({ error_code: 'SVCSTG.00501117', detail: `status ${status}` });
    },
  );

  it('of a retry is refused where nothing failed, and so is any other action', async () => {
    expect((await retry()).json['error_code']).toBe('SVCSTG.00501117');
    expect((await put(`${id}/actions`, { action: 'Delete' })).status).toBe(400);
    expect(clouds.simulator.truth().submits).toEqual([]);
  });

  it('while an upgrade runs is refused and noted', async () => {
    await upgrade('2.4.2');
    expect((await upgrade('2.4.2')).json['error_code']).toBe('SVCSTG.00501117');
    expect(clouds.simulator.truth().violations).toMatchObject([{ kind: 'submit-while-running', detail: id }]);
  });

  it('has to be JSON in UTF-8 and to accept JSON', async () => {
    await upgrade('2.4.2', { 'content-type': 'application/json;charset=ISO-8859-1', accept: 'text/html' });
    expect(clouds.simulator.truth().violations.map(({ kind }) => kind)).toEqual(['wrong-content-type', 'wrong-accept']);
  });

  it('may say the charset or leave it out', async () => {
    await upgrade('2.4.2', { 'content-type': 'application/json;charset=UTF-8', accept: 'application/json' });
    expect(clouds.simulator.truth().violations).toEqual([]);
  });

  it('finds the engines of its enterprise project only', async () => {
    is({ facts: { enterpriseProject: 'ep-1' } });
    expect((await upgrade('2.4.2')).json['error_code']).toBe('SVCSTG.00501116');
    expect((await upgrade('2.4.2', { 'x-enterprise-project-id': 'ep-2' })).status).toBe(400);
    expect((await upgrade('2.4.2', { 'x-enterprise-project-id': 'ep-1' })).status).toBe(200);
  });
});

describe('what is not there', () => {
  it('is answered with HTTP 400', async () => {
    const nobody = `${ROOT}/4c5f882d-a813-4d78-a6e3-73212ddd4121`;
    for (const path of [nobody, `${nobody}/jobs`, `${nobody}/jobs/1`]) {
      const answer = await clouds.huawei({ path });
      expect([answer.status, answer.json['error_code']]).toEqual([400, 'SVCSTG.00501116']);
    }
    expect((await job(1))['error_code']).toBe('SVCSTG.00501153');
    expect((await job('abc'))['error_code']).toBe('SVCSTG.00501152');
  });
});

describe('the list', () => {
  it('gives the last engine once more beyond its end', async () => {
    const page = async (offset: string) => {
      const { total, data } = await get('', { offset, limit: '10', type: 'ALL' });
      return [total, (data as { id: string }[]).map((engine) => engine.id)];
    };
    expect(await page('0')).toEqual([1, [id]]);
    expect(await page('1')).toEqual([1, [id]]);
  });

  it('is of one type where it is asked for one, and has no tags', async () => {
    const { data } = await get('', { type: 'CSE' });
    expect(data).toMatchObject([{ id, version: before, latestVersion: '2.4.2', type: 'CSE' }]);
    expect(Object.keys((data as object[])[0] ?? {})).not.toContain('tags');
    expect(await get('', { type: 'Nacos' })).toEqual({ total: 0, data: [] });
    expect((await get(`/${id}`))['tags']).toEqual(expect.arrayContaining([{ key: 'env', value: 'canary' }]));
  });

  it('refuses paging that is none', async () => {
    expect((await get('', { offset: '-1' }))['error_code']).toBeDefined();
    expect((await get('', { limit: '0' }))['error_code']).toBeDefined();
  });
});
