/** The DCS adapter over HTTP. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock, type Clock } from '../../activities/clock.js';
import { dcs, type DcsTarget } from '../../activities/clouds/huawei/dcs.js';
import type { CloudReader, CloudResponse, ResourceState } from '../../activities/clouds/port.js';
import { startFakeCloud, type FakeCloud } from './fake-cloud.js';

const ID = '5560df16-cebf-4473-95c4-d1b573c16e79';
const TASK = '8abf6e1e72c12e7c0172c15b508500aa';
const ROOT = `/v2/p1/instances`;
const NOW = Date.UTC(2026, 2, 27, 8, 30);
const SINCE = '2026-03-27T08:14:05Z';
const both: DcsTarget = {
  engineMinorVersion: 'latest',
  proxyMinorVersion: '5.0.14.1',
  pinned: { engine: '5.0.14.2' },
};

let cloud: FakeCloud;
let reader: CloudReader;
beforeEach(async () => {
  cloud = await startFakeCloud();
  const started = Date.now();
  const clock: Clock = { ...systemClock, now: () => NOW + Date.now() - started };
  reader = await cloud.sessions({ clock }).reader(dcs, 'hw');
});
afterEach(() => cloud.close());

const instanceIs = (fields: Record<string, unknown> = {}): void => {
  cloud.answers[`GET ${ROOT}/${ID}`] = { body: instance(fields) };
};
const instance = (fields: Record<string, unknown> = {}): Record<string, unknown> => ({
  instance_id: ID,
  name: 'dcs-demo',
  status: 'RUNNING',
  engine: 'Redis',
  engine_version: '5.0',
  service_upgrade: false,
  service_task_id: null,
  tags: [{ key: 'env', value: 'prod' }, { key: 'empty' }],
  ...fields,
});
const versionsAre = (fields: Record<string, unknown> = {}): void => {
  cloud.answers[`GET ${ROOT}/${ID}/version`] = {
    body: {
      engine_minor_version: '5.0.14',
      latest_engine_minor_version: '5.0.14.2',
      engine_minor_version_upgradable: true,
      proxy_minor_version: '5.0.12',
      latest_proxy_minor_version: '5.0.14.1',
      proxy_minor_version_upgradable: true,
      ...fields,
    },
  };
};
const withoutProxy = { proxy_minor_version: null, latest_proxy_minor_version: null };
const tasksAre = (...tasks: Record<string, unknown>[]): void => {
  cloud.answers[`GET ${ROOT}/${ID}/tasks`] = ({ query }) => {
    const offset = Number(query.get('offset'));
    return { body: { task_count: String(tasks.length), tasks: tasks.slice(offset, offset + 2) } };
  };
};
const task = (fields: Record<string, unknown> = {}): Record<string, unknown> => ({
  id: TASK,
  name: 'UpgradeInstanceMinorVersion',
  status: 'EXECUTING',
  created_at: '2026-03-27T08:14:05.597Z',
  ...fields,
});
const progressIs = (body: unknown, status = 200): void => {
  cloud.answers[`GET ${ROOT}/${ID}/tasks/${TASK}/progress`] = { status, body };
};
const step = (name: string, status: string, code: string | null = null): Record<string, unknown> => ({
  step_name: name,
  step_status: status,
  error_code: code,
});
const answer = (json: unknown, status = 200): CloudResponse => ({ status, headers: {}, json, text: '' });
const state = (engine: string, proxy?: string, offers: { engine?: string; proxy?: string } = {}): ResourceState => ({
  id: ID,
  name: 'demo',
  status: 'RUNNING',
  condition: 'ready',
  version: '',
  tags: {},
  components: {
    engine: { version: engine, offer: offers.engine ?? '5.0.14.2' },
    ...(proxy === undefined ? {} : { proxy: { version: proxy, offer: offers.proxy ?? '5.0.14.1' } }),
  },
});

describe('describe', () => {
  it('reads the instance and its versions', async () => {
    instanceIs();
    versionsAre();
    expect(await dcs.describe(reader, ID)).toEqual({
      id: ID,
      name: 'dcs-demo',
      status: 'RUNNING',
      condition: 'ready',
      version: 'engine 5.0.14, proxy 5.0.12',
      tags: { env: 'prod', empty: '' },
      components: {
        engine: { version: '5.0.14', offer: '5.0.14.2' },
        proxy: { version: '5.0.12', offer: '5.0.14.1' },
      },
    });
  });

  it('leaves out a proxy that is not there', async () => {
    instanceIs();
    versionsAre(withoutProxy);
    const found = await dcs.describe(reader, ID);
    expect(found.version).toBe('engine 5.0.14');
    expect(Object.keys(found.components ?? {})).toEqual(['engine']);
  });

  it.each<[Record<string, unknown>, string]>([
    [{}, 'ready'],
    [{ task: null }, 'ready'],
    [{ service_upgrade: true, service_task_id: TASK }, 'upgrading'],
    [{ service_upgrade: true }, 'upgrading'],
    [{ service_upgrade: null, service_task_id: TASK }, 'busy'],
    [{ sub_status: 'UPGRADING' }, 'upgrading'],
    [{ sub_status: 'NORMAL' }, 'ready'],
    [{ task: 'BACKUP' }, 'busy'],
    [{ task: { name: 'backup' } }, 'busy'],
    [{ task: 'UPGRADING', service_upgrade: true }, 'upgrading'],
    ...['CREATING', 'RESTARTING', 'EXTENDING', 'RESTORING', 'FLUSHING', 'A NEW ONE'].map(
      (status): [Record<string, unknown>, string] => [{ status }, 'busy'],
    ),
    ...['CREATEFAILED', 'ERROR', 'FROZEN'].map((status): [Record<string, unknown>, string] => [{ status }, 'broken']),
    [{ status: 'ERROR', service_upgrade: true }, 'broken'],
  ])('takes %j for %s', async (fields, condition) => {
    instanceIs(fields);
    versionsAre();
    tasksAre();
    expect((await dcs.describe(reader, ID)).condition).toBe(condition);
  });

  it.each<[boolean | null, Record<string, unknown>, string]>([
    [true, {}, 'upgrading'],
    [null, {}, 'upgrading'],
    [null, { name: 'unnamed', params: { engine_minor_version: 'latest' } }, 'upgrading'],
    ...['EXTEND', 'BindEip', 'UnBindEip', 'AddReplica', 'DelReplica', 'AddWhitelist', 'UpdatePort', ''].flatMap(
      (name): [boolean | null, Record<string, unknown>, string][] => [
        [true, { name }, 'busy'],
        [null, { name }, 'busy'],
      ],
    ),
    // A task that has ended says nothing of now.
    [null, { name: 'EXTEND', status: 'SUCCESS' }, 'ready'],
    [null, { status: 'FAILED' }, 'ready'],
    [true, { status: 'SUCCESS' }, 'upgrading'],
    [true, { id: 'another' }, 'upgrading'],
    [false, { id: 'another' }, 'busy'],
  ])('with service_upgrade %s, takes its task %j for %s', async (flag, fields, condition) => {
    instanceIs({ service_upgrade: flag, service_task_id: TASK });
    versionsAre();
    tasksAre(task({ id: 'older', name: 'EXTEND' }), task(fields));
    expect((await dcs.describe(reader, ID)).condition).toBe(condition);
  });

  it('asks for tasks only where one is named', async () => {
    instanceIs({ service_upgrade: true });
    versionsAre();
    await dcs.describe(reader, ID);
    expect(cloud.seen.map(({ path }) => path)).toEqual([`${ROOT}/${ID}`, `${ROOT}/${ID}/version`]);
  });

  it('does without versions that are not told while the instance changes, and only then', async () => {
    cloud.answers[`GET ${ROOT}/${ID}/version`] = {
      status: 400,
      body: { error_code: 'DCS.4118', error_msg: 'creating' },
    };
    instanceIs({ status: 'CREATING' });
    expect(await dcs.describe(reader, ID)).toMatchObject({ condition: 'busy', version: 'engine 5.0' });
    instanceIs();
    await expect(dcs.describe(reader, ID)).rejects.toMatchObject({ code: 'DCS.4118' });
  });

  it('keeps what an error says beyond its message', async () => {
    cloud.answers[`GET ${ROOT}/${ID}`] = {
      status: 404,
      body: {
        error_code: 'DCS.3022',
        error_msg: 'This DCS instance does not exist.',
        error_ext_msg: 'deleted\nlast week',
      },
    };
    await expect(dcs.describe(reader, ID)).rejects.toThrow(
      'HTTP 404 DCS.3022 This DCS instance does not exist. (deleted last week)',
    );
  });

  it('takes no engine version for no answer, unless the instance changes just now', async () => {
    for (const missing of [null, '', undefined]) {
      versionsAre({ engine_minor_version: missing });
      instanceIs();
      const error = await dcs.describe(reader, ID).catch((caught: unknown) => caught);
      expect(error).toMatchObject({
        errorClass: 'transient',
        message: expect.stringContaining('engine_minor_version'),
      });
      instanceIs({ service_upgrade: true });
      expect(await dcs.describe(reader, ID)).toMatchObject({ condition: 'upgrading' });
    }
  });

  it('names the field that is missing', async () => {
    instanceIs({ instance_id: undefined });
    await expect(dcs.describe(reader, ID)).rejects.toThrow(
      `GET ${ROOT}/${ID}: the answer's field instance_id is missing`,
    );
  });
});

it('lists page by page', async () => {
  const all = Array.from({ length: 120 }, (_, index) => instance({ instance_id: `${ID.slice(0, -3)}${100 + index}` }));
  cloud.answers[`GET ${ROOT}`] = ({ query }) => {
    const offset = Number(query.get('offset'));
    return { body: { instance_num: 120, instances: all.slice(offset, offset + Number(query.get('limit'))) } };
  };
  const found: ResourceState[] = [];
  for (let page: number | null = 0; page !== null;) {
    const read: Awaited<ReturnType<typeof dcs.list>> = await dcs.list(reader, page);
    found.push(...read.resources);
    page = read.next;
  }
  expect(new Set(found.map(({ id }) => id)).size).toBe(120);
  expect(found[7]).toMatchObject({ version: 'engine 5.0', condition: 'ready' });
  expect(cloud.seen).toHaveLength(3);
});

describe('two components as one target', () => {
  it.each<[string, string | undefined, DcsTarget, string]>([
    ['5.0.14', '5.0.12', both, 'below'],
    ['5.0.14.2', '5.0.12', both, 'partly'],
    ['5.0.14', '5.0.14.1', both, 'partly'],
    ['5.0.14.2', '5.0.14.1', both, 'at'],
    ['5.0.14.3', '5.0.12', both, 'above'],
    ['5.0.14', '5.0.15', both, 'above'],
    ['5.0.14', undefined, both, 'not-comparable'],
    ['5.0.14.2', '5.0.12', { engineMinorVersion: '5.0.14.2' }, 'at'],
    ['5.0.14', undefined, { engineMinorVersion: '5.0.14.2' }, 'below'],
    // A longer number is a later version, and a missing one counts as 0.
    ['5.0.14.2', undefined, { engineMinorVersion: '5.0.14' }, 'above'],
    ['5.0.14', undefined, { engineMinorVersion: '5.0.14.0' }, 'at'],
    ['5.0.9', undefined, { engineMinorVersion: '5.0.14' }, 'below'],
    ['beta', undefined, { engineMinorVersion: '5.0.14' }, 'not-comparable'],
    ['5.0.14', undefined, { engineMinorVersion: 'latest' }, 'not-comparable'],
  ])('engine %s and proxy %s stand to %j: %s', (engine, proxy, target, expected) => {
    expect(dcs.standing(state(engine, proxy), target)).toBe(expected);
  });

  it('asks only for the one that is not there', () => {
    const asked = (have: ResourceState): unknown => {
      const target = dcs.remaining?.(have, both) ?? both;
      return dcs.submission({ projectId: 'p1' }, ID, target, 'token').body;
    };
    expect(asked(state('5.0.14', '5.0.12'))).toEqual({
      engine_minor_version: 'latest',
      proxy_minor_version: '5.0.14.1',
    });
    expect(asked(state('5.0.14.2', '5.0.12'))).toEqual({ proxy_minor_version: '5.0.14.1' });
    expect(asked(state('5.0.14', '5.0.14.1'))).toEqual({ engine_minor_version: 'latest' });
  });

  it('submits as documented', () => {
    expect(dcs.submission({ projectId: 'p1' }, ID, both, 'token')).toEqual({
      method: 'POST',
      path: ['v2', 'p1', 'instances', ID, 'minor-version', 'upgrade'],
      body: { proxy_minor_version: '5.0.14.1', engine_minor_version: 'latest' },
    });
  });

  it('objects to neither, and to a pin of what is not latest', () => {
    const objection = (target: unknown): string | null => dcs.objection(dcs.target.parse(target) as DcsTarget);
    expect(objection({})).toMatch(/^neither engineMinorVersion nor proxyMinorVersion is given \(.*latest.*\)$/);
    expect(objection({ engineMinorVersion: 'latest' })).toBeNull();
    expect(objection({ proxyMinorVersion: '5.0.14.1' })).toBeNull();
    expect(objection(both)).toBeNull();
    expect(objection({ engineMinorVersion: '5.0.14.2', pinned: { engine: '5.0.14.2' } })).toContain('pinned.engine');
    expect(objection({ engineMinorVersion: 'latest', pinned: { proxy: '5.0.14.1' } })).toContain('pinned.proxy');
  });

  it.each([
    [{ engineMinorVersion: 'newest' }],
    [{ engineMinorVersion: '5' }],
    [{ engineMinorVersion: 5 }],
    [{ engineMinorVersion: 'latest', pinned: { engine: 'latest' } }],
    [{ version: '5.0.14' }],
  ])('does not parse the target %j', (given) => {
    expect(dcs.target.safeParse(given).success).toBe(false);
  });
});

describe('latest', () => {
  const latest: DcsTarget = { engineMinorVersion: 'latest', proxyMinorVersion: 'latest' };

  it('is pinned to the versions on offer, and shown with them', () => {
    const pinned = dcs.pin?.(state('5.0.14', '5.0.12'), latest);
    expect(pinned).toEqual({ ...latest, pinned: { engine: '5.0.14.2', proxy: '5.0.14.1' } });
    expect(dcs.target.safeParse(pinned).data).toEqual(pinned);
    expect(dcs.label(latest)).toBe('engine latest, proxy latest');
    expect(dcs.label(pinned ?? latest)).toBe('engine latest (5.0.14.2), proxy latest (5.0.14.1)');
    expect(dcs.label(both)).toBe('engine latest (5.0.14.2), proxy 5.0.14.1');
  });

  it('keeps a pin that was written, and an explicit version as it is', () => {
    const written = { ...latest, pinned: { engine: '5.0.14.1' } };
    expect(dcs.pin?.(state('5.0.14', '5.0.12'), written).pinned).toEqual({ engine: '5.0.14.1', proxy: '5.0.14.1' });
    const explicit = { engineMinorVersion: '5.0.14.2' };
    expect(dcs.pin?.(state('5.0.14'), explicit)).toEqual(explicit);
  });

  it('has drifted when the offer is another one, with both versions', () => {
    expect(dcs.drift?.(state('5.0.14', '5.0.12'), both)).toBeNull();
    const drift = dcs.drift?.(state('5.0.14', '5.0.12', { engine: '5.0.15' }), both);
    expect(drift).toContain('5.0.14.2');
    expect(drift).toContain('5.0.15');
    // What is there already, or was written out, does not depend on any offer.
    expect(dcs.drift?.(state('5.0.14.2', '5.0.12', { engine: '5.0.15' }), both)).toBeNull();
    expect(dcs.drift?.(state('5.0.14', '5.0.12', { proxy: '5.0.15' }), both)).toBeNull();
  });

  it('cannot be pinned, nor sent, without an offer', () => {
    const none: ResourceState = { ...state('5.0.14'), components: { engine: { version: '5.0.14', offer: null } } };
    const engine = { engineMinorVersion: 'latest' };
    expect(dcs.pin?.(none, engine)).toEqual(engine);
    expect(dcs.drift?.(none, engine)).toContain('no engine version');
    expect(dcs.drift?.({ ...none, components: {} }, { ...engine, pinned: { engine: '5.0.14.2' } })).toContain(
      'none now',
    );
  });
});

it('finds a component that the provider will not upgrade now, unless it is there', async () => {
  versionsAre({ engine_minor_version_upgradable: false });
  expect(await dcs.precheck(reader, ID, both, 't')).toMatchObject([
    { check: 'engineMinorVersion', status: 'failed', problems: [{ type: 'engine', code: 'NotUpgradable' }] },
    { check: 'proxyMinorVersion', status: 'success', problems: [] },
  ]);
  versionsAre({ engine_minor_version: '5.0.14.2', engine_minor_version_upgradable: false });
  const findings = await dcs.precheck(reader, ID, both, 't');
  expect(findings.map(({ status }) => status)).toEqual(['success', 'success']);
});

it('takes only a task id for acceptance', () => {
  expect(dcs.accepted(answer({ task_id: TASK }), ID)).toEqual({ kind: 'accepted', operationId: TASK });
  for (const body of [{}, { task_id: '' }, { task_id: 7 }, { job_id: TASK }, [], null, undefined]) {
    expect(dcs.accepted(answer(body), ID)).toMatchObject({ kind: 'unknown' });
  }
});

describe('a task', () => {
  const poll = () => dcs.poll(reader, ID, both, { id: TASK, since: SINCE });

  it('is followed by its progress and steps', async () => {
    tasksAre(task({ id: 'another' }), task({ id: 'a third' }), task());
    progressIs({
      progress: 43,
      remain_time: 90,
      step_details: [step('Check', 'FINISH', 'DCS.0000'), step('Replicas', 'EXECUTING'), step('Master', 'WAITING')],
    });
    expect(await poll()).toEqual({
      state: 'running',
      detail: 'task EXECUTING, step Replicas (2 of 3)',
      percent: 43,
      remainingMs: 90_000,
    });
    const [first] = cloud.seen;
    expect(Object.fromEntries(first?.query ?? [])).toEqual({
      start_time: '20260327075905',
      end_time: expect.stringMatching(/^2026032708\d{4}$/) as string,
      offset: '0',
      limit: '50',
    });
  });

  it.each([
    ['EXECUTING', 'running'],
    ['A NEW WORD', 'running'],
    ['', 'running'],
    ['SUCCESS', 'succeeded'],
    ['FAIL', 'failed'],
    ['FAILED', 'failed'],
  ])('in status %j is %s', async (status, expected) => {
    tasksAre(task({ status }));
    progressIs({ progress: 100, remain_time: null, step_details: [step('Check', 'FINISH', 'DCS.5091')] });
    const progress = await poll();
    expect(progress.state).toBe(expected);
    // A code on a step that finished is not a failure.
    expect(progress.detail).not.toContain('5091');
  });

  it('that failed names the step and its code', async () => {
    tasksAre(task({ status: 'FAIL' }));
    progressIs({
      progress: 60,
      step_details: [step('Check', 'FINISH', 'DCS.0000'), step('Master', 'FAILED', 'DCS.5091')],
    });
    expect(await poll()).toMatchObject({ state: 'failed', detail: 'task FAIL, step Master FAILED: DCS.5091' });
  });

  it('may have no progress', async () => {
    tasksAre(task());
    progressIs({ error_code: 'DCS.4070', error_msg: 'Invalid task ID format.' }, 400);
    expect(await poll()).toEqual({ state: 'running', detail: 'task EXECUTING', percent: null, remainingMs: null });
    progressIs({ error_code: 'DCS.5000', error_msg: 'Internal service error.' }, 500);
    await expect(poll()).rejects.toMatchObject({ errorClass: 'transient' });
  });

  it('that is not in the list has vanished, young or old', async () => {
    tasksAre(task({ id: 'another' }));
    expect(await poll()).toMatchObject({ state: 'vanished', percent: null });
    const young = { id: TASK, since: new Date(NOW - 30_000).toISOString() };
    expect((await dcs.poll(reader, ID, both, young)).state).toBe('vanished');
  });

  it('is not taken for vanished while the list cannot be read', async () => {
    cloud.answers[`GET ${ROOT}/${ID}/tasks`] = { status: 404, body: { error_code: 'DCS.3022', error_msg: 'gone' } };
    await expect(poll()).rejects.toMatchObject({ errorClass: 'not-found' });
  });

  it.each<[Record<string, unknown>, Record<string, unknown>, string]>([
    [{ service_upgrade: true }, {}, 'running'],
    [{ task: 'BACKUP' }, {}, 'running'],
    [{}, {}, 'failed'],
    [{}, { engine_minor_version: '5.0.14.2' }, 'failed'],
    [{}, { engine_minor_version: '5.0.14.2', proxy_minor_version: '5.0.14.1' }, 'succeeded'],
    [{ status: 'ERROR' }, {}, 'failed'],
  ])('without id is told by the instance %j %j: %s', async (fields, minor, expected) => {
    instanceIs(fields);
    versionsAre(minor);
    const progress = await dcs.poll(reader, ID, both, { id: null, since: SINCE });
    expect(progress.state).toBe(expected);
    expect(progress.detail).toMatch(/^status \w+, version engine /);
  });
});

it('finds the upgrades since then, newest first', async () => {
  tasksAre(
    task({ id: 'old', created_at: '2026-03-27T07:00:00.000Z', status: 'SUCCESS' }),
    task({ id: 'failed', created_at: '2026-03-27T08:05:00', status: 'FAILED' }),
    task({ id: 'resize', name: 'ChangeInstanceSpec' }),
    task({ id: 'by params', name: 'task 7', params: { engine_minor_version: 'latest' } }),
    task({ id: 'undated', created_at: null }),
  );
  const found = await dcs.operations(reader, ID, Date.UTC(2026, 2, 27, 8, 10));
  expect(found).toEqual([
    {
      operation: { id: 'undated', since: expect.stringMatching(/^2026-03-27T08:3/) as string },
      state: 'running',
      reason: 'task UpgradeInstanceMinorVersion EXECUTING',
    },
    {
      operation: { id: 'by params', since: '2026-03-27T08:14:05.597Z' },
      state: 'running',
      reason: 'task task 7 EXECUTING',
    },
    {
      operation: { id: 'failed', since: '2026-03-27T08:05:00.000Z' },
      state: 'failed',
      reason: 'task UpgradeInstanceMinorVersion FAILED',
    },
  ]);
});

it('is healthy when it runs and has no task', async () => {
  const health = (status: string, condition: ResourceState['condition']) =>
    dcs.health(reader, ID, { ...state('5.0.14'), status, condition });
  expect(await health('RUNNING', 'ready')).toEqual({ healthy: true, detail: 'status RUNNING, no task' });
  expect((await health('RUNNING', 'busy')).healthy).toBe(false);
  expect((await health('ERROR', 'broken')).healthy).toBe(false);
  expect([dcs.pace.stableReads, dcs.pace.stableEveryMs]).toEqual([2, 10_000]);
});

describe('errors', () => {
  it('come in two envelopes', async () => {
    const bodies = [
      { error_code: '111404022', error_msg: 'This DCS instance does not exist.', error_ext_msg: null },
      { error: { code: '111404022', message: 'This DCS instance does not exist.' } },
    ];
    for (const body of bodies) {
      cloud.answers[`GET ${ROOT}/${ID}`] = { status: 404, body };
      await expect(dcs.describe(reader, ID)).rejects.toMatchObject({ code: '111404022', errorClass: 'not-found' });
    }
  });
});

it('knows an instance id', () => {
  expect(dcs.id.pattern.test(ID)).toBe(true);
  for (const id of ['demo', `${ID}/..`, `${ID}0`, '']) expect(dcs.id.pattern.test(id)).toBe(false);
});
