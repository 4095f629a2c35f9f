/**
 * One wave of 7,000 in shards under a strict budget, its worker killed in the middle and its last resources failing:
 * what the clouds saw in flight, accepted and failing, and how large anything grew.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { BrokenTruth, rolloutOn, say, withInstallation, type BenchOptions, type Running } from './fleet.js';
import { histories, largestPayload } from './histories.js';
import { cutLine, type TimeLimit } from './limit.js';
import { fixed, seconds, table } from './print.js';
import { Meter } from './usage.js';
import { duplicates } from '../simulator/truth.js';

/** Tolerated failures: a strict budget then lets as many run at a time as the concurrency does. */
const BUDGET = 199;
/** The last ones, more than are tolerated: so that the budget is spent before the end. */
const FAILING = 300;
const CONCURRENCY = 200;
/** So long that the machine is fast enough to have as many in flight as are allowed. */
const DURATION_MS = { min: 15_000, max: 30_000 };
const LEAST_MS = 21_600 / CONCURRENCY;
const LEAST_UPGRADES = 500;
const LOOK_EVERY_MS = 3_000;

/** @param wanted so many, or as many as there is time for */
export async function wave(seed: string, wanted: number, limit: TimeLimit): Promise<string> {
  const upgrades = Math.min(wanted, Math.max(limit.fitting(wanted, 1, LEAST_MS), LEAST_UPGRADES));
  const options: BenchOptions = {
    seed,
    upgrades,
    failing: FAILING,
    concurrency: CONCURRENCY,
    durationMs: DURATION_MS,
    budget: { max: BUDGET, mode: 'strict' },
  };
  const allowed = Math.min(CONCURRENCY, BUDGET + 1);
  return withInstallation(options, async (installation) => {
    const { client, planned, simulator, stack } = installation;
    const meter = new Meter(() => stack.pids()).start();
    let pending = 0;
    const wallMs = await rolloutOn(installation, {
      ...options,
      during: async (running) => {
        pending = await killInTheMiddle(running, upgrades);
      },
    });
    const usage = meter.stop();
    const truth = simulator.truth();
    const willFail = new Set(planned.flatMap(({ resource: { id, fate } }) => (fate === 'succeeds' ? [] : [id])));
    const failed = truth.submits.filter(({ resource }) => willFail.has(resource)).length;
    const { overall } = truth.concurrentPeak;
    const mostOfOne = Math.max(...Object.values(truth.perResource).map(({ accepted }) => accepted));
    const left = await histories(client, truth.submits.length);
    const payload = await largestPayload(client);
    const broken = [
      ...(duplicates(truth).length > 0 ? [`${duplicates(truth).length} upgraded more than once`] : []),
      ...(overall > allowed ? [`${overall} in flight, of ${allowed} allowed`] : []),
      ...(failed > BUDGET + 1 ? [`${failed} failed, of ${BUDGET + 1} allowed`] : []),
      ...(truth.submits.length < upgrades - FAILING ? [`only ${truth.submits.length} submitted`] : []),
    ];
    if (broken.length > 0) throw new BrokenTruth(broken.join('; '));
    return [
      `one wave of ${upgrades} in shards, ${CONCURRENCY} at a time, a strict budget of ${BUDGET}, the last ${FAILING} fail; the worker killed (SIGKILL) in the middle`,
      ...cutLine(upgrades, wanted),
      table(
        ['', 'seen', 'bound'],
        [
          ['most in flight at the clouds', String(overall), String(allowed)],
          ['accepted submits', String(truth.submits.length), String(upgrades - FAILING + BUDGET + 1)],
          ['most of one resource', String(mostOfOne), '1'],
          ['accepted of those that fail', String(failed), String(BUDGET + 1)],
          [`events of the largest workflow (${left.largest.id.split('/')[0]})`, String(left.largest.events), '4000'],
          ['pending children of one workflow', String(pending), '500'],
          ['largest payload, KB', fixed(payload / 1024, 0), '2048'],
          ['worker RSS, MB', fixed(usage.workerRss.middle, 0), ''],
          ['wall time', seconds(wallMs), ''],
        ],
      ),
    ].join('\n');
  });
}

/** Resolves at the rollout's end with the most pending children that any shard was seen with. */
async function killInTheMiddle({ client, goesOn, simulator, stack }: Running, upgrades: number): Promise<number> {
  let most = 0;
  let killed = false;
  while (await goesOn()) {
    await delay(LOOK_EVERY_MS);
    most = Math.max(most, await pendingChildren(client).catch(() => 0));
    const accepted = simulator.truth().submits.length;
    say(`${accepted} of ${upgrades} accepted`);
    const [worker] = stack.pids().workers;
    if (killed || worker === undefined || accepted < upgrades / 2) continue;
    process.kill(worker, 'SIGKILL');
    killed = true;
    say(`killed the worker after ${accepted} accepted submits`);
  }
  if (!killed) throw new Error('the rollout ended before its worker could be killed');
  return most;
}

async function pendingChildren(client: Client): Promise<number> {
  let most = 0;
  for await (const { workflowId } of client.workflow.list({
    query: "WorkflowType IN ('wave', 'shard') AND ExecutionStatus = 'Running'",
  })) {
    const { raw } = await client.workflow.getHandle(workflowId).describe();
    most = Math.max(most, raw.pendingChildren?.length ?? 0);
  }
  return most;
}
