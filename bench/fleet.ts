/** What the benchmarks upgrade: a seeded fleet of all services in which every upgrade succeeds. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, WorkflowFailedError } from '@temporalio/client';
import { apiFor, CLOUD_APIS } from '../activities/clouds/index.js';
import { type Fleet, type Planned, seedFleet, writeAccounts, SCALE } from '../chaos/fleet.js';
import { startRollout } from '../client/rollouts.js';
import { describeRollout } from '../client/runs.js';
import { startStack, type Stack } from '../client/stack.js';
import { fraction } from '../simulator/random.js';
import type { FaultRule } from '../simulator/faults.js';
import { startSimulator, type Simulator } from '../simulator/server.js';
import { duplicates, type Truth } from '../simulator/truth.js';
import { findServerBinary } from '../temporal/binary.js';
import { connectClient } from '../temporal/connection.js';
import { rolloutWorkflowId } from '../workflows/contracts/ids.js';
import type { FailureBudget } from '../workflows/contracts/rollout.js';

export { SCALE };
export type { Planned };

export const say = (line: string): void => {
  process.stderr.write(`${new Date().toISOString()} ${line}\n`);
};

/** A promise of Uplift's did not hold: the only thing that fails a benchmark. */
export class BrokenTruth extends Error {
  override readonly name = 'BrokenTruth';
}

export interface FleetOptions {
  readonly seed: string;
  readonly upgrades: number;
  /** Bounds of an operation's duration, milliseconds; as many below their geometric mean as above. */
  readonly durationMs: { readonly min: number; readonly max: number };
  /** So many of the last ones fail, and go back to their old versions. */
  readonly failing?: number;
}

export interface InstallationOptions extends FleetOptions {
  /** Multiplies all bounds and intervals, as a plan's `timeScale`. */
  readonly scale?: number;
  /** Worker processes; one when left out. */
  readonly workers?: number;
  /** Calls per second of each account; those of the chaos runs when left out. */
  readonly rates?: { readonly reads: number; readonly writes: number };
  /** Variables of the server and the workers, besides. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A simulator with its fleet, a server and workers, for as long as `use` takes. */
export interface Installation {
  readonly client: Client;
  readonly stack: Stack;
  readonly simulator: Simulator;
  readonly planned: readonly Planned[];
  readonly accountsFile: string;
}

export interface BenchOptions extends InstallationOptions {
  /** `bench` when left out. */
  readonly rollout?: string;
  /** Upgrades in flight at a time. */
  readonly concurrency: number;
  /** Sizes of the waves, the last one taking the rest; one wave when left out. */
  readonly waves?: readonly number[];
  readonly budget?: FailureBudget;
  /** What the clouds do to it; then only duplicates are an error, since somebody else may be faster. */
  readonly faults?: (planned: readonly Planned[]) => readonly FaultRule[];
  /** What happens meanwhile; the rollout has started. */
  readonly during?: (running: Running) => Promise<void>;
  /** The rollout has ended, and everything is still there to be read. */
  readonly after?: (running: Running, wallMs: number) => Promise<void>;
}

export interface Running extends Installation {
  /** Resolves with `false` once the rollout has ended, with `true` after a moment while it runs. */
  readonly goesOn: () => Promise<boolean>;
}

/** The fleet of a seed: in the order of the rollout, each with its operation's duration. */
function benchFleet({ seed, upgrades, durationMs, failing = 0 }: FleetOptions): Fleet {
  // Half as many again, of which those are taken that end well by themselves.
  const seeded = seedFleet(seed, Math.ceil(upgrades * 1.5));
  const well = seeded.planned.filter(({ resource }) => resource.fate === 'succeeds').slice(0, upgrades);
  if (well.length < upgrades) throw new Error(`seed ${seed} has ${well.length} upgrades that succeed`);
  const planned = well.map((one, at) => {
    const share = fraction(seed, one.resource.id, 'duration');
    const duration = Math.round(durationMs.min * (durationMs.max / durationMs.min) ** share);
    const fate = at < upgrades - failing ? one.resource.fate : 'rolls-back';
    return { ...one, resource: { ...one.resource, durationMs: duration, fate } };
  });
  return { ...seeded, planned };
}

/** Milliseconds between the end of an operation and the last good read that its adapter asks for. */
export function stabilisationMs({ spec }: Planned, scale: number): number {
  const pace = apiFor(CLOUD_APIS, spec.resource.service)?.pace;
  return pace === undefined ? 0 : (pace.stableReads - 1) * pace.stableEveryMs * scale;
}

/** Starts an installation of its own, and takes it down. */
export async function withInstallation<T>(
  options: InstallationOptions,
  use: (installation: Installation) => Promise<T>,
): Promise<T> {
  const fleet = benchFleet(options);
  const directory = await mkdtemp(join(tmpdir(), 'uplift-bench-'));
  const simulator = await startSimulator({
    seed: options.seed,
    credentials: fleet.credentials,
    inventory: fleet.planned.map(({ resource }) => resource),
  });
  const accountsFile = writeAccounts(join(directory, 'accounts'), fleet, simulator.url, options.rates);
  let stack: Stack | null = null;
  try {
    stack = await startStack({
      temporal: { kind: 'embedded', binary: await findServerBinary({ report: say }) },
      directory,
      accountsFile,
      port: 0,
      uiPort: 0,
      workers: options.workers ?? 1,
      workerArguments: ['--time-scale', String(options.scale ?? SCALE)],
      durability: 'normal',
      env: { ...cleanEnv(), ...options.env },
      report: say,
    });
    const client = await connectClient(stack.server);
    const result = await use({ client, stack, simulator, planned: fleet.planned, accountsFile });
    await client.connection.close();
    return result;
  } finally {
    await stack?.stop();
    await simulator.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Without credentials and servers of whoever runs it. */
export function cleanEnv(): NodeJS.ProcessEnv {
  const isTheirs = (name: string) => /^(CLOUD_SDK_|ALIBABA_CLOUD_|TEMPORAL_)/.test(name);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !isTheirs(name)));
}

/**
 * One rollout on an installation of its own; resolves with its wall time in milliseconds, by the server's record.
 *
 * @throws BrokenTruth when a resource was not upgraded exactly once: then its time means nothing.
 */
export async function timedRollout(options: BenchOptions): Promise<number> {
  return withInstallation(options, async (installation) => {
    installation.simulator.faults.add(...(options.faults?.(installation.planned) ?? []));
    return rolloutOn(installation, options);
  });
}

/** As `timedRollout`, on an installation that there is. */
export async function rolloutOn(installation: Installation, options: BenchOptions): Promise<number> {
  const { client, planned, simulator } = installation;
  const { concurrency, rollout = 'bench' } = options;
  await startRollout(client, {
    rollout,
    planDigest: options.seed,
    startedBy: 'bench',
    waves: cutIntoWaves(planned, options.waves ?? []).map((some, at) => ({
      name: `wave-${at + 1}`,
      concurrency,
      upgrades: some.map(({ spec }) => spec),
    })),
    budget: options.budget ?? { max: planned.length, mode: 'loose' },
    accountLimits: {},
    timing: { scale: options.scale ?? SCALE },
  });
  const goesOn = async () => {
    await delay(100);
    return isRunning(client, rollout);
  };
  const running = { ...installation, goesOn };
  await options.during?.(running);
  await ended(client, rollout);
  const wallMs = await wallTimeMs(client, rollout, options.failing === undefined ? 'COMPLETED' : 'FAILED');
  mustBeTrue(simulator.truth(), options.faults === undefined && options.failing === undefined ? planned : []);
  await options.after?.(running, wallMs);
  return wallMs;
}

/** @throws BrokenTruth for duplicates anywhere, and for one of `upgraded` that was not accepted */
function mustBeTrue(truth: Truth, upgraded: readonly Planned[]): void {
  const twice = duplicates(truth);
  if (twice.length > 0) throw new BrokenTruth(`upgraded more than once: ${twice.join(', ')}`);
  const never = upgraded.filter(({ resource }) => truth.perResource[resource.id]?.accepted !== 1);
  if (never.length > 0) throw new BrokenTruth(`${never.length} of ${upgraded.length} upgrades were not submitted`);
}

/** The last wave takes the rest. */
export function cutIntoWaves<T>(all: readonly T[], sizes: readonly number[]): (readonly T[])[] {
  const waves: (readonly T[])[] = [];
  let from = 0;
  for (const size of sizes) {
    waves.push(all.slice(from, from + size));
    from += size;
  }
  return [...waves, all.slice(from)].filter((wave) => wave.length > 0);
}

/** Told by the server: looks again and again would count among what is measured. */
async function ended(client: Client, rollout: string): Promise<void> {
  for (;;) {
    try {
      await client.workflow.getHandle(rolloutWorkflowId(rollout)).result();
      return;
    } catch (error) {
      if (error instanceof WorkflowFailedError) return;
      // The server is away.
      await delay(400);
    }
  }
}

/** `true` too while the server is away. */
async function isRunning(client: Client, rollout: string): Promise<boolean> {
  try {
    return (await describeRollout(client, rollout)).status.name === 'RUNNING';
  } catch {
    return true;
  }
}

async function wallTimeMs(client: Client, rollout: string, endsAs: 'COMPLETED' | 'FAILED'): Promise<number> {
  const { startTime, closeTime, status } = await describeRollout(client, rollout);
  if (status.name !== endsAs || closeTime === undefined) throw new Error(`the rollout ended as ${status.name}`);
  return closeTime.getTime() - startTime.getTime();
}
