/** The Elasticsearch adapter over HTTP: no job, so status, records and versions tell. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock, type Clock } from '../../activities/clock.js';
import { elasticsearch as api, type ElasticsearchTarget } from '../../activities/clouds/alibaba/elasticsearch.js';
import { CloudError } from '../../activities/clouds/errors.js';
import type { CloudReader, CloudResponse, ResourceState } from '../../activities/clouds/port.js';
import { startFakeCloud, type FakeCloud } from './fake-cloud.js';

const ID = 'es-cn-n6w1o1x0w001c0001';
const ROOT = `/openapi/instances/${ID}`;
const NOW = Date.UTC(2026, 2, 27, 8, 30);
const SINCE = new Date(NOW - 20 * 60_000).toISOString();
const engine: ElasticsearchTarget = { version: '6.7', type: 'engineVersion' };
const patch: ElasticsearchTarget = { version: 'ali1.2.0', type: 'aliVersion' };

let cloud: FakeCloud;
let reader: CloudReader;
beforeEach(async () => {
  cloud = await startFakeCloud();
  const started = Date.now();
  const clock: Clock = { ...systemClock, now: () => NOW + Date.now() - started };
  reader = await cloud.sessions({ clock }).reader(api, 'ali');
  instanceIs({});
  patchIs('1.1.0');
  recordsAre([]);
});
afterEach(() => cloud.close());

function instanceIs(fields: Record<string, unknown>): void {
  const instance = { instanceId: ID, description: 'logs', status: 'active', esVersion: '6.3.2_with_X-Pack', ...fields };
  cloud.answers[`GET ${ROOT}`] = { body: { RequestId: 'r', Result: instance } };
}
function patchIs(curApackVersion: string | undefined): void {
  offerIs({ curApackVersion });
}
function offerIs(fields: Record<string, unknown>): void {
  cloud.answers[`GET ${ROOT}/upgradeInfo`] = { body: { Result: { UpgradeInfo: { Upgrade: true, ...fields } } } };
}
function recordsAre(records: readonly Record<string, unknown>[]): void {
  cloud.answers[`GET ${ROOT}/action-records`] = ({ query }) => {
    const page = Number(query.get('page'));
    const size = Number(query.get('size'));
    return { body: { Result: records.slice((page - 1) * size, page * size) } };
  };
}
function record(fields: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    actionName: 'UpgradeEngineVersion',
    stateType: 'RUNNING',
    process: '37%',
    requestId: 'R1',
    startTime: NOW - 20 * 60_000,
    endTime: null,
    statusInfo: [],
    ...fields,
  };
}
const poll = (id: string | null = 'R1', target = engine) => api.poll(reader, ID, target, { id, since: SINCE });

describe('describe', () => {
  it('joins the versions of engine and kernel patch', async () => {
    instanceIs({ tags: [{ tagKey: 'env', tagValue: 'prod' }], nodeAmount: 3 });
    expect(await api.describe(reader, ID)).toEqual({
      id: ID,
      name: 'logs',
      status: 'active',
      condition: 'ready',
      version: '6.3.2 (apack 1.1.0)',
      tags: { env: 'prod' },
      detail: '6.3.2_with_X-Pack',
    });
    patchIs(undefined);
    expect((await api.describe(reader, ID)).version).toBe('6.3.2');
  });

  it.each([
    ['active', 'ready'],
    ['inactive', 'broken'],
    ['invalid', 'broken'],
    ['activating', 'busy'],
    ['something new', 'busy'],
  ])('takes %s for %s', async (status, condition) => {
    instanceIs({ status });
    expect((await api.describe(reader, ID)).condition).toBe(condition);
  });

  it('tells an upgrade from any other change by the records', async () => {
    instanceIs({ status: 'activating' });
    recordsAre([record({ actionName: 'UpdateInstance' }), record({ stateType: 'SUCCESS' })]);
    expect((await api.describe(reader, ID)).condition).toBe('busy');
    recordsAre([record({ actionName: 'UpdateInstance' }), record()]);
    expect((await api.describe(reader, ID)).condition).toBe('upgrading');
  });

  it('does without a patch version only while the cluster changes', async () => {
    const path = `GET ${ROOT}/upgradeInfo`;
    cloud.answers[path] = { status: 400, body: { Code: 'InstanceActivating', Message: 'Instance is activating.' } };
    instanceIs({ status: 'activating' });
    expect((await api.describe(reader, ID)).version).toBe('6.3.2');
    instanceIs({ status: 'active' });
    await expect(api.describe(reader, ID)).rejects.toMatchObject({ errorClass: 'busy' });
  });

  it('names call and field when one is missing', async () => {
    instanceIs({ esVersion: undefined });
    await expect(api.describe(reader, ID)).rejects.toThrow(`GET ${ROOT}: the answer's field Result.esVersion`);
  });
});

describe('list', () => {
  const instances = (count: number, from = 0) =>
    Array.from({ length: count }, (_, index) => ({
      instanceId: `es-cn-${from + index}`,
      status: 'active',
      esVersion: '6.7.0_with_X-Pack',
    }));

  it.each(['body', 'header'])('reads all pages by the total in the %s', async (place) => {
    cloud.answers['GET /openapi/instances'] = ({ query }) => {
      const page = Number(query.get('page'));
      const Result = instances(page === 1 ? 100 : 50, page * 1000);
      return place === 'body'
        ? { body: { Result, Headers: { 'X-Total-Count': 150 } } }
        : { body: { Result }, headers: { 'X-Total-Count': '150' } };
    };
    const first = await api.list(reader, 0);
    const second = await api.list(reader, first.next ?? -1);
    expect([first.resources.length, second.resources.length, second.next]).toEqual([100, 50, null]);
    expect(second.resources[0]).toMatchObject({ id: 'es-cn-2000', version: '6.7.0' });
  });

  it('ends at a page that is not full where there is no total', async () => {
    cloud.answers['GET /openapi/instances'] = { body: { Result: instances(3) } };
    expect((await api.list(reader, 0)).next).toBeNull();
  });
});

describe('standing', () => {
  it.each<[string, ElasticsearchTarget, string]>([
    ['6.3.2 (apack 1.1.0)', engine, 'below'],
    ['6.7.0 (apack 1.1.0)', engine, 'at'],
    ['6.7.0', engine, 'at'],
    ['6.8.1', engine, 'above'],
    ['7.10.0', engine, 'above'],
    ['6.7.0', { version: '6.7.1', type: 'engineVersion' }, 'below'],
    ['6.7.0 (apack 1.1.0)', patch, 'below'],
    ['6.7.0 (apack 1.2.0)', patch, 'at'],
    ['6.7.0 (apack 2.2.4)', patch, 'above'],
    ['6.7.0', patch, 'not-comparable'],
  ])('puts %s against %j: %s', (version, target, expected) => {
    expect(api.standing({ version } as ResourceState, target)).toBe(expected);
  });
});

describe('precheck', () => {
  const path = `POST ${ROOT}/actions/upgrade-version`;
  const OFFERED = {
    curEsVersion: '6.3.2',
    upgradeEsVersion: '6.7.0',
    curApackVersion: '1.1.0',
    upgradeApackVersion: '1.2.0',
  };
  const offered = { check: 'upgradeInfo', status: 'success', problems: [] };
  const passed = { RequestId: 'r', Result: [{ validateType: 'checkClusterHealth', status: 'success' }] };
  beforeEach(() => offerIs(OFFERED));

  it.each<[ElasticsearchTarget, Record<string, unknown>]>([
    [engine, {}],
    [{ ...engine, version: '6.7.0' }, {}],
    [engine, { upgradeEsVersion: '6.7' }],
    [engine, { upgradeEsVersion: '6.7.0_with_X-Pack' }],
    [patch, {}],
  ])('lets %j through where %j is on offer', async (target, fields) => {
    offerIs({ ...OFFERED, ...fields });
    cloud.answers[path] = { body: passed };
    expect(await api.precheck(reader, ID, target, 't')).toMatchObject([offered, { check: 'checkClusterHealth' }]);
  });

  it.each<[ElasticsearchTarget, Record<string, unknown>, string]>([
    [{ ...engine, version: '7.10' }, {}, '7.10 is not on offer: the cloud offers 6.7.0'],
    [{ ...engine, version: '6.7.1' }, {}, '6.7.1 is not on offer: the cloud offers 6.7.0'],
    [engine, { upgradeEsVersion: '6.3.2' }, '6.7 is not on offer: the cloud offers no version at all'],
    [engine, { Upgrade: false, upgradeEsVersion: '' }, '6.7 is not on offer: the cloud offers no version at all'],
    [
      engine,
      { curEsVersion: '6.3.2_with_X-Pack', upgradeEsVersion: '6.3.2' },
      '6.7 is not on offer: the cloud offers no version at all',
    ],
    [{ ...patch, version: 'ali1.3.0' }, {}, 'ali1.3.0 is not on offer: the cloud offers ali1.2.0'],
    [patch, { upgradeApackVersion: '1.1.0' }, 'ali1.2.0 is not on offer: the cloud offers no version at all'],
  ])('stops at %j where it is not on offer, without a dry run', async (target, fields, message) => {
    offerIs({ ...OFFERED, ...fields });
    const offers = /offers (\S*\d)$/.exec(message)?.[1];
    expect(await api.precheck(reader, ID, target, 't')).toEqual([
      {
        check: 'upgradeInfo',
        status: 'failed',
        problems: [{ type: target.type, code: 'VersionNotOffered', message }],
        remedy: offers === undefined ? 'remove the target' : `set the target's \`version\` to ${offers}`,
      },
    ]);
    expect(cloud.seen.map(({ method }) => method)).toEqual(['GET']);
  });

  it.each([[{}], [{ upgradeEsVersion: null }], [{ upgradeEsVersion: '' }]])(
    'leaves it to the dry run where the cloud names no offer: %j',
    async (fields) => {
      offerIs(fields);
      cloud.answers[path] = { body: passed };
      expect((await api.precheck(reader, ID, engine, 't'))[0]).toMatchObject({
        status: 'success',
        problems: [{ code: 'OfferNotTold' }],
      });
    },
  );

  it('asks for a dry run with its own token, and gives a finding for each check', async () => {
    const failed = { errorType: 'clusterStatus', errorCode: 'ClusterStatusNotHealth', errorMsg: 'not healthy' };
    cloud.answers[path] = {
      body: {
        RequestId: 'r',
        Result: [
          { validateType: 'checkClusterHealth', status: 'failed', validateResult: [failed] },
          { validateType: 'checkClusterSnapshot', status: 'success', validateResult: null },
        ],
      },
    };
    expect(await api.precheck(reader, ID, { ...engine, updateStrategy: 'blue_green' }, 'dry-token')).toEqual([
      offered,
      {
        check: 'checkClusterHealth',
        status: 'failed',
        problems: [{ type: 'clusterStatus', code: 'ClusterStatusNotHealth', message: 'not healthy' }],
      },
      { check: 'checkClusterSnapshot', status: 'success', problems: [] },
    ]);
    const seen = cloud.seen.at(-1);
    expect(Object.fromEntries(seen?.query ?? [])).toEqual({
      clientToken: 'dry-token',
      dryRun: 'true',
      updateStrategy: 'blue_green',
    });
    expect(JSON.parse(seen?.body ?? '')).toEqual({ version: '6.7', type: 'engineVersion' });
  });

  it('takes no check at all for no consent', async () => {
    cloud.answers[path] = { body: { RequestId: 'r', Result: [] } };
    expect(await api.precheck(reader, ID, engine, 't')).toMatchObject([
      offered,
      { check: 'dryRun', status: 'unknown' },
    ]);
  });

  it.each([
    ['no Result', { RequestId: 'r' }],
    ['an error inside a 200', { Code: 'InternalServerError', Message: 'oops', Result: [] }],
  ])('fails on %s', async (_name, body) => {
    cloud.answers[path] = { body };
    await expect(api.precheck(reader, ID, engine, 't')).rejects.toBeInstanceOf(CloudError);
  });
});

describe('submission', () => {
  it('is the dry run’s call without the dryness', () => {
    expect(api.submission({ projectId: '' }, ID, patch, 'token')).toEqual({
      method: 'POST',
      path: ['openapi', 'instances', ID, 'actions', 'upgrade-version'],
      query: { clientToken: 'token', dryRun: 'false' },
      headers: { 'x-acs-action': 'UpgradeEngineVersion', 'x-acs-version': '2017-06-13' },
      body: { version: 'ali1.2.0', type: 'aliVersion' },
    });
  });

  const answer = (json: unknown): CloudResponse => ({ status: 200, headers: {}, json, text: '' });
  it.each([
    [{ RequestId: 'R1' }, 'accepted'],
    [{ RequestId: 'R1', Result: true }, 'accepted'],
    [{ RequestId: 'R1', Result: [{ validateType: 'x', status: 'success' }] }, 'accepted'],
    [{ RequestId: 'R1', Result: [{ validateType: 'x', status: 'failed' }] }, 'unknown'],
    [{ RequestId: '' }, 'unknown'],
    [{}, 'unknown'],
    [undefined, 'unknown'],
  ])('answered by %j is %s', (json, kind) => {
    const accepted = api.accepted(answer(json), ID);
    expect(accepted.kind).toBe(kind);
    if (accepted.kind === 'accepted') expect(accepted.operationId).toBe('R1');
  });
});

describe('operations', () => {
  it('are the upgrades since then, newest first, over all pages', async () => {
    const other = Array.from({ length: 55 }, () => record({ actionName: 'UpdateInstance' }));
    recordsAre([
      record({ requestId: 'R0', startTime: NOW - 5 * 3_600_000 }),
      ...other,
      record({ stateType: 'FAILED', statusInfo: [{ subState: 'restart', stateType: 'FAILED', exception: 'disk' }] }),
      record({ requestId: 'R2', startTime: NOW - 60_000 }),
    ]);
    expect(await api.operations(reader, ID, NOW - 30 * 60_000)).toEqual([
      {
        operation: { id: 'R2', since: new Date(NOW - 60_000).toISOString() },
        state: 'running',
        reason: 'UpgradeEngineVersion RUNNING',
      },
      {
        operation: { id: 'R1', since: new Date(NOW - 20 * 60_000).toISOString() },
        state: 'failed',
        reason: 'UpgradeEngineVersion FAILED: disk',
      },
    ]);
  });
});

describe('poll', () => {
  it('says what the record says of progress', async () => {
    instanceIs({ status: 'activating' });
    recordsAre([
      record({ requestId: 'R9', process: '5%' }),
      record({
        statusInfo: [
          { subState: 'prepare', stateType: 'SUCCESS' },
          { subState: 'replace nodes', stateType: 'RUNNING', nodeCount: 3, completeNodeCount: 1 },
          { subState: 'clean up', stateType: 'PENDING' },
        ],
      }),
    ]);
    expect(await poll()).toEqual({
      state: 'running',
      detail: 'status activating, UpgradeEngineVersion RUNNING: replace nodes, 1 of 3 nodes',
      percent: 37,
      remainingMs: null,
    });
  });

  it.each([
    ['SUCCESS', 'activating', 'running'],
    ['SUCCESS', 'active', 'succeeded'],
    ['completed', 'active', 'succeeded'],
    ['FAILED', 'active', 'failed'],
    ['suspended', 'active', 'running'],
    ['RUNNING', 'active', 'running'],
  ])('takes a record %s of a cluster that is %s for %s', async (stateType, status, state) => {
    instanceIs({ status });
    recordsAre([record({ stateType })]);
    expect((await poll()).state).toBe(state);
  });

  it('takes the first upgrade since then where no record has the request’s id', async () => {
    recordsAre([record({ requestId: 'another', stateType: 'FAILED' })]);
    expect((await poll()).state).toBe('failed');
    expect((await poll(null)).state).toBe('failed');
  });

  it.each([
    ['activating', '6.3.2', 'running'],
    ['active', '6.7.0', 'succeeded'],
    ['active', '6.3.2', 'vanished'],
    ['inactive', '6.3.2', 'failed'],
  ])('without a record, takes a cluster that is %s at %s for %s', async (status, esVersion, state) => {
    instanceIs({ status, esVersion: `${esVersion}_with_X-Pack` });
    expect((await poll()).state).toBe(state);
  });
});

describe('health', () => {
  it.each([
    ['GREEN', true],
    ['YELLOW', false],
    ['RED', false],
  ])('%s is healthy: %s', async (word, healthy) => {
    cloud.answers[`GET ${ROOT}/elasticsearch-health`] = { body: { RequestId: 'r', Code: '', Result: word } };
    const state = {} as ResourceState;
    expect(await api.health(reader, ID, state)).toEqual({ healthy, detail: `health ${word}` });
  });
});

describe('target', () => {
  const objection = (given: Record<string, unknown>) => api.objection(api.target.parse(given) as ElasticsearchTarget);

  it('refuses version and type that do not belong together', () => {
    expect(objection({ version: '6.7' })).toBeNull();
    expect(objection({ version: 'ali1.2.0', type: 'aliVersion' })).toBeNull();
    expect(objection({ version: 'ali1.2.0' })).toContain('add type: aliVersion');
    expect(objection({ version: '6.7', type: 'aliVersion' })).toContain('type: engineVersion');
  });

  it.each([
    [{}],
    [{ version: '6' }],
    [{ version: 'x6.7' }],
    [{ version: '6.7', type: 'other' }],
    [{ version: '6.7', a: 1 }],
  ])('does not parse %j', (given) => {
    expect(api.target.safeParse(given).success).toBe(false);
  });

  it('knows a cluster’s id', () => {
    expect(api.id.pattern.test(ID)).toBe(true);
    for (const id of ['logs', `${ID}/..`, 'es', '']) expect(api.id.pattern.test(id)).toBe(false);
  });
});
