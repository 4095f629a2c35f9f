/**
 * Wall time against the ideal: a list schedule of the same operations and the stabilisation that their adapters ask for,
 * wave by wave. And what an upgrade costs, at 100, 1,000 and 10,000 of them.
 */
import { cutIntoWaves, rolloutOn, say, stabilisationMs, withInstallation, type BenchOptions } from './fleet.js';
import { histories, type Histories } from './histories.js';
import { listSchedule } from './ideal.js';
import { DEFAULT_RATES } from '../plan/accounts.js';
import { cutLine, type TimeLimit } from './limit.js';
import { fixed, seconds, table } from './print.js';
import { spread, type Timeline, timelines } from './timeline.js';
import { Meter, type Usage } from './usage.js';
import type { Planned } from './fleet.js';

interface Size {
  readonly upgrades: number;
  readonly concurrency: number;
  readonly waves: readonly number[];
  readonly durationMs: { readonly min: number; readonly max: number };
  readonly scale: number;
}

const LARGE = 10_000;
/** Of a large fleet that is cut to fewer, nothing could be told. */
const LEAST_LARGE = 2_000;
/** Operations of 60 s, times 0.5 to 2; shorter ones where there are ten thousand. */
const SIZES: readonly Size[] = [
  { upgrades: 100, concurrency: 200, waves: [], durationMs: { min: 30_000, max: 120_000 }, scale: 0.1 },
  { upgrades: 1_000, concurrency: 200, waves: [], durationMs: { min: 30_000, max: 120_000 }, scale: 0.1 },
  { upgrades: LARGE, concurrency: 200, waves: [200], durationMs: { min: 15_000, max: 60_000 }, scale: 0.05 },
];

interface Measured {
  readonly size: Size;
  readonly idealMs: number;
  readonly wallMs: number;
  readonly usage: Usage;
  /** Seconds of this process, which plays the clouds. */
  readonly ownCpu: number;
  readonly histories: Histories;
  readonly calls: number;
  readonly timelines: readonly Timeline[];
}

/**
 * @param most the largest fleet; larger ones of the table are left out
 * @param share of the time left for the largest fleet
 */
export async function schedule(seed: string, most: number, limit: TimeLimit, share: number): Promise<string> {
  const measured: Measured[] = [];
  for (const size of SIZES.filter(({ upgrades }) => upgrades <= most)) {
    const upgrades = size.upgrades < LARGE ? size.upgrades : limit.fitting(LARGE, share, leastMs(size));
    if (upgrades < Math.min(size.upgrades, LEAST_LARGE)) continue;
    const one = await measure(seed, { ...size, upgrades });
    limit.learn(((one.usage.workerCpu + one.usage.serverCpu + one.ownCpu) * 1_000) / upgrades);
    measured.push(one);
  }
  return [
    'wall time against the ideal schedule; per upgrade: CPU, events, history bytes, HTTP calls',
    ...measured.map(({ size: { upgrades, concurrency, waves, durationMs, scale } }) => {
      const inWaves = [...waves, upgrades - waves.reduce((sum, wave) => sum + wave, 0)].join(' and ');
      return (
        `  ${upgrades}: operations of ${seconds(durationMs.min)} to ${seconds(durationMs.max)}, ${concurrency} at a time, ` +
        `${waves.length === 0 ? 'one wave' : `waves of ${inWaves}`}, every bound at scale ${scale}`
      );
    }),
    ...(most < LARGE ? [] : cutLine(measured.at(-1)?.size.upgrades ?? 0, LARGE)),
    table(
      [
        'upgrades',
        'ideal',
        'wall',
        'ratio',
        'goal',
        'worker CPU ms',
        'server CPU ms',
        'events',
        'bytes',
        'calls',
        'worker RSS MB',
        'most',
        'largest history',
      ],
      measured.map(row),
    ),
    'from a free slot to the next start, from there to the submit, from the end of the operation to the begin of verifying, and from there to the end; median and 95 % of each',
    table(
      ['upgrades', 'to start', '95 %', 'to submit', '95 %', 'to detect', '95 %', 'to verify', '95 %'],
      measured.map(spreads),
    ),
    ...growth(measured),
  ].join('\n');
}

async function measure(seed: string, size: Size): Promise<Measured> {
  // As an account has them that says nothing, at the scale of all else.
  const [reads, writes] = [DEFAULT_RATES.reads / size.scale, DEFAULT_RATES.writes / size.scale];
  const options: BenchOptions = { seed, ...size, rates: { reads, writes } };
  return withInstallation(options, async (installation) => {
    const { client, planned, stack, simulator } = installation;
    const meter = new Meter(() => stack.pids()).start();
    const before = process.cpuUsage();
    const wallMs = await rolloutOn(installation, options);
    const usage = meter.stop();
    const { user, system } = process.cpuUsage(before);
    const idealMs = ideal(planned, size);
    say(`${size.upgrades} upgrades: ${seconds(wallMs)}, ideal ${seconds(idealMs)}`);
    return {
      size,
      wallMs,
      idealMs,
      usage,
      ownCpu: (user + system) / 1e6,
      histories: await histories(client, size.upgrades),
      calls: simulator.truth().calls,
      timelines: await timelines(client, planned, simulator.truth()),
    };
  });
}

/** Of the wall time, each: the mean of durations that are evenly spread by their logarithm, over the slots. */
function leastMs({ durationMs: { min, max }, concurrency }: Size): number {
  return (max - min) / Math.log(max / min) / concurrency;
}

/** Waves one after the other, each as the best of engines would run it. */
function ideal(planned: readonly Planned[], { waves, concurrency, scale }: Omit<Size, 'upgrades'>): number {
  return cutIntoWaves(planned, waves)
    .map((wave) => wave.map((one) => one.resource.durationMs + stabilisationMs(one, scale)))
    .reduce((sum, tasks) => sum + listSchedule(tasks, concurrency), 0);
}

function spreads({ size, timelines: all }: Measured): string[] {
  const parts = [
    toStart(all, size),
    all.map((one) => one.toSubmit),
    all.map((one) => one.toDetect),
    all.map((one) => one.toVerify),
  ];
  return [String(size.upgrades), ...parts.flatMap((ms) => Object.values(spread(ms)).map(seconds))];
}

/** The first ones since the very first start; each later one since the end that gave it its slot, waves aside. */
function toStart(all: readonly Timeline[], { concurrency }: Size): number[] {
  const starts = all.map(({ startedAt }) => startedAt).toSorted((a, b) => a - b);
  const ends = all.map(({ endedAt }) => endedAt).toSorted((a, b) => a - b);
  return starts.map((at, place) => at - (place < concurrency ? (starts[0] ?? at) : (ends[place - concurrency] ?? at)));
}

function row({ size: { upgrades }, idealMs, wallMs, usage, histories: left, calls }: Measured): string[] {
  return [
    String(upgrades),
    seconds(idealMs),
    seconds(wallMs),
    fixed(wallMs / idealMs, 3),
    upgrades === 1_000 ? '≤ 1.05' : '',
    fixed((usage.workerCpu * 1000) / upgrades),
    fixed((usage.serverCpu * 1000) / upgrades),
    fixed(left.events / upgrades),
    fixed(left.bytes / upgrades, 0),
    fixed(calls / upgrades),
    fixed(usage.workerRss.middle, 0),
    fixed(usage.workerRss.most, 0),
    `${left.largest.events} of 4000`,
  ];
}

/** From the fleet before the last to the last. */
function growth(measured: readonly Measured[]): string[] {
  const [one, ten] = measured.slice(-2);
  if (one === undefined || ten === undefined || ten.size.upgrades <= 1_000) return [];
  const percent = (ratio: number) => `${ratio >= 1 ? '+' : ''}${fixed((ratio - 1) * 100)} %`;
  const per = (value: (of: Measured) => number) =>
    percent(value(ten) / ten.size.upgrades / (value(one) / one.size.upgrades));
  return [
    `from ${one.size.upgrades} to ${ten.size.upgrades} (goal: at most +10 % each)`,
    table(
      ['worker CPU', 'server CPU', 'events', 'bytes', 'calls', 'worker RSS'],
      [
        [
          per((of) => of.usage.workerCpu),
          per((of) => of.usage.serverCpu),
          per((of) => of.histories.events),
          per((of) => of.histories.bytes),
          per((of) => of.calls),
          percent(ten.usage.workerRss.middle / one.usage.workerRss.middle),
        ],
      ],
    ),
  ];
}
