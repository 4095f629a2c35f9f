/** The truth record, the control endpoints, the state on disk and the seeded fleet. */
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DEMO_PROJECT, seedInventory } from '../../simulator/inventory.js';
import { runSimulator } from '../../simulator/main.js';
import type { SimulatedService } from '../../simulator/service.js';
import { duplicates, type Truth } from '../../simulator/truth.js';
import { ALIBABA, DURATION_MS, HUAWEI, HUAWEI_TEMPORARY, startClouds, type Clouds } from './clients.js';

let clouds: Clouds;
beforeEach(async () => {
  clouds = await startClouds({ fleet: { graphs: 4, clusters: 2 } });
});
afterEach(() => clouds.simulator.close());

const graphs = (): string[] =>
  clouds.simulator.inventory.now().flatMap(({ family, id }) => (family === 'ges' ? [id] : []));
const root = `/v2/${DEMO_PROJECT}/graphs`;
const upgrade = (id: string, key = HUAWEI) =>
  clouds.huawei({ method: 'POST', path: `${root}/${id}/upgrade`, body: { upgrade_version: '9.0.0' } }, key);

describe('the truth record', () => {
  it('counts reads, polls and submits by resource', async () => {
    const [id = ''] = graphs();
    const { job_id: job } = (await upgrade(id)).json;
    for (let index = 0; index < 3; index += 1)
      await clouds.huawei({ path: `${root}/${id}/jobs/${String(job)}/status` });
    for (let index = 0; index < 2; index += 1) await clouds.huawei({ path: `${root}/${id}` });
    const truth = clouds.simulator.truth();
    expect(truth.perResource[id]).toEqual({ accepted: 1, refused: 0, reads: 2, polls: 3, dryRuns: 0, replays: 0 });
    expect(truth.calls).toBe(6);
    expect(duplicates(truth)).toEqual([]);
  });

  it('counts a second accepted submit as the duplicate that it is', async () => {
    const [id = ''] = graphs();
    clouds.simulator.inventory.change(id, { fate: 'rolls-back' });
    await upgrade(id);
    clouds.clock.advance(2 * DURATION_MS);
    expect((await upgrade(id)).status).toBe(200);
    expect(duplicates(clouds.simulator.truth())).toEqual([id]);
  });

  it('knows the peak of concurrent upgrades, overall and by account', async () => {
    const [a = '', b = '', c = '', d = ''] = graphs();
    await upgrade(a);
    await upgrade(b, HUAWEI_TEMPORARY);
    const cluster = clouds.first('elasticsearch');
    const body = { type: 'aliVersion', version: 'ali1.2.0' };
    await clouds.alibaba({ method: 'POST', path: `/openapi/instances/${cluster.id}/actions/upgrade-version`, body });
    clouds.clock.advance(DURATION_MS);
    await upgrade(c);
    await upgrade(d);
    expect(clouds.simulator.truth().concurrentPeak).toEqual({
      overall: 3,
      byAccount: { 'north/ges': 2, 'north-temporary/ges': 1, 'east/elasticsearch': 1 },
    });
  });

  it('knows the most calls in a second, by account', async () => {
    const list = () => clouds.huawei({ path: root });
    for (let index = 0; index < 5; index += 1) {
      await list();
      clouds.clock.advance(300);
    }
    await clouds.alibaba({ path: '/openapi/instances' });
    expect(clouds.simulator.truth().callsPerSecondPeak).toEqual({ north: 4, east: 1 });
    expect(clouds.simulator.truth().submitsPerSecondPeak).toEqual({});
  });

  it('does not count upgrades begun elsewhere as submits; they show all the same', async () => {
    const [id = ''] = graphs();
    clouds.simulator.inventory.upgradeElsewhere(id, { graph: '9.0.0' });
    expect((await clouds.huawei({ path: `${root}/${id}` })).json).toMatchObject({ graph: { status: '201' } });
    expect((await clouds.huawei({ path: `${root}/jobs` })).json).toMatchObject({ job_count: 1 });
    expect(clouds.simulator.truth().submits).toEqual([]);
    expect((await upgrade(id)).json).toMatchObject({ error_code: 'GES.7001' });
  });

  it('shows a change by hand, whatever ended before it, and an upgrade that ends after it', async () => {
    const [id = ''] = graphs();
    const { inventory } = clouds.simulator;
    inventory.change(id, { fate: 'ends-broken' });
    await upgrade(id);
    clouds.clock.advance(DURATION_MS);
    inventory.change(id, { status: '200', versions: { graph: '2.4.1' }, fate: 'succeeds' });
    expect((await clouds.huawei({ path: `${root}/${id}` })).json).toMatchObject({
      graph: { status: '200', data_store_version: '2.4.1' },
    });
    await upgrade(id);
    inventory.change(id, { versions: { graph: '2.4.2' } });
    clouds.clock.advance(DURATION_MS);
    expect((await clouds.huawei({ path: `${root}/${id}` })).json).toMatchObject({
      graph: { status: '200', data_store_version: '9.0.0' },
    });
  });

  it('notes a wrong content type', async () => {
    const [id = ''] = graphs();
    const headers = { 'content-type': 'text/plain' };
    const body = { upgrade_version: '9.0.0' };
    await clouds.huawei({ method: 'POST', path: `${root}/${id}/upgrade`, body, headers });
    expect(clouds.simulator.truth().violations).toMatchObject([{ kind: 'wrong-content-type', account: 'north' }]);
  });

  it('holds no secret and no token', async () => {
    await upgrade(graphs()[0] ?? '', HUAWEI_TEMPORARY);
    const text = JSON.stringify(clouds.simulator.truth());
    for (const secret of [HUAWEI.secret, ALIBABA.secret, 'huawei-token']) expect(text).not.toContain(secret);
  });
});

describe('the control endpoints', () => {
  const get = async (path: string): Promise<unknown> => (await fetch(clouds.simulator.url + path)).json();
  const post = (body: string) => fetch(`${clouds.simulator.url}/_simulator/faults`, { method: 'POST', body });

  it('give truth and inventory as JSON, uncounted', async () => {
    const [id = ''] = graphs();
    await upgrade(id);
    expect(await get('/_simulator/truth')).toEqual(clouds.simulator.truth());
    expect(await get('/_simulator/inventory')).toEqual(clouds.simulator.inventory.now());
    expect(clouds.simulator.inventory.now()).toContainEqual(expect.objectContaining({ id, status: '201' }));
    expect(clouds.simulator.truth().calls).toBe(1);
  });

  it('take faults, and say why they do not', async () => {
    const wrong = await post(JSON.stringify({ add: [{ fault: { kind: 'typhoon' } }] }));
    expect(wrong.status).toBe(400);
    expect((await post('{')).status).toBe(400);
    const taken = await post(JSON.stringify({ add: [{ fault: { kind: 'throttled' }, calls: ['list'] }] }));
    expect(await taken.json()).toEqual({ fired: {} });
    expect((await clouds.huawei({ path: root })).status).toBe(429);
  });

  it('listen on loopback only', () => {
    expect(new URL(clouds.simulator.url).hostname).toBe('127.0.0.1');
  });
});

it('survives bodies that are no JSON and paths that are none', async () => {
  const { port } = new URL(clouds.simulator.url);
  const raw = request({ port, path: '/v2/%zz/graphs', method: 'POST' }).end('{');
  const [response] = (await once(raw, 'response')) as [{ statusCode: number; resume(): void }];
  response.resume();
  expect(response.statusCode).toBe(404);
  expect((await clouds.huawei({ path: root })).status).toBe(200);
});

describe('the state file', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'uplift-simulator-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('brings truth, operations, tokens and faults back', async () => {
    const stateFile = join(directory, 'deep', 'state.json');
    const fleet = { graphs: 1, clusters: 1 };
    const first = await startClouds({ fleet, options: { stateFile } });
    const { id } = first.first('elasticsearch');
    const call = {
      method: 'POST',
      path: `/openapi/instances/${id}/actions/upgrade-version`,
      query: { clientToken: 'same' },
      body: { type: 'aliVersion', version: 'ali1.2.0' },
    };
    const accepted = await first.alibaba(call);
    first.simulator.faults.add({ fault: { kind: 'throttled' }, calls: ['list'] });
    await first.simulator.close();
    expect((await stat(stateFile)).mode & 0o777).toBe(0o600);

    const second = await startClouds({ fleet: { graphs: 0, clusters: 0 }, options: { stateFile } });
    expect(second.simulator.truth().submits).toEqual(first.simulator.truth().submits);
    expect(second.first('elasticsearch').id).toBe(id);
    expect((await second.alibaba({ ...call, headers: { 'x-acs-signature-nonce': 'new' } })).json['Result']).toEqual(
      accepted.json['Result'],
    );
    expect((await second.alibaba({ path: '/openapi/instances' })).json['Code']).toBe('Throttling.User');
    second.clock.advance(DURATION_MS);
    const now = second.simulator.inventory.now().find((resource) => resource.id === id);
    expect(now).toMatchObject({ status: 'active' });
    expect(second.simulator.truth()).toMatchObject({ perResource: { [id]: { accepted: 1, replays: 1 } } });
    await second.simulator.close();
    expect(await readFile(stateFile, 'utf8')).not.toContain(ALIBABA.secret);
  });

  it('holds an accepted submit before its answer is sent', async () => {
    const stateFile = join(directory, 'state.json');
    const other = await startClouds({ options: { stateFile } });
    const { id } = other.first('ges');
    await other.huawei({ method: 'POST', path: `${root}/${id}/upgrade`, body: { upgrade_version: '9.0.0' } });
    const state = JSON.parse(await readFile(stateFile, 'utf8')) as { truth: Truth };
    expect(state.truth.submits).toMatchObject([{ resource: id }]);
    await other.simulator.close();
  });

  it('that is none of ours is named', async () => {
    const stateFile = join(directory, 'state.json');
    await writeFile(stateFile, '{"format":0}');
    await expect(startClouds({ options: { stateFile } })).rejects.toThrow(`${stateFile}: not a state file`);
  });
});

describe('a seeded fleet', () => {
  const options = { seed: 's', graphs: 30, clusters: 20, graphFates: { 'rolls-back': 3, stuck: 1 } } as const;

  it('is the same for the same seed, in any process, and another for another', async () => {
    const fleet = seedInventory(options);
    expect(seedInventory(options)).toEqual(fleet);
    expect(seedInventory({ ...options, seed: 't' })).not.toEqual(fleet);
    expect(new Set(fleet.map(({ id }) => id)).size).toBe(50);
    expect(new Set(fleet.map(({ name, family }) => `${family}/${name}`)).size).toBe(50);
  });

  it('has as many of each fate as it was told, and durations within bounds', () => {
    const fleet = seedInventory({
      ...options,
      durationMs: { min: 1000, max: 2000 },
      clusterFates: { 'precheck-fails': 2 },
    });
    const fates = fleet.map(({ fate }) => fate).filter((fate) => fate !== 'succeeds');
    expect(fates.toSorted()).toEqual([
      'precheck-fails',
      'precheck-fails',
      'rolls-back',
      'rolls-back',
      'rolls-back',
      'stuck',
    ]);
    expect(fleet.every(({ durationMs }) => durationMs >= 1000 && durationMs <= 2000)).toBe(true);
    expect(new Set(fleet.map(({ durationMs }) => durationMs)).size).toBeGreaterThan(25);
    expect(() => seedInventory({ seed: 's', graphs: 1, graphFates: { stuck: 2 } })).toThrow(RangeError);
  });
});

it('plays a service that it was given', async () => {
  const kites: SimulatedService = {
    family: 'kite',
    cloud: 'huawei',
    routes: [
      {
        method: 'GET',
        path: '/v9/{owner}/kites/{id}',
        call: 'read',
        handle: ({ params }, world) => ({ status: 200, body: { found: world.find(params['id'] ?? '') !== null } }),
      },
    ],
    describe: (kite) => ({ status: kite.status, version: kite.versions['sail'] ?? '' }),
  };
  const other = await startClouds({ fleet: { graphs: 0, clusters: 0 }, options: { services: [kites] } });
  const [graph] = seedInventory({ seed: 'k', graphs: 1 });
  if (graph === undefined) throw new Error('no graph');
  other.simulator.inventory.add({ ...graph, family: 'kite', id: 'k1', status: 'flying', versions: { sail: '2' } });
  expect((await other.huawei({ path: `/v9/${DEMO_PROJECT}/kites/k1` })).json).toEqual({ found: true });
  expect(other.simulator.inventory.now()).toMatchObject([{ family: 'kite', status: 'flying', version: '2' }]);
  expect(other.simulator.endpoints).toEqual({ kite: other.simulator.url });
  await other.simulator.close();
});

it('as a process tells its URL on stderr, in one line', async () => {
  const written: unknown[] = [];
  const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    written.push(text);
    return true;
  });
  try {
    const inventory = seedInventory({ seed: 's', graphs: 2 });
    const simulator = await runSimulator({ credentials: [HUAWEI], inventory });
    expect(written).toEqual([`simulator: ${simulator.url} plays ges, cse, dcs, elasticsearch with 2 resources\n`]);
    await expect(runSimulator({ credentials: [], port: Number(new URL(simulator.url).port) })).rejects.toThrow(
      /EADDRINUSE/,
    );
    await simulator.close();
  } finally {
    stderr.mockRestore();
  }
});
