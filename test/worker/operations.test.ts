/** What operations see of a worker process: its health, its metrics with the alerts on them, and its log. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { systemClock } from '../../activities/clock.js';
import { freePorts } from '../../temporal/ports.js';
import { rolloutWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { METRICS, type Metric } from '../../workflows/contracts/metrics.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { rollout } from '../../workflows/rollout.js';
import { type Clouds, SECRETS, simulatedClouds } from '../support/clouds.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { startWorkerProcess, type WorkerProcess, writeAccounts } from '../support/worker-process.js';

let env: RealEnvironment;
let clouds: Clouds;
let directory: string;
let accounts: string;
let worker: WorkerProcess;
let ports: { readonly metrics: number; readonly health: number };

const get = async (port: number, path: string): Promise<{ status: number; text: string }> => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return { status: response.status, text: await response.text() };
};

beforeAll(async () => {
  const [metrics, health] = (await freePorts(2)) as [number, number];
  ports = { metrics, health };
  env = await realEnvironment();
  clouds = await simulatedClouds({
    clock: systemClock,
    graphs: 2,
    caches: 1,
    cacheFates: { stuck: 1 },
    // Longer than it takes until the state of running rollouts is read again.
    durationMs: { min: 16_000, max: 18_000 },
  });
  directory = await mkdtemp(join(tmpdir(), 'uplift-operations-'));
  accounts = await writeAccounts(directory, clouds.simulator.url);
  worker = await startWorkerProcess({
    address: env.server.address,
    accounts,
    env: { UPLIFT_METRICS_ADDRESS: `127.0.0.1:${metrics}`, UPLIFT_HEALTH_ADDRESS: `127.0.0.1:${health}` },
  });
});
afterAll(async () => {
  worker.signal('SIGKILL');
  await worker.ended;
  await rm(directory, { recursive: true, force: true });
  await clouds.close();
  await env.teardown();
});

interface Rules {
  readonly groups: readonly { readonly rules: readonly { readonly expr: string }[] }[];
}

/** The names that a scrape has series of, a histogram's parts among them. */
async function scraped(): Promise<Set<string>> {
  const { text } = await get(ports.metrics, '/metrics');
  return new Set([...text.matchAll(/^([a-z_]+)[{ ]/gm)].flatMap(([, name]) => (name === undefined ? [] : [name])));
}

/** As Prometheus has it. */
function exported({ name, kind }: Metric): string {
  return kind === 'counter' ? `${name}_total` : kind === 'histogram' ? `${name}_bucket` : name;
}

describe('a worker that upgrades', () => {
  it('is alive and ready once the server has seen it', async () => {
    await expect.poll(() => get(ports.health, '/readyz'), { timeout: 30_000 }).toEqual({ status: 200, text: 'ok\n' });
    expect(await get(ports.health, '/healthz')).toEqual({ status: 200, text: 'ok\n' });
    expect((await get(ports.health, '/')).status).toBe(404);
  });

  it('exports all that it is said to measure, and all that the alerts are made of', async () => {
    clouds.simulator.faults.add({ fault: { kind: 'throttled' }, calls: ['submit'], times: 1 });
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId('measured'),
      taskQueue: QUEUES.main,
      args: [
        {
          rollout: 'measured',
          planDigest: 'digest',
          startedBy: 'test',
          waves: [{ name: 'all', concurrency: 2, upgrades: clouds.specs('ges') }],
          budget: { max: 1, mode: 'strict' },
          accountLimits: {},
          timing: { scale: 0.05 },
        },
      ],
    });
    expect((await handle.result()).outcome).toBe('Succeeded');
    const all = Object.values(METRICS).map(exported);
    const rules = parse(readFileSync(new URL('../../deploy/uplift.rules.yml', import.meta.url), 'utf8')) as Rules;
    const alerts = rules.groups.flatMap(({ rules: group }) => group.map(({ expr }) => expr));
    const named = alerts.flatMap((expr) => expr.match(/\b(uplift|temporal)_[a-z_]+/g) ?? []);
    expect(named.length).toBeGreaterThanOrEqual(alerts.length);

    const found = await scraped();
    expect(all.filter((name) => !found.has(name))).toEqual([]);
    expect(named.filter((name) => !found.has(name))).toEqual([]);
    const { text } = await get(ports.metrics, '/metrics');
    expect(text).toMatch(/^uplift_upgrades_ended_total\{.*outcome="Succeeded",service="ges-v1".*\} 1$/m);
    expect(text).toMatch(/^uplift_throttled_total\{account="huawei".*\} 1$/m);
    for (const secret of Object.values(SECRETS)) expect(text).not.toContain(secret);
  });

  it('tells how many upgrades outlast the windows of their rollout', async () => {
    const recurrence = { start: new Date(Date.now() - 5_000).toISOString().slice(0, 19), timezone: 'UTC' };
    const windows = [{ name: 'short', recurrence: { ...recurrence, duration: 'PT35S' } }];
    const upgrades = clouds.specs('dcs').map((spec) => ({ ...spec, gate: 0 }));
    await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId('outlasts'),
      taskQueue: QUEUES.main,
      args: [
        {
          rollout: 'outlasts',
          planDigest: 'digest',
          startedBy: 'test',
          waves: [{ name: 'all', concurrency: 1, upgrades }],
          budget: { max: 0, mode: 'strict' },
          accountLimits: {},
          windows: {
            calendars: [{ windows, blackouts: [] }],
            gates: [{ calendar: 0, needsMs: 0 }],
            since: new Date().toISOString(),
            missedWindow: 'next',
          },
          timing: { scale: 0.05 },
        },
      ],
    });
    const told = async () => {
      const { text } = await get(ports.metrics, '/metrics');
      return /^uplift_window_overruns\{.*rollout="outlasts".*\} (\d+)$/m.exec(text)?.[1];
    };
    // While its window is open nothing outlasts it, and then one does.
    await expect.poll(told, { timeout: 60_000 }).toBe('0');
    await expect.poll(told, { timeout: 90_000 }).toBe('1');
    expect(
      clouds.simulator.truth().submits.filter(({ resource }) => resource === upgrades[0]?.resource.id),
    ).toHaveLength(1);
  });

  it('logs each step with its rollout, upgrade, account and attempt', () => {
    const lines = worker
      .log()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const upgrades = [
      ...clouds.specs('ges').map(({ resource }) => ({ rollout: 'measured', upgrade: upgradeWorkflowId(resource) })),
      ...clouds.specs('dcs').map(({ resource }) => ({ rollout: 'outlasts', upgrade: upgradeWorkflowId(resource) })),
    ];
    // Whatever is not of the process or of an account as a whole has to tell of which upgrade it is.
    const isOfMore = (line: Record<string, unknown>) =>
      ['worker', 'core'].includes(String(line['sdkComponent'])) ||
      /^worker is ready$|workers share each account's rates$|^account huawei is throttled: /.test(String(line['msg']));
    for (const line of lines) {
      if (isOfMore(line)) continue;
      expect(upgrades, JSON.stringify(line)).toContainEqual({ rollout: line['rollout'], upgrade: line['upgrade'] });
      expect(line).toMatchObject({ account: 'huawei', attempt: expect.any(Number) as number });
    }
    for (const about of upgrades.filter(({ rollout: name }) => name === 'measured')) {
      const own = lines.filter(({ upgrade }) => upgrade === about.upgrade);
      expect(own.map(({ msg }) => msg)).toEqual(
        expect.arrayContaining(['precheck', 'submit', 'awaitOperation', 'verify']),
      );
      expect(own).toContainEqual(
        expect.objectContaining({ verdict: 'submitted', sent: [expect.objectContaining({ answer: 'accepted' })] }),
      );
    }
  });

  it('names the variable whose address is taken, and does not start', async () => {
    for (const name of ['UPLIFT_METRICS_ADDRESS', 'UPLIFT_HEALTH_ADDRESS']) {
      const port = name === 'UPLIFT_METRICS_ADDRESS' ? ports.metrics : ports.health;
      const other = startWorkerProcess({ address: env.server.address, accounts, env: { [name]: `127.0.0.1:${port}` } });
      await expect(other).rejects.toThrow(`${name}: 127.0.0.1:${port} cannot be listened on`);
    }
  });

  it('names the namespace that is not there, and what to do', async () => {
    const other = startWorkerProcess({ address: env.server.address, accounts, env: { TEMPORAL_NAMESPACE: 'nix' } });
    await expect(other).rejects.toThrow(
      /: uplift: Temporal answers: Namespace nix is not found\. \(check --namespace, or run `uplift doctor --fix`\)$/,
    );
  });

  it('is not ready any more while the server is away, and still alive', async () => {
    const { pid } = env.server;
    process.kill(pid, 'SIGSTOP');
    try {
      await expect.poll(async () => (await get(ports.health, '/readyz')).status, { timeout: 60_000 }).toBe(503);
      expect((await get(ports.health, '/healthz')).status).toBe(200);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await expect.poll(async () => (await get(ports.health, '/readyz')).status, { timeout: 60_000 }).toBe(200);
  });

  it('ends within its time while the server is away', async () => {
    const ending = await startWorkerProcess({
      address: env.server.address,
      accounts,
      name: 'ending',
      env: { UPLIFT_SHUTDOWN_TIMEOUT: '2s' },
    });
    const { pid } = env.server;
    process.kill(pid, 'SIGSTOP');
    try {
      // Until the server is asked again who polls, which it does not answer.
      await systemClock.sleep(3_000);
      ending.signal('SIGTERM');
      const ended = await Promise.race([ending.ended, systemClock.sleep(20_000).then(() => 'goes on')]);
      expect(ended).toBe(0);
    } finally {
      process.kill(pid, 'SIGCONT');
      ending.signal('SIGKILL');
    }
  });
});
