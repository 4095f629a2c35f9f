/** What the benchmarks upgrade: a seeded fleet of all services in which every upgrade succeeds. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { type Planned, seedFleet, writeAccounts, SCALE } from '../chaos/fleet.js';
import { describeRollout, startRollout } from '../client/rollouts.js';
import { startStack, type Stack } from '../client/stack.js';
import { fraction } from '../simulator/random.js';
import type { FaultRule } from '../simulator/faults.js';
import { startSimulator, type Simulator } from '../simulator/server.js';
import { duplicates } from '../simulator/truth.js';
import { findServerBinary } from '../temporal/binary.js';
import { connectClient } from '../temporal/connection.js';

/** The one scale of all bounds in the benchmarks. */
export { SCALE };

const ROLLOUT = 'bench';

export const say = (line: string): void => {
  process.stderr.write(`${new Date().toISOString()} ${line}\n`);
};

export interface BenchOptions {
  readonly seed: string;
  readonly upgrades: number;
  /** Upgrades in flight at a time. */
  readonly concurrency: number;
  /** Bounds of an operation's duration, milliseconds. */
  readonly durationMs: { readonly min: number; readonly max: number };
  /** Worker processes; one when left out. */
  readonly workers?: number;
  /** What the clouds do to it; then only duplicates are an error, since somebody else may be faster. */
  readonly faults?: (planned: readonly Planned[]) => readonly FaultRule[];
  /** What happens meanwhile; the rollout has started. */
  readonly during: (running: Running) => Promise<void>;
}

export interface Running {
  readonly client: Client;
  readonly stack: Stack;
  readonly simulator: Simulator;
  readonly planned: readonly Planned[];
  /** Resolves with `false` once the rollout has ended, with `true` after a moment while it runs. */
  readonly goesOn: () => Promise<boolean>;
}

/**
 * One rollout on an installation of its own; resolves with its wall time in milliseconds.
 *
 * @throws Error when a resource was not upgraded exactly once: then its time means nothing.
 */
export async function timedRollout(options: BenchOptions): Promise<number> {
  const { seed, upgrades, concurrency, durationMs, during } = options;
  // Half as many again, of which those are taken that end well by themselves.
  const seeded = seedFleet(seed, Math.ceil(upgrades * 1.5));
  const well = seeded.planned.filter(({ resource }) => resource.fate === 'succeeds').slice(0, upgrades);
  if (well.length < upgrades) throw new Error(`seed ${seed} has ${well.length} upgrades that succeed`);
  const fleet = {
    ...seeded,
    planned: well.map((planned) => {
      const share = fraction(seed, planned.resource.id, 'duration');
      const duration = Math.round(durationMs.min + share * (durationMs.max - durationMs.min));
      return { ...planned, resource: { ...planned.resource, durationMs: duration } };
    }),
  };
  const directory = await mkdtemp(join(tmpdir(), 'uplift-bench-'));
  const simulator = await startSimulator({
    seed,
    credentials: fleet.credentials,
    inventory: fleet.planned.map(({ resource }) => resource),
  });
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(CLOUD_SDK_|ALIBABA_CLOUD_|TEMPORAL_)/.test(name)),
  );
  simulator.faults.add(...(options.faults?.(fleet.planned) ?? []));
  let stack: Stack | null = null;
  try {
    stack = await startStack({
      temporal: { kind: 'embedded', binary: await findServerBinary({ report: say }) },
      directory,
      accountsFile: writeAccounts(join(directory, 'accounts'), fleet, simulator.url),
      port: 0,
      uiPort: 0,
      workers: options.workers ?? 1,
      workerArguments: ['--time-scale', String(SCALE)],
      durability: 'normal',
      env,
      report: say,
    });
    const client = await connectClient(stack.server);
    await startRollout(client, {
      rollout: ROLLOUT,
      planDigest: seed,
      startedBy: 'bench',
      waves: [{ name: 'all', concurrency, upgrades: fleet.planned.map(({ spec }) => spec) }],
      budget: { max: upgrades, mode: 'loose' },
      accountLimits: {},
      timing: { scale: SCALE },
    });
    const goesOn = async () => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      return isRunning(client);
    };
    await during({ client, stack, simulator, planned: fleet.planned, goesOn });
    while (await goesOn());
    const wallMs = await wallTimeMs(client);
    await client.connection.close();
    const truth = simulator.truth();
    const isShort = options.faults === undefined && truth.submits.length !== upgrades;
    if (isShort || duplicates(truth).length > 0) {
      throw new Error(`${truth.submits.length} accepted submits for ${upgrades} upgrades`);
    }
    return wallMs;
  } finally {
    await stack?.stop();
    await simulator.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** `true` too while the server is away. */
async function isRunning(client: Client): Promise<boolean> {
  try {
    return (await describeRollout(client, ROLLOUT)).status.name === 'RUNNING';
  } catch {
    return true;
  }
}

/** By the server's own record. */
async function wallTimeMs(client: Client): Promise<number> {
  const { startTime, closeTime, status } = await describeRollout(client, ROLLOUT);
  if (status.name !== 'COMPLETED' || closeTime === undefined) throw new Error(`the rollout ended as ${status.name}`);
  return closeTime.getTime() - startTime.getTime();
}
