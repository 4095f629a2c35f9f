/**
 * `npm run bench:memory`: what a worker holds after 2,000 upgrades under faults, against what it held after 500, in one
 * process without kills.
 */
import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { faultMix } from '../chaos/mix.js';
import { say, timedRollout } from './fleet.js';

const { values: given } = parseArgs({
  options: {
    seed: { type: 'string', default: 'memory' },
    upgrades: { type: 'string', default: '2000' },
    /** The first measurement is taken after so many. */
    first: { type: 'string', default: '500' },
  },
});
const GOAL = 1.1;
/** The middle of several looks, since a garbage collection may just have been. */
const LOOKS = 15;
const EVERY_MS = 1_000;

async function rssMb(pid: number): Promise<number> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(pid)]);
  return Number(stdout) / 1024;
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const upgrades = Number(given.upgrades);
const latest: number[] = [];
let first: { ended: number; mb: number } | null = null;
let fired: Readonly<Record<string, number>> = {};
const wallMs = await timedRollout({
  seed: given.seed,
  upgrades,
  concurrency: 200,
  durationMs: { min: 500, max: 2_000 },
  faults: (planned) => faultMix(given.seed, planned),
  during: async ({ client, stack, simulator, goesOn }) => {
    const pid = stack.pids().workers[0] ?? 0;
    while (await goesOn()) {
      latest.push(await rssMb(pid));
      if (latest.length > LOOKS) latest.shift();
      const query = "WorkflowType = 'upgrade' AND ExecutionStatus != 'Running'";
      const { count: ended } = await client.workflow.count(query);
      if (first === null && ended >= Number(given.first)) {
        first = { ended, mb: middle(latest) };
        say(`after ${ended} upgrades: ${first.mb.toFixed(0)} MB`);
      }
      await delay(EVERY_MS);
    }
    if (stack.pids().workers[0] !== pid) throw new Error('the worker was started again');
    fired = simulator.faults.fired();
  },
});
const end = middle(latest);
const before = (first as { ended: number; mb: number } | null) ?? { ended: 0, mb: Number.NaN };
process.stdout.write(
  [
    `${upgrades} upgrades in ${(wallMs / 1000).toFixed(0)} s; faults that fired: ${JSON.stringify(fired)}`,
    `worker RSS after ${before.ended} upgrades: ${before.mb.toFixed(0)} MB`,
    `worker RSS after ${upgrades} upgrades: ${end.toFixed(0)} MB`,
    `ratio ${(end / before.mb).toFixed(3)} (goal: at most ${GOAL})`,
    '',
  ].join('\n'),
);
