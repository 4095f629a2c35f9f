/** Both GES adapters over HTTP: the same behaviour in two spellings. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock, type Clock } from '../../activities/clock.js';
import { CloudError } from '../../activities/clouds/errors.js';
import { gesV1 } from '../../activities/clouds/huawei/ges-v1.js';
import { gesV2 } from '../../activities/clouds/huawei/ges-v2.js';
import type { CloudApi, CloudReader, CloudResponse, ResourceState } from '../../activities/clouds/port.js';
import type { GesTarget } from '../../activities/clouds/huawei/ges.js';
import { startFakeCloud, type FakeCloud } from './fake-cloud.js';

const ID = '2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d11';
const JOB = 'f99f60f1-bba6-4cde-bd1a-ff4bdd1fd500000168232';
const NOW = Date.UTC(2026, 2, 27, 8, 30);
const target: GesTarget = { version: '2.4.1', forceUpgrade: false };

interface Spelling {
  readonly api: CloudApi<GesTarget>;
  readonly root: string;
  /** camelCase names as this API spells them. */
  readonly spell: (name: string) => string;
}

const SPELLINGS: readonly Spelling[] = [
  { api: gesV1, root: '/v1.0/p1/graphs', spell: (name) => name },
  {
    api: gesV2,
    root: '/v2/p1/graphs',
    spell: (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  },
];

describe.each(SPELLINGS)('$api.service', ({ api, root, spell }) => {
  let cloud: FakeCloud;
  let reader: CloudReader;
  beforeEach(async () => {
    cloud = await startFakeCloud();
    const started = Date.now();
    const clock: Clock = { ...systemClock, now: () => NOW + Date.now() - started };
    reader = await cloud.sessions({ clock }).reader(api, 'hw');
  });
  afterEach(() => cloud.close());

  const spelled = (fields: Record<string, unknown>): Record<string, unknown> =>
    Object.fromEntries(Object.entries(fields).map(([name, value]) => [spell(name), value]));
  const graph = (fields: Record<string, unknown> = {}): Record<string, unknown> =>
    spelled({ id: ID, name: 'demo', status: '200', dataStoreVersion: '2.3.9', vpcId: 'unknown field', ...fields });
  const job = (fields: Record<string, unknown> = {}): Record<string, unknown> =>
    spelled({
      jobId: JOB,
      status: 'running',
      jobType: '5',
      jobName: 'UpgradeGraph',
      relatedGraph: 'demo',
      beginTime: '2026-03-27T08:14:05',
      endTime: null,
      failReason: '',
      jobProgress: 0,
      ...fields,
    });
  const graphIs = (fields: Record<string, unknown>): void => {
    cloud.answers[`GET ${root}/${ID}`] = { body: { graph: graph(fields) } };
  };
  const jobIs = (fields: Record<string, unknown>, status = 200): void => {
    cloud.answers[`GET ${root}/${ID}/jobs/${JOB}/status`] = { status, body: job(fields) };
  };
  const answers = (body: unknown, status = 200): CloudResponse => ({
    status,
    headers: {},
    json: body,
    text: JSON.stringify(body),
  });

  it('describes a graph', async () => {
    graphIs({ tags: [{ key: 'env', value: 'prod' }, { key: 'empty' }] });
    expect(await api.describe(reader, ID)).toEqual({
      id: ID,
      name: 'demo',
      status: '200',
      condition: 'ready',
      version: '2.3.9',
      tags: { env: 'prod', empty: '' },
    });
  });

  it.each<[string | number, string]>([
    ['200', 'ready'],
    ['201', 'upgrading'],
    ['203', 'rolling-back'],
    ['900', 'stopped'],
    ...['300', '303', '400', '800'].map((status): [string, string] => [status, 'broken']),
    ...['100', '202', '204', '205', '206', '207', '208', '210', '211', '901', '920', '903'].map(
      (s): [string, string] => [s, 'busy'],
    ),
    ['12345', 'busy'],
    [201, 'upgrading'],
  ])('takes status %s for %s', async (status, condition) => {
    graphIs({ status });
    expect(await api.describe(reader, ID)).toMatchObject({ status: String(status), condition });
  });

  it('names call and field when the version is missing', async () => {
    graphIs({ dataStoreVersion: undefined });
    await expect(api.describe(reader, ID)).rejects.toThrow(
      `GET ${root}/${ID}: the answer's field graph.${spell('dataStoreVersion')} is missing`,
    );
  });

  it('lists page by page', async () => {
    const all = Array.from({ length: 120 }, (_, index) => graph({ id: `${ID.slice(0, -3)}${100 + index}` }));
    delete all[7]?.[spell('dataStoreVersion')];
    cloud.answers[`GET ${root}`] = ({ query }) => {
      const offset = Number(query.get('offset'));
      const graphs = all.slice(offset, offset + Number(query.get('limit')));
      return { body: { [spell('graphCount')]: all.length, graphs } };
    };
    const found: ResourceState[] = [];
    for (let page: number | null = 0; page !== null;) {
      const read: Awaited<ReturnType<typeof api.list>> = await api.list(reader, page);
      found.push(...read.resources);
      page = read.next;
    }
    expect(new Set(found.map(({ id }) => id)).size).toBe(120);
    expect(found[7]?.version).toBe('');
    expect(cloud.seen).toHaveLength(3);
  });

  it.each([
    ['2.3.9', 'below'],
    ['2.4.0', 'below'],
    ['2.4.1', 'at'],
    ['2.4.1.2', 'at'],
    ['2.10.0', 'above'],
    ['3', 'above'],
    ['', 'not-comparable'],
  ])('puts version %s %s 2.4.1', (version, expected) => {
    expect(api.standing({ version } as ResourceState, target)).toBe(expected);
  });

  it('finds graphs too old to upgrade', async () => {
    graphIs({ dataStoreVersion: '1.0.2' });
    expect(await api.precheck(reader, ID, target, 't')).toMatchObject([
      { check: 'graphVersion', status: 'failed', problems: [{ code: 'GraphTooOld' }] },
    ]);
    graphIs({ dataStoreVersion: '1.0.3' });
    expect(await api.precheck(reader, ID, target, 't')).toEqual([
      { check: 'graphVersion', status: 'success', problems: [] },
    ]);
  });

  it('submits as documented', () => {
    const forced = { ...target, forceUpgrade: true, acknowledgeInterruption: true };
    expect(api.submission({ projectId: 'p1' }, ID, target, 'token')).toEqual(
      api === gesV1
        ? {
            method: 'POST',
            path: ['v1.0', 'p1', 'graphs', ID, 'action'],
            query: { action_id: 'upgrade' },
            body: { upgradeVersion: '2.4.1', forceUpgrade: false },
          }
        : {
            method: 'POST',
            path: ['v2', 'p1', 'graphs', ID, 'upgrade'],
            body: { upgrade_version: '2.4.1', force_upgrade: false },
          },
    );
    expect(api.submission({ projectId: 'p1' }, ID, forced, 'token').body[spell('forceUpgrade')]).toBe(true);
  });

  it('takes only a job id for acceptance', () => {
    expect(api.accepted(answers({ [spell('jobId')]: JOB }), ID)).toEqual({ kind: 'accepted', operationId: JOB });
    for (const body of [{}, { [spell('jobId')]: '' }, { [spell('jobId')]: 7 }, [], null, undefined]) {
      expect(api.accepted(answers(body), ID)).toMatchObject({ kind: 'unknown' });
    }
  });

  it.each([
    ['pending', 'running'],
    ['running', 'running'],
    ['success', 'succeeded'],
    ['a new word', 'running'],
  ])('polls a job that is %s', async (status, state) => {
    jobIs({ status });
    const progress = await api.poll(reader, ID, target, { id: JOB, since: '2026-03-27T08:14:05Z' });
    expect(progress).toEqual({ state, detail: `job ${status}`, percent: null, remainingMs: null });
  });

  it('gives the reason of a job that failed, even beside error fields', async () => {
    jobIs({ status: 'failed', failReason: 'node lost', errorCode: 'GES.7006', errorMessage: 'internal' });
    const operation = { id: JOB, since: '2026-03-27T08:14:05Z' };
    expect(await api.poll(reader, ID, target, operation)).toMatchObject({
      state: 'rolled-back',
      detail: 'job failed: node lost',
    });
    if (api === gesV1) {
      jobIs({ status: 'failed', errorCode: 'GES.7006', errorMessage: 'internal' });
      expect((await api.poll(reader, ID, target, operation)).detail).toBe('job failed: GES.7006 internal');
    }
    // Without a job beside them, they are the call's.
    cloud.answers[`GET ${root}/${ID}/jobs/${JOB}/status`] = { body: { error_code: 'GES.7006', error_msg: 'internal' } };
    await expect(api.poll(reader, ID, target, operation)).rejects.toMatchObject({ code: 'GES.7006' });
  });

  it.each(['GES.7007', 'GES.8301'])('reports a job that is gone by %s as vanished', async (code) => {
    const body = { [spell('errorCode')]: code, [spell('errorMessage')]: 'job not found' };
    cloud.answers[`GET ${root}/${ID}/jobs/${JOB}/status`] = {
      status: 400,
      body: api === gesV1 ? body : { error_code: code, error_msg: 'job not found' },
    };
    const progress = await api.poll(reader, ID, target, { id: JOB, since: '2026-03-27T08:14:05Z' });
    expect(progress.state).toBe('vanished');
  });

  it('does not take a graph that is gone, or a failing call, for a vanished job', async () => {
    const path = `GET ${root}/${ID}/jobs/${JOB}/status`;
    for (const [status, code] of [
      [400, 'GES.7000'],
      [500, 'GES.7006'],
      [404, 'APIGW.0101'],
    ] as const) {
      cloud.answers[path] = { status, body: { error_code: code, error_msg: 'no' } };
      const polling = api.poll(reader, ID, target, { id: JOB, since: '2026-03-27T08:14:05Z' });
      await expect(polling).rejects.toBeInstanceOf(CloudError);
    }
  });

  it.each([
    ['201', '2.3.9', 'running'],
    ['203', '2.3.9', 'running'],
    ['200', '2.3.9', 'rolled-back'],
    ['200', '2.4.1', 'succeeded'],
    ['300', '2.4.1', 'failed'],
  ])('follows an operation without id by status %s and version %s: %s', async (status, version, state) => {
    graphIs({ status, dataStoreVersion: version });
    const progress = await api.poll(reader, ID, target, { id: null, since: '2026-03-27T08:14:05Z' });
    expect(progress).toMatchObject({ state, detail: `graph status ${status}, version ${version}` });
  });

  it('finds the upgrades of this graph since then, newest first', async () => {
    graphIs({});
    const jobs = [
      job({ jobId: 'old', beginTime: '2026-03-27T07:00:00', status: 'success' }),
      job({ jobId: 'failed', beginTime: '2026-03-27T08:05:00', status: 'failed', failReason: 'node lost' }),
      job({ jobId: 'import', jobName: 'ImportGraph' }),
      job({ jobId: 'other', relatedGraph: 'another' }),
      job({ jobId: 'waits', status: 'pending', beginTime: null }),
      job({ jobId: 'runs' }),
    ];
    cloud.answers[`GET ${root}/jobs`] = ({ query }) => {
      const offset = Number(query.get('offset'));
      return { body: { [spell('jobCount')]: jobs.length, [spell('jobList')]: jobs.slice(offset, offset + 4) } };
    };
    const found = await api.operations(reader, ID, Date.UTC(2026, 2, 27, 8, 10));
    expect(found).toEqual([
      {
        operation: { id: 'waits', since: expect.stringMatching(/^2026-03-27T08:3/) as string },
        state: 'running',
        reason: 'job pending',
      },
      { operation: { id: 'runs', since: '2026-03-27T08:14:05.000Z' }, state: 'running', reason: 'job running' },
      {
        operation: { id: 'failed', since: '2026-03-27T08:05:00.000Z' },
        state: 'failed',
        reason: 'job failed: node lost',
      },
    ]);
    const [, first] = cloud.seen;
    expect(Object.fromEntries(first?.query ?? [])).toMatchObject({
      graph_name: 'demo',
      [spell('startTime')]: '2026-03-27',
      offset: '0',
    });
  });

  it('is healthy at status 200 only', async () => {
    const health = (status: string) => api.health(reader, ID, { status } as ResourceState);
    expect(await health('200')).toEqual({ healthy: true, detail: 'status 200' });
    expect(await health('300')).toEqual({ healthy: false, detail: 'status 300' });
  });

  it('refuses a forced upgrade without its acknowledgement, and targets no graph can have', () => {
    const objection = (given: Record<string, unknown>) => api.objection(api.target.parse(given) as GesTarget);
    expect(objection({ version: '2.4.1' })).toBeNull();
    expect(objection({ version: '2.4.1', forceUpgrade: true })).toContain('acknowledgeInterruption: true');
    expect(objection({ version: '2.4.1', forceUpgrade: true, acknowledgeInterruption: false })).not.toBeNull();
    expect(objection({ version: '2.4.1', forceUpgrade: true, acknowledgeInterruption: true })).toBeNull();
    expect(objection({ version: '1.0.2' })).toContain('1.0.3');
  });

  it.each([[{}], [{ version: 'latest' }], [{ version: '2.4.1', forceUpdate: true }], [{ version: 2.4 }]])(
    'does not parse the target %j',
    (given) => {
      expect(api.target.safeParse(given).success).toBe(false);
    },
  );

  it('knows a graph id', () => {
    expect(api.id.pattern.test(ID)).toBe(true);
    for (const id of ['demo', `${ID}/..`, `${ID}0`, '']) expect(api.id.pattern.test(id)).toBe(false);
  });
});
