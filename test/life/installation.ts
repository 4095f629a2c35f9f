/** A real server, simulated clouds whose calls can be held, and worker processes: what every fault here is tried on. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { systemClock } from '../../activities/clock.js';
import type { DevServer, DevServerOptions } from '../../temporal/dev-server.js';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import type { upgrade } from '../../workflows/upgrade.js';
import { Calls } from '../support/calls.js';
import { type Clouds, simulatedClouds, type CloudsOptions } from '../support/clouds.js';
import { type RealEnvironment, realEnvironment, startTestServer } from '../support/environment.js';
import { startWorkerProcess, type WorkerProcess, writeAccounts } from '../support/worker-process.js';

/** Operations take seconds here, where production takes minutes: every bound shrinks alike. */
export const SCALE = 0.1;

export const SERVICES = ['ges-v1', 'ges-v2', 'cse', 'dcs', 'elasticsearch'] as const;

export type UpgradeHandle = WorkflowHandle<typeof upgrade>;

export interface Installation {
  readonly env: RealEnvironment;
  readonly clouds: Clouds;
  readonly calls: Calls;
  readonly directory: string;
  readonly accounts: string;
  /** The next resource of a service that no test has had. */
  take(service: string): UpgradeSpec;
  /** A worker process, on the server unless another address is named; under the name of the one before unless told. */
  worker(options?: {
    readonly address?: string;
    readonly name?: string;
    readonly env?: Readonly<Record<string, string>>;
    /** Of another installation: its `dist/client/main.js`. */
    readonly main?: string;
  }): Promise<WorkerProcess>;
  /** The server as it is now. */
  server(): DevServer;
  /** Starts the server again where everybody looks for it, once the one before has ended. */
  startServer(server?: Partial<DevServerOptions>): Promise<void>;
  begin(spec: UpgradeSpec, rollout?: string): Promise<UpgradeHandle>;
  /** Accepted submits of a resource, by the clouds' own record. */
  accepted(spec: UpgradeSpec): number;
  close(): Promise<void>;
}

export async function install(
  fleet: Omit<CloudsOptions, 'clock' | 'onCall' | 'scale'>,
  server: Partial<DevServerOptions> = {},
): Promise<Installation> {
  const directory = await mkdtemp(join(tmpdir(), 'uplift-life-'));
  const calls = new Calls();
  const clouds = await simulatedClouds({ clock: systemClock, scale: SCALE, onCall: calls.watch, ...fleet });
  const env = await realEnvironment(server);
  const port = Number(env.server.address.split(':')[1]);
  let current = env.server;
  const accounts = await writeAccounts(directory, clouds.simulator.url);
  const workers: WorkerProcess[] = [];
  const untouched = ['ges', 'cse', 'dcs', 'elasticsearch'].flatMap((family) => clouds.specs(family));
  return {
    env,
    clouds,
    calls,
    directory,
    accounts,
    take: (service) => {
      const index = untouched.findIndex(({ resource }) => resource.service === service);
      const [spec] = index < 0 ? [] : untouched.splice(index, 1);
      if (spec === undefined) throw new Error(`no resource of ${service} is left`);
      return spec;
    },
    worker: async ({ address = env.server.address, name = 'one', ...rest } = {}) => {
      const worker = await startWorkerProcess({ address, accounts, name, ...rest });
      workers.push(worker);
      return worker;
    },
    server: () => current,
    startServer: async (changed = {}) => {
      current = await startTestServer({ ...server, ...changed, port });
    },
    begin: (spec, rollout = 'life') =>
      env.client.workflow.start<typeof upgrade>('upgrade', {
        workflowId: upgradeWorkflowId(spec.resource),
        taskQueue: QUEUES.main,
        args: [{ rollout, rolloutRun: randomUUID(), wave: 'one', spec, timing: { scale: SCALE } }],
      }),
    accepted: ({ resource }) => clouds.simulator.truth().submits.filter((one) => one.resource === resource.id).length,
    close: async () => {
      for (const worker of workers) worker.signal('SIGKILL');
      await Promise.all(workers.map(({ ended }) => ended));
      await env.teardown();
      await current.stop();
      await clouds.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The steps that the server waits for, as `submit, attempt 1`. */
export async function pendingSteps(handle: UpgradeHandle): Promise<string[]> {
  const { raw } = await handle.describe();
  return (raw.pendingActivities ?? []).map(({ activityType, attempt }) => `${activityType?.name}, attempt ${attempt}`);
}
