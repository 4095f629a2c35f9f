/**
 * What one killed worker and one killed server add to the wall time of a rollout, against an undisturbed run of the same
 * fleet in the same invocation.
 */
import { submitBounds } from '../activities/bounds.js';
import { CLOUD_APIS } from '../activities/clouds/index.js';
import { STEP_BOUNDS } from '../workflows/steps.js';
import { SCALE, say, timedRollout, type Running } from './fleet.js';
import { seconds } from './print.js';
import { middle } from './usage.js';

const GOAL_S = 5;

type Kind = 'undisturbed' | 'the worker killed' | 'one of two workers killed' | 'the server killed';
const KINDS: readonly Kind[] = ['undisturbed', 'the worker killed', 'one of two workers killed', 'the server killed'];

async function run(kind: Kind, seed: string, upgrades: number): Promise<number> {
  const wallMs = await timedRollout({
    seed,
    upgrades,
    concurrency: Math.ceil(upgrades / 2),
    workers: kind === 'one of two workers killed' ? 2 : 1,
    durationMs: { min: 10_000, max: 30_000 },
    during: async (running) => {
      if (kind === 'undisturbed') return;
      // Operations are running, others end, and submits are on their way.
      await submitted(running, Math.ceil(upgrades * 0.7));
      const { temporal, workers } = running.stack.pids();
      const pid = kind === 'the server killed' ? temporal : workers[0];
      if (typeof pid === 'number') process.kill(pid, 'SIGKILL');
    },
  });
  say(`${kind}: ${seconds(wallMs)}`);
  return wallMs;
}

async function submitted({ simulator, goesOn }: Running, count: number): Promise<void> {
  while (simulator.truth().submits.length < count) {
    if (!(await goesOn())) throw new Error('the rollout ended before anything could be killed');
  }
}

/** @param runs each kind of run so often; the medians are compared */
export async function recovery(seed: string, runs: number, upgrades: number): Promise<string> {
  const times = new Map<Kind, number[]>(KINDS.map((kind) => [kind, []]));
  for (let round = 0; round < runs; round += 1) {
    for (const kind of KINDS) times.get(kind)?.push(await run(kind, seed, upgrades));
  }
  /** Of the service whose submits may stay invisible for longest. */
  const slowest = CLOUD_APIS.map((api) => submitBounds(api.pace, 1)).toSorted((a, b) => b.settlingMs - a.settlingMs)[0];
  const lines = [
    `operations of 10 to 30 s, every bound at scale ${SCALE}`,
    ...[...Object.entries(STEP_BOUNDS), ...Object.entries(slowest ?? {})].map(
      ([bound, ms]) => `  ${bound.padEnd(22)} ${seconds(ms * SCALE).padStart(9)}   in production ${seconds(ms)}`,
    ),
    '  (no heartbeat time-out below 3 s, no retry sooner than 1 s)',
    '',
  ];
  const base = middle(times.get('undisturbed') ?? []);
  for (const kind of KINDS) {
    const wall = middle(times.get(kind) ?? []);
    const added = kind === 'undisturbed' ? '' : `  adds ${seconds(wall - base)} (goal: at most ${GOAL_S} s)`;
    lines.push(`${kind.padEnd(26)} ${seconds(wall).padStart(8)}${added}`);
  }
  return lines.join('\n');
}
