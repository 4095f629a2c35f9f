/** Everything that docker-compose.yml describes, as processes on this machine, under rollouts. */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Client } from '@temporalio/client';
import { afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { identitiesOf, servedQueues } from '../../client/queues.js';
import { connectClient, localTarget } from '../../temporal/connection.js';
import { ensureNamespace } from '../../temporal/namespace.js';
import { freePorts, LOOPBACK } from '../../temporal/ports.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { serve } from '../cli/cli.js';
import { type Cluster, startCluster, type Worker } from './cluster.js';
import { composeService, processOf, ROOT } from '../support/compose.js';
import { buildImage, type Image } from './image.js';
import { findPostgres } from './postgres.js';
import { findClusterPrograms } from './programs.js';
import { normalised, offences, type Rehearsal, startRehearsal } from './rehearsals.js';

const execute = promisify(execFile);
const report = (line: string): void => console.error(line);

/** Of the user `node` in Node's own images. */
const NODE_UID = 1000;

let directory: string;
let image: Image;
let cluster: Cluster;
let client: Client;
let hasFailed = false;

beforeAll(async () => {
  // Each process here is ended with this one.
  process.setMaxListeners(30);
  const postgresBin = findPostgres();
  const programs = await findClusterPrograms({ report });
  directory = await mkdtemp(join(tmpdir(), 'uplift-cluster-'));
  // PostgreSQL's user has to reach its own folder in there.
  await chmod(directory, 0o711);
  report('Building the image of the workers');
  image = await buildImage(join(directory, 'image'));
  cluster = await startCluster({ programs, postgresBin, image, directory: join(directory, 'cluster'), report });
  client = await connectClient(localTarget(cluster.address));
  return async () => {
    await client.connection.close();
    await cluster.stop();
    if (hasFailed) report(`Logs are kept in ${directory}`);
    else {
      await execute('chmod', ['-R', 'u+w', image.directory]);
      await rm(directory, { recursive: true, force: true });
    }
  };
});
afterEach(({ task }) => {
  hasFailed ||= task.result?.state === 'fail';
});

/** Until the end of the test: no worker may meet accounts that it does not have. */
async function startWorker(name: string, accounts: string, uid?: number): Promise<Worker> {
  const worker = await cluster.startWorker(name, accounts, uid);
  onTestFinished(() => worker.stop());
  return worker;
}

/** Events of every workflow that the server keeps, and of the longest. */
async function events(): Promise<{ readonly all: number; readonly longest: number }> {
  const lengths: number[] = [];
  for await (const { historyLength } of client.workflow.list()) lengths.push(historyLength);
  return { all: lengths.reduce((sum, length) => sum + length, 0), longest: Math.max(...lengths) };
}

describe('what is set up', () => {
  it('is run by the very files that docker-compose.yml mounts', () => {
    const values = { POSTGRES_PASSWORD: 'x' };
    for (const service of ['temporal', 'temporal-history', 'temporal-matching', 'temporal-worker']) {
      const { command, args } = processOf(service, values);
      const [role] = composeService(service).command ?? [];
      expect([command, ...args]).toEqual(['sh', join(ROOT, 'deploy/temporal/start.sh'), role]);
    }
    expect(processOf('setup-schema', { SQL_PASSWORD: 'x' }).args).toEqual([join(ROOT, 'deploy/setup-schema.sh')]);
  });

  it('is a server of the tested release on PostgreSQL, with the shards of deploy/temporal/server.yaml', async () => {
    const { serverVersion, historyShardCount, persistenceStore, visibilityStore } =
      await client.workflowService.getClusterInfo({});
    expect({ serverVersion, historyShardCount, persistenceStore, visibilityStore }).toEqual({
      serverVersion: '1.29.1',
      historyShardCount: 64,
      persistenceStore: 'postgres12',
      visibilityStore: 'postgres12',
    });
  });

  it('keeps closed workflows for 90 days and has the search attributes, in every namespace', async () => {
    // At the next start there is nothing to do.
    const again = await cluster.setUpNamespaces();
    for (const namespace of composeService('setup-namespaces').command ?? []) {
      const its = await connectClient(localTarget(cluster.address, namespace));
      const findings = await ensureNamespace(its, { fix: false });
      await its.connection.close();
      expect(findings.map(({ ok }) => ok)).toEqual([true, true]);
      expect(findings[0]?.what).toBe(`Namespace ${namespace} keeps closed workflows for 90 days`);
      for (const { what } of findings) expect(again).toContain(what);
    }
  });

  it('shares the shards between its two history nodes, as Prometheus sees', async () => {
    const nodes = cluster.nodes('temporal-history');
    const total = async () => (await Promise.all(nodes.map(shardsOf))).reduce((sum, owned) => sum + owned, 0);
    // They take their shards one after another, and look once a minute for those that were missed.
    await expect.poll(total, { timeout: 150_000, interval: 500 }).toBe(64);
    expect((await Promise.all(nodes.map(shardsOf))).every((owned) => owned > 0)).toBe(true);
  });
});

describe('the image of the workers', () => {
  it('serves a user who can write nothing of it, with the bundle that was built, and its health check knows a dead one', async () => {
    expect(image.user).toBe('node');
    const isRoot = process.getuid?.() === 0;
    const uid = isRoot ? NODE_UID : undefined;
    const accounts = join(directory, 'locked.yaml');
    await writeFile(accounts, 'accounts: { one: { cloud: huawei, region: eu-west-101 } }\n');
    const worker = await startWorker('locked', accounts, uid);
    expect(await worker.isHealthy()).toBe(true);
    const { pid } = worker.current();
    expect(await readFile(`/proc/${pid}/status`, 'utf8')).toMatch(
      new RegExp(`^Uid:\\s+${uid ?? process.getuid?.()}\\s`, 'm'),
    );
    // For root, modes are no bound: for the worker's user they are.
    const places = ['.', 'dist', 'dist/client/main.js', 'node_modules'].map((place) => join(image.directory, place));
    const { stdout: writable } = await execute('find', [...places, '-maxdepth', '0', '-writable'], { uid, gid: uid });
    expect(writable).toBe('');
    const log = await readFile(worker.log, 'utf8');
    expect(log).toContain('worker is ready');
    expect(log).not.toMatch(/Workflow bundle created|EACCES|EROFS/);
    await worker.stop();
    expect(await worker.isHealthy()).toBe(false);
  });
});

describe('a rollout', () => {
  it('ends right though a history node and a worker are killed in the middle of it', async () => {
    const fleet = await startRehearsal(join(directory, 'killed'), '--seed killed --min 2s --max 6s');
    const workers = [
      await startWorker('killed-1', fleet.accounts),
      await startWorker('killed-2', fleet.accounts),
    ] as const;
    const names = ['killed-1', 'killed-2'];
    const both = Object.values(QUEUES).map((name) => ({ name, workers: names }));
    // The worker of another test, which has ended, is named for a while.
    const polled = async () =>
      (await servedQueues(client)).map(({ name, pollers }) => {
        const known = identitiesOf(pollers);
        return { name, workers: names.filter((one) => known.includes(one)) };
      });
    await expect.poll(polled, { timeout: 60_000 }).toEqual(both);
    const total = 25;
    const rollout = await fleet.begin(cluster.address);
    const [history] = cluster.nodes('temporal-history');
    const kills: string[] = [];
    const kill = (name: string, pid: number): void => {
      process.kill(pid, 'SIGKILL');
      kills.push(name);
    };
    await fleet.submitted(5);
    kill('history node', history?.pid() ?? 0);
    await fleet.submitted(12);
    kill('worker', workers[0].current().pid);

    const { code, report: told } = await fleet.end(cluster.address, rollout);
    const truth = await fleet.truth();
    const { all, longest } = await events();
    console.log(
      `killed: ${kills.join(', ')}; accepted submits: ${truth.submits.length} for ${total} resources, ` +
        `${offences(truth).length} twice; events: ${all}, at most ${longest} of one workflow`,
    );
    expect(code).toBe(0);
    expect(told).toMatchObject({ rollout: { state: 'Succeeded', total, counts: { Succeeded: total } } });
    expect(truth.submits).toHaveLength(total);
    expect(offences(truth)).toEqual([]);
  });

  it('is reported here as on the embedded server, apart from times and ids', async () => {
    const fleetOf = (place: string): Promise<Rehearsal> =>
      startRehearsal(
        join(directory, place),
        '--seed same --min 2s --max 6s --graphs 4 --engines 2 --caches 2 --clusters 2 --graph-fate rolls-back ' +
          '--engine-fate ends-broken',
      );
    const onCluster = async () => {
      const fleet = await fleetOf('on-cluster');
      await startWorker('same', fleet.accounts);
      return fleet.end(cluster.address, await fleet.begin(cluster.address));
    };
    const onEmbedded = async () => {
      const fleet = await fleetOf('on-embedded');
      const [port, uiPort] = await freePorts(2);
      const where = ['--directory', join(directory, 'embedded'), '--port', String(port), '--ui-port', String(uiPort)];
      const { UPLIFT_CACHE } = process.env;
      const dev = await serve(['dev', '--no-simulator', '--accounts', fleet.accounts, ...where], /^Ctrl-C ends/, {
        UPLIFT_CACHE,
      });
      onTestFinished(async () => void (await dev.stop()));
      const address = `${LOOPBACK}:${port}`;
      return fleet.end(address, await fleet.begin(address));
    };
    const [here, embedded] = await Promise.all([onCluster(), onEmbedded()]);
    expect(here.code).toBe(3);
    expect(embedded.code).toBe(3);
    expect(normalised(here.report)).toEqual(normalised(embedded.report));
  });
});

it('a backup taken in the middle of a rollout and put back later: the rollout ends, and nothing is sent twice', async () => {
  const fleet = await startRehearsal(join(directory, 'restored'), '--seed restored --min 2s --max 6s');
  const before = await startWorker('before', fleet.accounts);
  const rollout = await fleet.begin(cluster.address);
  await fleet.submitted(5);
  const file = join(directory, 'cluster', 'postgres', 'backup.tar.gz');
  await cluster.postgres.backup(file);
  const known = (await fleet.truth()).submits.length;
  await fleet.submitted(known + 6);

  // The workers first: they hold workflows in memory that are further than the older database knows.
  await before.stop();
  const forgotten = (await fleet.truth()).submits.length - known;
  await cluster.stopServer();
  await cluster.postgres.stop();
  await cluster.postgres.restore(file);
  await cluster.startServer();
  await startWorker('after', fleet.accounts);

  const { code, report: told } = await fleet.end(cluster.address, rollout);
  const truth = await fleet.truth();
  const outcomes = (told as { rollout: { counts: Record<string, number> } }).rollout.counts;
  console.log(
    `${forgotten} submits after the backup; after the restore: ${JSON.stringify(outcomes)}, ` +
      `accepted submits: ${truth.submits.length}, ${offences(truth).length} twice`,
  );
  expect(code).toBe(0);
  expect(told).toMatchObject({ rollout: { state: 'Succeeded', total: 25 } });
  expect(Object.keys(outcomes).filter((outcome) => !/^(Succeeded|Adopted|AlreadyAtTarget)$/.test(outcome))).toEqual([]);
  expect(truth.submits).toHaveLength(25);
  expect(offences(truth)).toEqual([]);
});

async function shardsOf(node: ReturnType<Cluster['nodes']>[number]): Promise<number> {
  const text = await cluster.metrics(node);
  return Number(/^numshards_gauge\{[^}]*\} (\d+)$/m.exec(text)?.[1] ?? 0);
}
