/**
 * What a worker holds after many upgrades under faults, against what it held after a quarter of them, in one process
 * without kills.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { faultMix } from '../chaos/mix.js';
import { say, timedRollout } from './fleet.js';
import { middle, rssMb } from './usage.js';

const GOAL = 1.1;
/** The middle of several looks, since a garbage collection may just have been. */
const LOOKS = 15;
const EVERY_MS = 1_000;

export async function memory(seed: string, upgrades: number): Promise<string> {
  const latest: number[] = [];
  let first: { ended: number; mb: number } | null = null;
  let fired: Readonly<Record<string, number>> = {};
  const wallMs = await timedRollout({
    seed,
    upgrades,
    concurrency: 200,
    durationMs: { min: 500, max: 2_000 },
    faults: (planned) => faultMix(seed, planned),
    during: async ({ client, stack, simulator, goesOn }) => {
      const pid = stack.pids().workers[0] ?? 0;
      while (await goesOn()) {
        latest.push(rssMb(pid) ?? Number.NaN);
        if (latest.length > LOOKS) latest.shift();
        const query = "WorkflowType = 'upgrade' AND ExecutionStatus != 'Running'";
        const { count: ended } = await client.workflow.count(query);
        if (first === null && ended >= upgrades / 4) {
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
  return [
    `${upgrades} upgrades in ${(wallMs / 1000).toFixed(0)} s; faults that fired: ${JSON.stringify(fired)}`,
    `worker RSS after ${before.ended} upgrades: ${before.mb.toFixed(0)} MB`,
    `worker RSS after ${upgrades} upgrades: ${end.toFixed(0)} MB`,
    `ratio ${(end / before.mb).toFixed(3)} (goal: at most ${GOAL})`,
  ].join('\n');
}
