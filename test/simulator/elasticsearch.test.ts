/** Alibaba Elasticsearch: no job, a dry run that answers 200 whatever it finds, and a client token. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DURATION_MS, startClouds, type Answer, type Clouds } from './clients.js';

const OFFER = { offeredEngine: '6.7.0', offeredApack: '1.2.0' };

let clouds: Clouds;
let id: string;
let path: string;
beforeEach(async () => {
  clouds = await startClouds({ fleet: { graphs: 0, clusters: 1 } });
  id = clouds.first('elasticsearch').id;
  path = `/openapi/instances/${id}`;
  clouds.simulator.inventory.change(id, {
    versions: { engine: '6.3.2', apack: '1.1.0' },
    facts: OFFER,
  });
});
afterEach(() => clouds.simulator.close());

const ENGINE = { type: 'engineVersion', version: '6.7' };
const KERNEL = { type: 'aliVersion', version: 'ali1.2.0' };
const submit = (body: unknown, query: Record<string, string> = {}): Promise<Answer> =>
  clouds.alibaba({ method: 'POST', path: `${path}/actions/upgrade-version`, query, body });
const result = async (suffix = '', query: Record<string, string> = {}): Promise<unknown> =>
  (await clouds.alibaba({ path: `${path}${suffix}`, query })).json['Result'];

describe('an upgrade', () => {
  it('goes active, activating, active; the version never equals the requested string', async () => {
    expect(await result()).toMatchObject({ status: 'active', esVersion: '6.3.2_with_X-Pack', instanceId: id });
    const accepted = await submit(ENGINE, { clientToken: 'token-1' });
    expect(accepted.status).toBe(200);
    clouds.clock.advance(DURATION_MS / 2);
    expect(await result()).toMatchObject({ status: 'activating', esVersion: '6.3.2_with_X-Pack' });
    expect(await result('/elasticsearch-health')).toBe('YELLOW');
    const records = { requestId: String(accepted.json['RequestId']) };
    expect(await result('/action-records', records)).toMatchObject([
      { ...records, stateType: 'running', process: '50%' },
    ]);
    clouds.clock.advance(DURATION_MS / 2);
    expect(await result()).toMatchObject({ status: 'active', esVersion: '6.7.0_with_X-Pack' });
    expect(await result('/elasticsearch-health')).toBe('GREEN');
    expect(await result('/action-records', records)).toMatchObject([{ stateType: 'success', process: '100%' }]);
    expect(clouds.simulator.truth().submits).toMatchObject([{ target: { engine: '6.7.0' }, clientToken: 'token-1' }]);
  });

  it('of the kernel moves curApackVersion and leaves esVersion', async () => {
    const offered = {
      Upgrade: true,
      curApackVersion: '1.1.0',
      upgradeApackVersion: '1.2.0',
      upgradeEsVersion: '6.7.0',
    };
    expect(await result('/upgradeInfo')).toMatchObject({ UpgradeInfo: offered });
    await submit(KERNEL);
    clouds.clock.advance(DURATION_MS);
    expect(await result()).toMatchObject({ esVersion: '6.3.2_with_X-Pack' });
    expect(await result('/upgradeInfo')).toMatchObject({
      UpgradeInfo: { curApackVersion: '1.2.0', curEsVersion: '6.3.2' },
    });
  });

  it('that fails ends active on the old version, with a failed record', async () => {
    clouds.simulator.inventory.change(id, { fate: 'rolls-back' });
    await submit(ENGINE);
    clouds.clock.advance(DURATION_MS);
    expect(await result()).toMatchObject({ status: 'activating' });
    clouds.clock.advance(DURATION_MS / 2);
    expect(await result()).toMatchObject({ status: 'active', esVersion: '6.3.2_with_X-Pack' });
    expect(await result('/action-records')).toMatchObject([
      { stateType: 'failed', statusInfo: [{ exception: expect.stringMatching(/restored/) as string }] },
    ]);
  });

  it('can end on the new version with health RED', async () => {
    clouds.simulator.inventory.change(id, { fate: 'ends-broken' });
    await submit(ENGINE);
    clouds.clock.advance(DURATION_MS);
    expect(await result()).toMatchObject({ status: 'active', esVersion: '6.7.0_with_X-Pack' });
    expect(await result('/elasticsearch-health')).toBe('RED');
  });

  it.each<[string, unknown, string]>([
    ['a kernel version as engine version', { type: 'engineVersion', version: 'ali1.2.0' }, 'InvalidParameter'],
    ['an engine version as kernel version', { type: 'aliVersion', version: '6.7' }, 'InvalidParameter'],
    ['no version', { type: 'engineVersion' }, 'InvalidParameter'],
    ['a lower version', { type: 'engineVersion', version: '5.6' }, 'InvalidParameter'],
    ['the version that it has', { type: 'engineVersion', version: '6.3' }, 'RepetitionOperationError'],
  ])('is refused for %s', async (_, body, code) => {
    const answer = await submit(body);
    expect([answer.status, answer.json['Code']]).toEqual([400, code]);
    expect(answer.json).toMatchObject({
      RequestId: expect.any(String) as string,
      Message: expect.any(String) as string,
    });
    expect(clouds.simulator.truth().submits).toEqual([]);
  });

  it.each([
    ['an engine', { type: 'engineVersion', version: '6.8' }, '6.7.0'],
    ['an engine', { type: 'engineVersion', version: '6.7.1' }, '6.7.0'],
    ['a kernel', { type: 'aliVersion', version: 'ali1.3.0' }, '1.2.0'],
  ])('is refused for %s version that is not on offer, dry or not: %j', async (_, body, offered) => {
    for (const query of [{}, { dryRun: 'true' }] as Record<string, string>[]) {
      const answer = await submit(body, query);
      expect([answer.status, answer.json['Code']]).toEqual([400, 'InvalidParameter']);
      expect(answer.json['Message']).toContain(offered);
    }
    expect(clouds.simulator.truth().submits).toEqual([]);
  });

  it('is refused from 7 to 8', async () => {
    clouds.simulator.inventory.change(id, { versions: { engine: '7.10.0', apack: '1.1.0' } });
    expect((await submit({ type: 'engineVersion', version: '8.5' })).json['Code']).toBe('InvalidParameter');
  });

  it('is refused while another runs, dry or not', async () => {
    await submit(ENGINE);
    for (const query of [{}, { dryRun: 'true' }] as Record<string, string>[]) {
      const answer = await submit(KERNEL, query);
      expect([answer.status, answer.json['Code']]).toEqual([400, 'InstanceActivating']);
    }
    expect(clouds.simulator.truth().violations.map(({ kind }) => kind)).toEqual(['submit-while-running']);
  });

  it('is refused on a frozen cluster, and on a conflict', async () => {
    clouds.simulator.inventory.change(id, { status: 'inactive' });
    expect((await submit(ENGINE)).json['Code']).toBe('InstanceStatusNotSupportCurrentAction');
    clouds.simulator.inventory.change(id, { status: 'active', facts: { conflict: true } });
    expect((await submit(ENGINE)).json['Code']).toBe('ConcurrencyUpdateInstanceConflict');
  });

  it('of an unknown cluster is InstanceNotFound, HTTP 400', async () => {
    path = '/openapi/instances/es-cn-nobody';
    const answer = await submit(ENGINE);
    expect([answer.status, answer.json['Code']]).toEqual([400, 'InstanceNotFound']);
    const read = await clouds.alibaba({ path });
    expect([read.status, read.json['Code']]).toEqual([400, 'InstanceNotFound']);
  });
});

describe('a dry run', () => {
  const CODES = ['ClusterYamlNotCompatible', 'ClusterPluginsNotSupport', 'ClusterSnapshotNotAvaild'];

  it('runs four checks, answers 200, and changes nothing', async () => {
    const answer = await submit(ENGINE, { dryRun: 'true', clientToken: 'dry' });
    expect(answer.status).toBe(200);
    expect(answer.json['Result']).toEqual(
      ['checkClusterHealth', 'checkConfigCompatible', 'checkClusterResource', 'checkClusterSnapshot'].map(
        (validateType) => ({ validateType, status: 'success', validateResult: [] }),
      ),
    );
    expect(await result()).toMatchObject({ status: 'active' });
    expect(clouds.simulator.truth()).toMatchObject({ submits: [], perResource: { [id]: { dryRuns: 1, accepted: 0 } } });
  });

  it('answers 200 with what it finds', async () => {
    clouds.simulator.inventory.change(id, { facts: { ...OFFER, failingChecks: CODES } });
    const answer = await submit(ENGINE, { dryRun: 'true' });
    expect(answer.status).toBe(200);
    expect(answer.json['Result']).toEqual([
      { validateType: 'checkClusterHealth', status: 'success', validateResult: [] },
      {
        validateType: 'checkConfigCompatible',
        status: 'failed',
        validateResult: [
          {
            errorType: 'clusterConfigYml',
            errorCode: 'ClusterYamlNotCompatible',
            errorMsg: 'ClusterYamlNotCompatible',
          },
          {
            errorType: 'clusterConfigPlugins',
            errorCode: 'ClusterPluginsNotSupport',
            errorMsg: 'ClusterPluginsNotSupport',
          },
        ],
      },
      { validateType: 'checkClusterResource', status: 'success', validateResult: [] },
      {
        validateType: 'checkClusterSnapshot',
        status: 'failed',
        validateResult: [
          {
            errorType: 'clusterSnapshot',
            errorCode: 'ClusterSnapshotNotAvaild',
            errorMsg: 'ClusterSnapshotNotAvaild',
          },
        ],
      },
    ]);
  });

  it('that fails and is not heeded starts nothing either', async () => {
    clouds.simulator.inventory.change(id, { facts: { ...OFFER, failingChecks: CODES } });
    expect((await submit(ENGINE)).status).toBe(200);
    expect(await result()).toMatchObject({ status: 'active' });
    const truth = clouds.simulator.truth();
    expect(truth.submits).toEqual([]);
    expect(truth.violations.map(({ kind }) => kind)).toEqual(['submit-against-failed-check']);
  });
});

describe('a client token', () => {
  it('repeated gives the first result and starts nothing more, even after the end', async () => {
    const first = await submit(ENGINE, { clientToken: 'same' });
    for (const ms of [0, DURATION_MS / 2, DURATION_MS]) {
      clouds.clock.advance(ms);
      const again = await submit(ENGINE, { clientToken: 'same' });
      expect(again.json['Result']).toEqual(first.json['Result']);
      expect(again.status).toBe(200);
    }
    const truth = clouds.simulator.truth();
    expect(truth.submits).toHaveLength(1);
    expect(truth.perResource[id]).toMatchObject({ accepted: 1, replays: 3 });
    expect(truth.violations).toEqual([]);
  });

  it.each<[string, unknown, Record<string, string>]>([
    ['another version', { ...ENGINE, version: '6.8' }, {}],
    ['another strategy', ENGINE, { updateStrategy: 'blue_green' }],
    ['a dry run', ENGINE, { dryRun: 'true' }],
  ])('repeated with %s is refused', async (_, body, query) => {
    await submit(ENGINE, { clientToken: 'same' });
    const answer = await submit(body, { ...query, clientToken: 'same' });
    expect([answer.status, answer.json['Code']]).toEqual([400, 'IdempotentParameterMismatch']);
  });

  it('is not used up by a refusal', async () => {
    clouds.simulator.inventory.change(id, { status: 'activating' });
    expect((await submit(ENGINE, { clientToken: 'same' })).status).toBe(400);
    clouds.simulator.inventory.change(id, { status: 'active' });
    expect((await submit(ENGINE, { clientToken: 'same' })).status).toBe(200);
    expect(clouds.simulator.truth().submits).toHaveLength(1);
  });

  it.each(['x'.repeat(65), 'nö'])('is refused when it does not fit: %s', async (clientToken) => {
    expect((await submit(ENGINE, { clientToken })).json['Code']).toBe('InvalidParameter');
    expect(clouds.simulator.truth().violations.map(({ kind }) => kind)).toEqual(['client-token-too-long']);
  });
});

describe('the list', () => {
  it('pages by page and size, with the total in the headers of its body', async () => {
    await clouds.simulator.close();
    clouds = await startClouds({ fleet: { graphs: 0, clusters: 23 } });
    const page = async (query: Record<string, string>): Promise<string[]> => {
      const { json } = await clouds.alibaba({ path: '/openapi/instances', query });
      expect(json['Headers']).toEqual({ 'X-Total-Count': 23 });
      return (json['Result'] as { instanceId: string }[]).map(({ instanceId }) => instanceId);
    };
    const all = [...(await page({})), ...(await page({ page: '2' })), ...(await page({ page: '3', size: '10' }))];
    expect(all).toEqual(clouds.simulator.inventory.now().map((resource) => resource.id));
    expect(await page({ page: '1', size: '100' })).toEqual(all);
    expect(await page({ page: '4' })).toEqual([]);
    const wrong = await clouds.alibaba({ path: '/openapi/instances', query: { size: '101' } });
    expect(wrong.json['Code']).toBe('InvalidParameter');
  });
});

it('notes an action that is not the path’s', async () => {
  await clouds.alibaba({ path, headers: { 'x-acs-action': 'GetInstance' } });
  expect(clouds.simulator.truth().violations).toMatchObject([{ kind: 'wrong-action' }]);
});
