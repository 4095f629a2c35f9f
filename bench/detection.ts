/**
 * How long the end of an operation goes unnoticed, and what noticing costs: Uplift's polls, beside a poller with a fixed
 * interval that spends as many on the same operations.
 */
import { startBareWorker } from './bare/process.js';
import { rolloutOn, say, withInstallation, type BenchOptions } from './fleet.js';
import { fixed, seconds, table } from './print.js';
import { spread, timelines } from './timeline.js';
import { middle } from './usage.js';

/** At this scale, 30 s are ten minutes: the ordinary duration of a graph's upgrade. */
const SCALE = 0.05;
const UPGRADES = 100;
const DURATION_MS = { min: 15_000, max: 60_000 };

interface Delay {
  readonly polls: number;
  readonly ms: number;
}

export async function detection(seed: string): Promise<string> {
  // All at a time: starting is not the subject here.
  const options: BenchOptions = {
    seed,
    upgrades: UPGRADES,
    concurrency: UPGRADES,
    durationMs: DURATION_MS,
    scale: SCALE,
  };
  const ours = await withInstallation(options, async (installation): Promise<Delay[]> => {
    await rolloutOn(installation, options);
    const lines = await timelines(installation.client, installation.planned, installation.simulator.truth());
    return lines.map(({ delay, polls }) => ({ ms: delay, polls }));
  });
  const budget = mean(ours.map(({ polls }) => polls));
  say(`${fixed(budget)} polls per upgrade`);

  let everyMs = 0;
  const theirs = await withInstallation({ ...options, workers: 0 }, async (installation): Promise<Delay[]> => {
    const { planned, simulator } = installation;
    // The first poll is at once, and the last one half an interval after the end.
    everyMs = mean(planned.map(({ resource }) => resource.durationMs)) / (budget - 1.5);
    const bare = await startBareWorker(installation, everyMs / SCALE);
    const results = await bare.run('fixed', planned, { concurrency: UPGRADES, scale: SCALE });
    await bare.stop();
    const acceptedAt = new Map(simulator.truth().submits.map(({ resource, at }) => [resource, at]));
    const duration = new Map(planned.map(({ resource }) => [resource.id, resource.durationMs]));
    return results.map(({ resource, polls, endedAt }) => ({
      polls,
      ms: endedAt - (acceptedAt.get(resource) ?? Number.NaN) - (duration.get(resource) ?? Number.NaN),
    }));
  });
  return [
    `from "the cloud is done" to "verified": ${UPGRADES} operations of ${seconds(DURATION_MS.min)} to ${seconds(DURATION_MS.max)} at scale ${SCALE}, ` +
      `the reads that stabilisation asks for included`,
    table(
      ['', 'polls per upgrade', 'median', '95 %', 'most'],
      [line('Uplift', ours), line(`every ${seconds(everyMs)}, ± 20 %`, theirs)],
    ),
  ].join('\n');
}

function line(what: string, delays: readonly Delay[]): string[] {
  const ms = delays.map((one) => one.ms);
  const { p95 } = spread(ms);
  const polls = mean(delays.map((one) => one.polls));
  return [what, fixed(polls), seconds(middle(ms)), seconds(p95), seconds(Math.max(...ms))];
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
