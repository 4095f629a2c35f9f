/**
 * What a worker holds for each upgrade that it keeps in memory: resident memory over the number of cached runs, as the
 * SDK counts them, while all of them wait for their operations.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { startRollout } from '../client/rollouts.js';
import { freePorts, LOOPBACK } from '../temporal/ports.js';
import { type Installation, say, withInstallation } from './fleet.js';
import { fixed, table } from './print.js';
import { middle, rssMb } from './usage.js';

/** So many upgrades wait, one step after the other. */
const STEPS = [0, 250, 500, 1_000];
/** A cache that holds next to nothing: what is left of the slope is that of the waits, which need no cached run. */
const SMALL_CACHE = 10;
/** No operation ends meanwhile. */
const DURATION_MS = 4 * 3_600_000;
/** What starting them has left behind is collected, and polls have become even. */
const SETTLES_MS = 40_000;
/** The middle of several looks, since a garbage collection may just have been. */
const LOOKS = 20;
const EVERY_MS = 1_000;

interface Look {
  readonly cacheSize: number;
  readonly waiting: number;
  /** Runs in the cache, those of rollouts, waves and shards among them. */
  readonly held: number;
  readonly mb: number;
}

export async function cached(seed: string): Promise<string> {
  const whole = await looks(seed, 2 * Math.max(...STEPS), STEPS);
  const small = await looks(seed, SMALL_CACHE, [0, Math.max(...STEPS)]);
  const rows = [...whole, ...small].map(({ cacheSize, waiting, held, mb }) => [
    String(cacheSize),
    String(waiting),
    String(held),
    fixed(mb, 0),
  ]);
  const perRun = slope(whole.map(({ held, mb }) => [held, mb]));
  const perWait = slope(small.map(({ waiting, mb }) => [waiting, mb]));
  return [
    '',
    table(['cache', 'upgrades that wait', 'runs cached', 'RSS MB'], rows),
    `${fixed(perRun, 3)} MB per cached run with its wait, ${fixed(perWait, 3)} MB per wait whose run is not cached: ` +
      `${fixed(perRun - perWait, 3)} MB per cached run`,
  ].join('\n');
}

/** One look after each step, at a worker of its own. */
async function looks(seed: string, cacheSize: number, steps: readonly number[]): Promise<Look[]> {
  const [port = 0] = await freePorts(1);
  const env = { UPLIFT_CACHED_WORKFLOWS: String(cacheSize), UPLIFT_METRICS_ADDRESS: `${LOOPBACK}:${port}` };
  const rates = { reads: 1_000, writes: 1_000 };
  const durationMs = { min: DURATION_MS, max: DURATION_MS };
  return withInstallation(
    { seed, upgrades: Math.max(...steps), durationMs, rates, scale: 1, env },
    async (installation) => {
      const pid = installation.stack.pids().workers[0] ?? 0;
      const seen: Look[] = [];
      for (const [at, waiting] of steps.entries()) {
        const part = installation.planned.slice(steps[at - 1] ?? 0, waiting);
        if (part.length > 0) await start(installation, seed, `cached-${at}`, part);
        await submitted(installation, waiting);
        await delay(SETTLES_MS);
        const mb: number[] = [];
        while (mb.length < LOOKS) {
          mb.push(rssMb(pid) ?? Number.NaN);
          await delay(EVERY_MS);
        }
        const held = await stickyCacheSize(`http://${LOOPBACK}:${port}/metrics`);
        if (held < Math.min(waiting, cacheSize)) throw new Error(`of ${waiting} runs only ${held} are cached`);
        seen.push({ cacheSize, waiting, held, mb: middle(mb) });
        say(`cache of ${cacheSize}: ${waiting} wait, ${held} cached, ${fixed(middle(mb), 0)} MB`);
      }
      if (installation.stack.pids().workers[0] !== pid) throw new Error('the worker was started again');
      return seen;
    },
  );
}

async function start(
  { client }: Installation,
  seed: string,
  rollout: string,
  part: Installation['planned'],
): Promise<void> {
  await startRollout(client, {
    rollout,
    planDigest: seed,
    startedBy: 'bench',
    waves: [{ name: 'all', concurrency: part.length, upgrades: part.map(({ spec }) => spec) }],
    budget: { max: part.length, mode: 'loose' },
    accountLimits: {},
    timing: { scale: 1 },
  });
}

async function submitted({ simulator }: Installation, wanted: number): Promise<void> {
  const accepted = () => Object.values(simulator.truth().perResource).reduce((sum, one) => sum + one.accepted, 0);
  while (accepted() < wanted) await delay(EVERY_MS);
}

/** Runs in the worker's cache, by the SDK's own count, which begins with the first one. */
async function stickyCacheSize(url: string): Promise<number> {
  const text = await (await fetch(url)).text();
  const sizes = [...text.matchAll(/^temporal_sticky_cache_size(?:\{[^}]*\})? (\d+)/gm)].map(([, size]) => Number(size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Of the straight line that is nearest to all points, by least squares. */
function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (at: 0 | 1) => points.reduce((sum, point) => sum + point[at], 0) / points.length;
  const [x0, y0] = [mean(0), mean(1)];
  const over = points.reduce((sum, [x, y]) => sum + (x - x0) * (y - y0), 0);
  return over / points.reduce((sum, [x]) => sum + (x - x0) ** 2, 0);
}
