/** The CSE adapter over HTTP: what it asks, what it makes of the answers. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { answerOf } from '../../activities/answer.js';
import { systemClock, type Clock } from '../../activities/clock.js';
import { CloudError } from '../../activities/clouds/errors.js';
import { cse, type CseTarget } from '../../activities/clouds/huawei/cse.js';
import type { CloudReader, CloudResponse, ResourceState } from '../../activities/clouds/port.js';
import { startFakeCloud, type FakeCloud } from './fake-cloud.js';

const ID = '891bf21a-4024-4f47-b38c-bd259ca8f10a';
const JOB = 17655;
const ROOT = '/v2/p1/enginemgr/engines';
const NOW = Date.UTC(2026, 2, 27, 8, 30);
const MINUTE = 60_000;
const target: CseTarget = { version: '2.4.0', retryFailed: false };
const retry: CseTarget = { ...target, retryFailed: true };
const operation = { id: String(JOB), since: '2026-03-27T08:14:05Z' };

let cloud: FakeCloud;
let reader: CloudReader;
beforeEach(async () => {
  cloud = await startFakeCloud();
  const started = Date.now();
  const clock: Clock = { ...systemClock, now: () => NOW + Date.now() - started };
  reader = await cloud.sessions({ clock }).reader(cse, 'hw');
});
afterEach(() => cloud.close());

const engine = (fields: Record<string, unknown> = {}): Record<string, unknown> => ({
  id: ID,
  name: 'test',
  status: 'Available',
  version: '2.3.4',
  latestVersion: '2.4.0',
  latestJobId: 0,
  type: 'CSE',
  specType: 'CSE2',
  ...fields,
});
const job = (fields: Record<string, unknown> = {}): Record<string, unknown> => ({
  id: JOB,
  engineId: ID,
  type: 'Upgrade',
  status: 'Executing',
  scheduling: 1,
  startTime: NOW - 10 * MINUTE,
  endTime: 0,
  context: '',
  ...fields,
});
const engineIs = (fields: Record<string, unknown>): void => {
  cloud.answers[`GET ${ROOT}/${ID}`] = { body: engine(fields) };
};
const jobIs = (fields: Record<string, unknown>): void => {
  cloud.answers[`GET ${ROOT}/${ID}/jobs/${JOB}`] = { body: job(fields) };
};
const jobsAre = (...jobs: readonly Record<string, unknown>[]): void => {
  cloud.answers[`GET ${ROOT}/${ID}/jobs`] = { body: { total: jobs.length, data: jobs } };
};
const state = (fields: Partial<ResourceState>): ResourceState => ({
  id: ID,
  name: 'test',
  status: 'Available',
  condition: 'ready',
  version: '2.3.4',
  tags: {},
  ...fields,
});
const answers = (json: unknown, status = 200): CloudResponse => ({
  status,
  headers: {},
  json,
  text: JSON.stringify(json),
});

describe('an engine', () => {
  it('is described, tags included where there are any', async () => {
    engineIs({ tags: [{ key: 'env', value: 'prod' }, { key: 'empty' }] });
    expect(await cse.describe(reader, ID)).toEqual({
      id: ID,
      name: 'test',
      status: 'Available',
      condition: 'ready',
      version: '2.3.4',
      tags: { env: 'prod', empty: '' },
    });
    for (const none of [[], null, undefined]) {
      engineIs({ tags: none });
      expect((await cse.describe(reader, ID)).tags).toEqual({});
    }
  });

  it.each([[{ env: 'prod' }], ['env=prod'], [[{ name: 'env', value: 'prod' }]]])(
    'whose tags are %j is an answer that cannot be used, and none without tags: a freeze may go by them',
    async (tags) => {
      engineIs({ tags });
      await expect(cse.describe(reader, ID)).rejects.toThrow('tags');
      cloud.answers[`GET ${ROOT}`] = { body: { total: 1, data: [engine({ tags })] } };
      await expect(cse.list(reader, 0)).rejects.toThrow('tags');
    },
  );

  it.each([
    ['Available', 'ready'],
    ['UpgradeFailed', 'ready'],
    ['Upgrading', 'upgrading'],
    ...['Creating', 'Modifying', 'Deleting'].map((status): [string, string] => [status, 'busy']),
    ...['Unavailable', 'Deleted', 'CreateFailed', 'DeleteFailed', 'ModifyFailed', 'Freezed'].map(
      (status): [string, string] => [status, 'broken'],
    ),
    ['Migrating', 'busy'],
  ])('in status %s is %s', async (status, condition) => {
    engineIs({ status });
    expect(await cse.describe(reader, ID)).toMatchObject({ status, condition });
  });

  it('is read with the documented headers', async () => {
    engineIs({});
    await cse.describe(reader, ID);
    expect(cloud.seen[0]?.headers).toMatchObject({
      accept: 'application/json',
      'content-type': 'application/json;charset=UTF-8',
    });
  });

  it('without a version is an answer that cannot be used', async () => {
    engineIs({ version: undefined });
    await expect(cse.describe(reader, ID)).rejects.toThrow(`GET ${ROOT}/${ID}: the answer's field version is missing`);
  });

  it.each([
    ['2.3.4', 'Available', 'below'],
    ['2.3.10', 'Available', 'below'],
    ['2.4.0', 'Available', 'at'],
    ['2.4.0.1', 'Available', 'at'],
    ['2.10.0', 'Available', 'above'],
    ['2.4.0', 'UpgradeFailed', 'partly'],
    ['2.3.4', 'UpgradeFailed', 'below'],
    ['', 'Available', 'not-comparable'],
  ])('of version %s in status %s stands %s to 2.4.0', (version, status, expected) => {
    expect(cse.standing(state({ version, status }), target)).toBe(expected);
  });

  it('is healthy when it is available, and only then', async () => {
    expect(await cse.health(reader, ID, state({}))).toEqual({ healthy: true, detail: 'status Available' });
    const failed = await cse.health(reader, ID, state({ status: 'UpgradeFailed' }));
    expect(failed).toEqual({ healthy: false, detail: 'status UpgradeFailed' });
  });

  it('is known by a UUID', () => {
    expect(cse.id.pattern.test(ID)).toBe(true);
    for (const id of ['test', `${ID}/..`, `${ID}0`, '']) expect(cse.id.pattern.test(id)).toBe(false);
  });
});

describe('the list of engines', () => {
  const all = Array.from({ length: 120 }, (_, index) => engine({ id: `engine-${index}`, name: `e${index}` }));
  const serve = (slice: (offset: number, limit: number) => unknown[], total = all.length): void => {
    cloud.answers[`GET ${ROOT}`] = ({ query }) => {
      expect(query.get('type')).toBe('ALL');
      return { body: { total, data: slice(Number(query.get('offset')), Number(query.get('limit'))) } };
    };
  };
  const ids = async (): Promise<string[]> => {
    const { resources, next } = await cse.list(reader, 0);
    expect(next).toBeNull();
    return resources.map(({ id }) => id);
  };
  const everyId = all.map(({ id }) => id as string);

  it('is whole when offset is an offset', async () => {
    serve((offset, limit) => all.slice(offset, offset + limit));
    expect(await ids()).toEqual(everyId);
    expect(cloud.seen.map(({ query }) => query.get('offset'))).toEqual(['0', '50', '100']);
  });

  it('is whole when offset is the number of a page, counted from 0', async () => {
    serve((page, limit) => all.slice(page * limit, (page + 1) * limit));
    expect(new Set(await ids())).toEqual(new Set(everyId));
  });

  it('is whole when offset is the number of a page, and 0 and 1 are the first', async () => {
    serve((page, limit) => all.slice((Math.max(page, 1) - 1) * limit, Math.max(page, 1) * limit));
    expect(new Set(await ids())).toEqual(new Set(everyId));
  });

  it('asks for nothing beyond its end, where an engine comes twice', async () => {
    serve(() => all.slice(0, 1), 1);
    expect(await ids()).toEqual(['engine-0']);
    expect(cloud.seen).toHaveLength(1);
  });

  it('has an end when it never holds as much as it says', async () => {
    serve(() => all.slice(0, 3), 200);
    expect(await ids()).toEqual(['engine-0', 'engine-1', 'engine-2']);
  });

  it('shows an engine that is being created without a version', async () => {
    serve(() => [engine({ status: 'Creating', version: undefined })], 1);
    expect((await cse.list(reader, 0)).resources).toMatchObject([{ condition: 'busy', version: '' }]);
  });
});

describe('a target', () => {
  const parsed = (given: Record<string, unknown>): CseTarget => cse.target.parse(given) as CseTarget;

  it.each([[{}], [{ version: 'latest' }], [{ version: '2.4.0', force: true }], [{ version: 2.4 }]])(
    'is not %j',
    (given) => {
      expect(cse.target.safeParse(given).success).toBe(false);
    },
  );

  it('has at most 24 characters', () => {
    expect(cse.objection(parsed({ version: '2.4.0' }))).toBeNull();
    expect(cse.objection(parsed({ version: '1'.repeat(22) + '.1' }))).toBeNull();
    expect(cse.objection(parsed({ version: '1'.repeat(23) + '.1' }))).toBe(
      'version 11111111111111111111111.1 has 25 characters, and the API takes at most 24 (name a shorter one)',
    );
  });

  it('is no header of somebody’s own', () => {
    const withProject = (id: string) => cse.target.safeParse({ version: '2.4.0', enterpriseProjectId: id }).success;
    expect(withProject('0')).toBe(true);
    expect(withProject(ID)).toBe(true);
    for (const id of ['', 'a\r\nx-evil: 1', 'a b', 'x'.repeat(37)]) expect(withProject(id)).toBe(false);
  });

  it('says that it is a retry', () => {
    expect(cse.label(target)).toBe('2.4.0');
    expect(cse.label(retry)).toBe('2.4.0 (retry)');
  });
});

describe('the precheck', () => {
  const findings = async (fields: Record<string, unknown>, given = target) => {
    engineIs(fields);
    return cse.precheck(reader, ID, given, 'token');
  };

  it('lets an available engine through', async () => {
    expect(await findings({})).toEqual([
      { check: 'engineStatus', status: 'success', problems: [] },
      { check: 'latestVersion', status: 'success', problems: [] },
    ]);
  });

  it('hints at the latest version, and blocks nothing by it', async () => {
    expect((await findings({ latestVersion: '2.3.9' }))[1]).toEqual({
      check: 'latestVersion',
      status: 'success',
      problems: [
        {
          type: 'engine',
          code: 'AboveLatest',
          message: expect.stringContaining('is 2.3.9, below the target') as string,
        },
      ],
    });
    expect((await findings({ latestVersion: '2.5.0' }))[1]).toMatchObject({
      status: 'success',
      problems: [{ code: 'LaterOffered', message: 'a later version is there: 2.5.0' }],
    });
    expect((await findings({ latestVersion: null }))[1]).toMatchObject({ status: 'success', problems: [] });
  });

  it('stops at a failed upgrade that nobody said to retry, and before the send as well', async () => {
    expect((await findings({ status: 'UpgradeFailed' }))[0]).toMatchObject({
      status: 'failed',
      problems: [{ code: 'UpgradeFailed', message: expect.stringContaining('retryFailed: true') as string }],
    });
    expect(cse.drift?.(state({ status: 'UpgradeFailed' }), target)).toContain('retryFailed: true');
    expect(cse.drift?.(state({}), target)).toBeNull();
  });

  it('lets a retry through when an upgrade failed, and only then', async () => {
    expect((await findings({ status: 'UpgradeFailed' }, retry))[0]).toMatchObject({ status: 'success', problems: [] });
    expect(cse.drift?.(state({ status: 'UpgradeFailed' }), retry)).toBeNull();
    expect((await findings({}, retry))[0]).toMatchObject({
      status: 'failed',
      problems: [{ code: 'NothingToRetry', message: expect.stringContaining('leave retryFailed out') as string }],
    });
    expect(cse.drift?.(state({}), retry)).toContain('leave retryFailed out');
  });

  describe('of a retry', () => {
    const retryOf = async (context: unknown, fields: Record<string, unknown> = {}) => {
      jobIs({ status: 'Error', context, ...fields });
      const found = await findings({ status: 'UpgradeFailed', latestJobId: JOB }, retry);
      return found.find(({ check }) => check === 'retry');
    };
    const hint = [
      {
        type: 'engine',
        code: 'RetryTakesNoVersion',
        message:
          'a retry takes no version: it goes where the upgrade that failed was to go, which its job does not tell; ' +
          '2.4.0 is only what the end is compared with',
      },
    ];

    it.each([
      ['no context', ''],
      ['null', null],
      ['a context that is no JSON', 'upgrade to 2.5.0'],
      ['no version in it', '{"node":"10.0.0.7"}'],
      ['nothing but the engine’s own version', '{"version":"2.3.4"}'],
      ['more than one version', '{"versionA":"2.4.1","versionB":"2.5.0"}'],
      ['a list', '["2.5.0"]'],
    ])('says what nobody knows, of a job with %s', async (_, context) => {
      expect(await retryOf(context)).toEqual({ check: 'retry', status: 'success', problems: hint });
    });

    it('says so where the engine’s latest job is none of an upgrade, is gone, or is not named', async () => {
      const open = { check: 'retry', status: 'success', problems: hint };
      expect(await retryOf('{"targetVersion":"2.5.0"}', { type: 'Modify' })).toEqual(open);
      cloud.answers[`GET ${ROOT}/${ID}/jobs/${JOB}`] = {
        status: 400,
        body: { error_code: 'SVCSTG.00501153', error_msg: 'No task found.' },
      };
      expect((await findings({ status: 'UpgradeFailed', latestJobId: JOB }, retry)).at(-1)).toEqual(open);
      expect((await findings({ status: 'UpgradeFailed', latestJobId: null }, retry)).at(-1)).toEqual(open);
    });

    it('is refused where the failed job names another version than the plan', async () => {
      expect(await retryOf('{"version":"2.3.4","targetVersion":"2.5.0"}')).toEqual({
        check: 'retry',
        status: 'failed',
        problems: [
          {
            type: 'engine',
            code: 'RetryGoesElsewhere',
            message: 'the upgrade that failed was to go to 2.5.0, and a retry goes there, not to 2.4.0',
          },
        ],
      });
      expect(await retryOf('{"version":"2.3.4","targetVersion":"2.4.0"}')).toMatchObject({
        status: 'success',
        problems: [],
      });
    });
  });

  it('stops at a retry of an engine that the retry is not documented for', async () => {
    expect((await findings({ status: 'UpgradeFailed', type: 'Nacos' }, retry))[0]).toMatchObject({
      status: 'failed',
      problems: [{ code: 'RetryNotDocumented', message: expect.stringContaining('this one is Nacos') as string }],
    });
  });
});

describe('a submit', () => {
  const headers = { 'content-type': 'application/json;charset=UTF-8', accept: 'application/json' };

  it('is as documented', () => {
    expect(cse.submission({ projectId: 'p1' }, ID, target, 'token')).toEqual({
      method: 'PUT',
      path: ['v2', 'p1', 'enginemgr', 'engines', ID, 'upgrade'],
      headers,
      body: { version: '2.4.0' },
    });
  });

  it('names the enterprise project where one is given', () => {
    const request = cse.submission({ projectId: 'p1' }, ID, { ...target, enterpriseProjectId: 'ep-1' }, 'token');
    expect(request.headers).toEqual({ ...headers, 'x-enterprise-project-id': 'ep-1' });
  });

  it('of a retry is another call', () => {
    expect(cse.submission({ projectId: 'p1' }, ID, retry, 'token')).toEqual({
      method: 'PUT',
      path: ['v2', 'p1', 'enginemgr', 'engines', ID, 'actions'],
      headers,
      body: { action: 'Retry' },
    });
  });

  it('is accepted by the same engine’s id and an integer job, and by nothing less', () => {
    expect(cse.accepted(answers({ id: ID, name: 'test', jobId: JOB }), ID)).toEqual({
      kind: 'accepted',
      operationId: '17655',
    });
    const other = '00000000-4024-4f47-b38c-bd259ca8f10a';
    expect(cse.accepted(answers({ id: other, jobId: JOB }), ID)).toEqual({
      kind: 'unknown',
      reason: `HTTP 200 for another engine: ${other}`,
    });
    for (const body of [{}, { id: ID }, { jobId: JOB }, { id: ID, jobId: '17655' }, { id: ID, jobId: 1.5 }, null]) {
      expect(cse.accepted(answers(body), ID)).toMatchObject({ kind: 'unknown' });
    }
    expect(cse.accepted(answers({ id: ID, jobId: 0 }), ID)).toMatchObject({ kind: 'unknown' });
  });

  it('that is refused keeps the detail', () => {
    const body = { error_code: 'SVCSTG.00501134', error_msg: 'Bad Request', detail: 'version 9 is not offered' };
    expect(answerOf(cse, { kind: 'answered', at: NOW, response: answers(body, 400) }, ID)).toEqual({
      kind: 'refused',
      reason: expect.stringMatching(/^SVCSTG\.00501134: Bad Request.*version 9 is not offered/) as string,
    });
  });
});

describe('a poll', () => {
  const tasks = [
    { taskName: 'PreCheck', status: 'Finished', tasks: [{ taskName: 'check', status: 'Finished' }] },
    {
      taskName: 'Instance1',
      status: 'Executing',
      tasks: [
        { taskName: 'drain', status: 'Finished', log: 'a log of a step that went well' },
        { taskName: 'upgrade', status: 'Executing', timeout: 1800 },
      ],
    },
    { taskName: 'PostCheck', status: 'Init', tasks: null },
  ];

  it.each([
    ['PreInit', 'running'],
    ['Init', 'running'],
    ['Executing', 'running'],
    ['a new word', 'running'],
    ['Finished', 'succeeded'],
    ['Error', 'failed'],
    ['Timeout', 'failed'],
  ])('takes a job that says %s for %s', async (status, expected) => {
    jobIs({ status });
    expect(await cse.poll(reader, ID, target, operation)).toEqual({
      state: expected,
      detail: `job ${status}`,
      percent: null,
      remainingMs: null,
    });
  });

  it('counts steps for a percent, and names the one that is on', async () => {
    jobIs({ tasks });
    expect(await cse.poll(reader, ID, target, operation)).toEqual({
      state: 'running',
      detail: 'job Executing: Instance1/upgrade Executing (2 of 4 steps done)',
      percent: 50,
      remainingMs: null,
    });
  });

  it.each([
    [{ log: 'line one\n  node lost' }, 'line one node lost'],
    [{ log: ' ', output: 'exit 3' }, 'exit 3'],
    [{}, null],
  ])('gives the reason of a failed step that says %j', async (said, reason) => {
    const failed = { taskName: 'upgrade', status: 'Timeout', ...said };
    jobIs({ status: 'Timeout', tasks: [{ taskName: 'Instance1', status: 'Timeout', tasks: [failed] }] });
    expect((await cse.poll(reader, ID, target, operation)).detail).toBe(
      `job Timeout: Instance1/upgrade Timeout${reason === null ? '' : `: ${reason}`} (0 of 1 steps done)`,
    );
  });

  it('follows a run of a job that was found in the list', async () => {
    jobIs({ status: 'Finished' });
    const progress = await cse.poll(reader, ID, target, { ...operation, id: `${JOB}@${NOW}` });
    expect(progress.state).toBe('succeeded');
  });

  it.each(['SVCSTG.00501152', 'SVCSTG.00501153'])('reports a job that is gone by %s as vanished', async (code) => {
    cloud.answers[`GET ${ROOT}/${ID}/jobs/${JOB}`] = { status: 400, body: { error_code: code, error_msg: 'no' } };
    expect((await cse.poll(reader, ID, target, operation)).state).toBe('vanished');
  });

  it('does not take an engine that is gone, or a failing call, for a vanished job', async () => {
    for (const [status, code] of [
      [400, 'SVCSTG.00501116'],
      [401, 'SVCSTG.00501125'],
      [500, 'SVCSTG.00501999'],
      [404, 'APIGW.0101'],
    ] as const) {
      cloud.answers[`GET ${ROOT}/${ID}/jobs/${JOB}`] = { status, body: { error_code: code, error_msg: 'no' } };
      await expect(cse.poll(reader, ID, target, operation)).rejects.toBeInstanceOf(CloudError);
    }
  });

  it.each([
    ['Upgrading', '2.3.4', 'running'],
    ['Modifying', '2.3.4', 'running'],
    ['Available', '2.4.0', 'succeeded'],
    ['Available', '2.3.4', 'failed'],
    ['UpgradeFailed', '2.3.4', 'failed'],
    ['UpgradeFailed', '2.4.0', 'failed'],
    ['Unavailable', '2.4.0', 'failed'],
  ])('without a job goes by status %s and version %s: %s', async (status, version, expected) => {
    engineIs({ status, version });
    expect(await cse.poll(reader, ID, target, { ...operation, id: null })).toMatchObject({
      state: expected,
      detail: `engine ${status}, version ${version}`,
    });
  });
});

describe('the operations since then', () => {
  const since = NOW - 20 * MINUTE;
  const find = () => cse.operations(reader, ID, since);

  it('are upgrades of that time, newest first', async () => {
    engineIs({ latestJobId: JOB });
    const [old, failedAt] = [NOW - 60 * MINUTE, NOW - 15 * MINUTE];
    jobsAre(
      job({ id: 1, status: 'Finished', startTime: old, endTime: old + MINUTE }),
      job({ id: 2, status: 'Error', startTime: NOW - 18 * MINUTE, endTime: failedAt }),
      job({ id: 3, type: 'Modify' }),
      job(),
    );
    expect(await find()).toEqual([
      { operation: { id: '17655', since: '2026-03-27T08:20:00.000Z' }, state: 'running', reason: 'job Executing' },
      {
        operation: { id: `2@${failedAt}`, since: '2026-03-27T08:12:00.000Z' },
        state: 'failed',
        reason: 'job Error',
      },
    ]);
    expect(cloud.seen).toHaveLength(2);
  });

  it('hold the engine’s latest job where the list does not', async () => {
    engineIs({ latestJobId: JOB });
    jobsAre();
    jobIs({ status: 'Init', startTime: null });
    expect(await find()).toMatchObject([{ operation: { id: '17655' }, state: 'running' }]);
    jobIs({ type: 'Modify' });
    expect(await find()).toEqual([]);
    cloud.answers[`GET ${ROOT}/${ID}/jobs/${JOB}`] = {
      status: 400,
      body: { error_code: 'SVCSTG.00501153', error_msg: 'No task found.' },
    };
    expect(await find()).toEqual([]);
  });

  it.each([
    ['nothing', {}],
    ['a page', '<html>not found</html>'],
    ['the gateway', { error_code: 'APIGW.0101', error_msg: 'The API does not exist.' }],
  ])('are the engine’s latest job where there is no list: 404 with %s', async (_, body) => {
    engineIs({ latestJobId: JOB });
    cloud.answers[`GET ${ROOT}/${ID}/jobs`] = { status: 404, body };
    jobIs({});
    expect(await find()).toMatchObject([{ operation: { id: '17655' }, state: 'running' }]);
    engineIs({ latestJobId: 0 });
    expect(await find()).toEqual([]);
  });

  it('are not told without the list when it only fails', async () => {
    engineIs({ latestJobId: JOB });
    cloud.answers[`GET ${ROOT}/${ID}/jobs`] = { status: 503, body: '' };
    await expect(find()).rejects.toMatchObject({ errorClass: 'transient' });
  });

  it('tell the runs of a job apart that keeps its id when it is retried', async () => {
    engineIs({ latestJobId: JOB });
    const began = NOW - 120 * MINUTE;
    const runs: (string | null | undefined)[] = [];
    for (const run of [
      { status: 'Error', endTime: NOW - 25 * MINUTE },
      { status: 'Executing', endTime: null },
      { status: 'Error', endTime: NOW - MINUTE },
    ]) {
      jobsAre(job({ startTime: run.endTime === null ? NOW - 5 * MINUTE : began, ...run }));
      runs.push((await find())[0]?.operation.id);
    }
    expect(runs).toEqual([`17655@${NOW - 25 * MINUTE}`, '17655', `17655@${NOW - MINUTE}`]);
  });
});

/** CSE API reference, Error Codes, row by row; then the gateway's, and what HTTP alone says. */
describe('an error', () => {
  it('of a read names call, code and detail', async () => {
    cloud.answers[`GET ${ROOT}/${ID}`] = {
      status: 401,
      body: { error_code: 'SVCSTG.00501116', error_msg: 'Failed to find the engine instance.', detail: `engine ${ID}` },
    };
    await expect(cse.describe(reader, ID)).rejects.toMatchObject({
      errorClass: 'not-found',
      message: expect.stringContaining(`engine ${ID}`) as string,
    });
  });
});
