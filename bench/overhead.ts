/**
 * What the engine costs: CPU of worker and server per upgrade with instant operations, beside a bare skeleton of the same
 * shape on the same server, taking turns.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { SHARD_SIZE } from '../workflows/contracts/rollout.js';
import { cpuSeconds, middle } from './usage.js';
import { startBareWorker } from './bare/process.js';
import { rolloutOn, say, withInstallation, type Installation } from './fleet.js';
import { histories, type Histories } from './histories.js';
import type { TimeLimit } from './limit.js';
import { fixed, table } from './print.js';

/** An even number, since whoever comes second in a round begins cold, after the other's turn. */
const ROUNDS = 2;
/** A whole shard, as large rollouts are cut: what a rollout costs by itself is shared by as many as in life. */
const PER_ROUND = SHARD_SIZE;
const CONCURRENCY = 40;
/** Until the server has been through the timers of its tasks: else the other's turn would pay for them. */
const SETTLE_MS = 11_000;
/** Of idling, to be taken off the time before it. */
const IDLE_MS = 5_000;
/** So that the skeleton's timers are through by then as well. */
const WITHIN = { step: 10_000, wait: 10_000 };
/** What the simulated clouds need on top of it. */
const SHARE_OF_CLOUDS = 1.1;
/** Of each account: what is paced needs no less CPU, and takes longer. */
const RATES = { reads: 1_000, writes: 1_000 };

/** Of an upgrade: CPU milliseconds of two processes, and what reached the clouds. */
interface Cost {
  readonly worker: number;
  readonly server: number;
  readonly calls: number;
}

/** The workflows of each, the upgrades' first. */
const TYPES = {
  ours: ['upgrade', 'rollout', 'wave', 'shard', 'inventory'],
  bare: ['bareUpgrade', 'bareRollout'],
} as const;

export async function overhead(seed: string, limit: TimeLimit): Promise<string> {
  const options = {
    seed,
    // The first round of each warms it up and is not counted.
    upgrades: (ROUNDS + 1) * 2 * PER_ROUND,
    concurrency: CONCURRENCY,
    durationMs: { min: 1, max: 1 },
    rates: RATES,
  };
  const { ours, bare, left } = await withInstallation(options, async (installation) => {
    const { stack, planned } = installation;
    const skeleton = await startBareWorker(installation);
    const ours: Cost[] = [];
    const bare: Cost[] = [];
    const slice = (number: number) => planned.slice(number * PER_ROUND, (number + 1) * PER_ROUND);
    for (let round = 0; round <= ROUNDS; round += 1) {
      const runs = [
        async () => {
          const some = { ...installation, planned: slice(2 * round) };
          const cost = await costOf(installation, stack.pids().workers[0] ?? 0, () =>
            rolloutOn(some, { ...options, rollout: `round-${round}` }),
          );
          ours.push(cost);
        },
        async () => {
          const cost = await costOf(installation, skeleton.pid, () =>
            skeleton.run(`bare-${round}`, slice(2 * round + 1), { concurrency: CONCURRENCY, within: WITHIN }),
          );
          bare.push(cost);
        },
      ];
      // Who goes first changes.
      for (const run of round % 2 === 0 ? runs : runs.toReversed()) await run();
      say(`round ${round}: ${fixed(total(ours.at(-1)))} and ${fixed(total(bare.at(-1)))} ms`);
    }
    await skeleton.stop();
    const of = (types: readonly [string, ...string[]]) =>
      histories(installation.client, (ROUNDS + 1) * PER_ROUND, types[0], types);
    return {
      ours: ours.slice(1),
      bare: bare.slice(1),
      left: { ours: await of(TYPES.ours), bare: await of(TYPES.bare) },
    };
  });
  limit.learn(middle(ours.map(total)) * SHARE_OF_CLOUDS);
  const ratios = ours.map((cost, at) => total(cost) / total(bare[at]));
  return [
    `CPU ms per upgrade with instant operations, ${PER_ROUND} a round, ${CONCURRENCY} at a time, ${ROUNDS} rounds of each in turn;`,
    'beside it what an upgrade asked of the clouds, and left at the server with its share of what is above it',
    table(
      ['', 'worker', 'server', 'both', 'least', 'most', 'goal', 'calls', 'events', 'bytes'],
      [
        line('Uplift', ours, left.ours),
        line('bare skeleton', bare, left.bare),
        [
          'ratio of a round',
          '',
          '',
          ...[middle(ratios), Math.min(...ratios), Math.max(...ratios)].map((one) => fixed(one, 3)),
          '≤ 1.15',
          '',
          '',
          '',
        ],
      ],
    ),
  ].join('\n');
}

/** What processes that do nothing take while the timers run out is not an upgrade's cost. */
async function costOf({ stack, simulator }: Installation, worker: number, run: () => Promise<unknown>): Promise<Cost> {
  const used = () => ({
    worker: cpuSeconds(worker) ?? 0,
    server: cpuSeconds(stack.pids().temporal ?? 0) ?? 0,
    calls: simulator.truth().calls,
  });
  const before = used();
  await run();
  await delay(SETTLE_MS);
  const after = used();
  await delay(IDLE_MS);
  const idle = used();
  const cost = (what: 'worker' | 'server') => {
    const whileIdle = (idle[what] - after[what]) * (SETTLE_MS / IDLE_MS);
    return ((after[what] - before[what] - whileIdle) * 1000) / PER_ROUND;
  };
  return { worker: cost('worker'), server: cost('server'), calls: (after.calls - before.calls) / PER_ROUND };
}

function total(cost: Cost | undefined): number {
  return cost === undefined ? Number.NaN : cost.worker + cost.server;
}

function line(what: string, costs: readonly Cost[], { events, bytes }: Histories): string[] {
  const upgrades = (ROUNDS + 1) * PER_ROUND;
  const totals = costs.map(total);
  return [
    what,
    ...[middle(costs.map(({ worker }) => worker)), middle(costs.map(({ server }) => server)), middle(totals)].map(
      (ms) => fixed(ms),
    ),
    fixed(Math.min(...totals)),
    fixed(Math.max(...totals)),
    '',
    fixed(middle(costs.map(({ calls }) => calls)), 2),
    fixed(events / upgrades),
    fixed(bytes / upgrades, 0),
  ];
}
