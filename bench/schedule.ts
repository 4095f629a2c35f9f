/**
 * Wall time against the ideal: a list schedule of the same operations and the stabilisation that their adapters ask for,
 * wave by wave. And what an upgrade costs, at 100, 1,000 and 10,000 of them.
 */
import { cutIntoWaves, rolloutOn, say, stabilisationMs, withInstallation, type BenchOptions } from './fleet.js';
import { histories, type Histories } from './histories.js';
import { listSchedule } from './ideal.js';
import { fixed, seconds, table } from './print.js';
import { Meter, type Usage } from './usage.js';
import type { Planned } from './fleet.js';

interface Size {
  readonly upgrades: number;
  readonly concurrency: number;
  readonly waves: readonly number[];
  readonly durationMs: { readonly min: number; readonly max: number };
  readonly scale: number;
}

/** Operations of 60 s, times 0.5 to 2; shorter ones where there are ten thousand. */
const SIZES: readonly Size[] = [
  { upgrades: 100, concurrency: 200, waves: [10], durationMs: { min: 30_000, max: 120_000 }, scale: 0.1 },
  { upgrades: 1_000, concurrency: 200, waves: [50], durationMs: { min: 30_000, max: 120_000 }, scale: 0.1 },
  { upgrades: 10_000, concurrency: 200, waves: [500], durationMs: { min: 5_000, max: 20_000 }, scale: 0.02 },
];

interface Measured {
  readonly size: Size;
  readonly idealMs: number;
  readonly wallMs: number;
  readonly usage: Usage;
  readonly histories: Histories;
  readonly calls: number;
}

/** @param most the largest fleet; larger ones of the table are left out */
export async function schedule(seed: string, most: number): Promise<string> {
  const measured: Measured[] = [];
  for (const size of SIZES.filter(({ upgrades }) => upgrades <= most)) {
    measured.push(await measure(seed, size));
  }
  return [
    'wall time against the ideal schedule; per upgrade: CPU, events, history bytes, HTTP calls',
    ...SIZES.map(
      ({ upgrades, concurrency, waves, durationMs, scale }) =>
        `  ${upgrades}: operations of ${seconds(durationMs.min)} to ${seconds(durationMs.max)}, ${concurrency} at a time, ` +
        `waves of ${[...waves, upgrades - waves.reduce((sum, wave) => sum + wave, 0)].join(' and ')}, every bound at scale ${scale}`,
    ),
    table(
      [
        'upgrades',
        'ideal',
        'wall',
        'ratio',
        'worker CPU ms',
        'server CPU ms',
        'worker RSS MB',
        'most',
        'events',
        'bytes',
        'calls',
        'largest history',
      ],
      measured.map(row),
    ),
    'goal: ratio at most 1.05 at 1,000; per upgrade, and RSS, at most 10 % more at 10,000 than at 1,000',
    ...growth(measured),
  ].join('\n');
}

async function measure(seed: string, size: Size): Promise<Measured> {
  const options: BenchOptions = { seed, ...size };
  return withInstallation(options, async (installation) => {
    const { client, planned, stack, simulator } = installation;
    const meter = new Meter(() => stack.pids()).start();
    const wallMs = await rolloutOn(installation, options);
    const usage = meter.stop();
    const idealMs = ideal(planned, size);
    say(`${size.upgrades} upgrades: ${seconds(wallMs)}, ideal ${seconds(idealMs)}`);
    return {
      size,
      wallMs,
      idealMs,
      usage,
      histories: await histories(client, size.upgrades),
      calls: simulator.truth().calls,
    };
  });
}

/** Waves one after the other, each as the best of engines would run it. */
function ideal(planned: readonly Planned[], { waves, concurrency, scale }: Omit<Size, 'upgrades'>): number {
  return cutIntoWaves(planned, waves)
    .map((wave) => wave.map((one) => one.resource.durationMs + stabilisationMs(one, scale)))
    .reduce((sum, tasks) => sum + listSchedule(tasks, concurrency), 0);
}

function row({ size: { upgrades }, idealMs, wallMs, usage, histories: left, calls }: Measured): string[] {
  return [
    String(upgrades),
    seconds(idealMs),
    seconds(wallMs),
    fixed(wallMs / idealMs, 3),
    fixed((usage.workerCpu * 1000) / upgrades),
    fixed((usage.serverCpu * 1000) / upgrades),
    fixed(usage.workerRss.middle, 0),
    fixed(usage.workerRss.most, 0),
    fixed(left.events / upgrades),
    fixed(left.bytes / upgrades, 0),
    fixed(calls / upgrades),
    String(left.largest.events),
  ];
}

function growth(measured: readonly Measured[]): string[] {
  const [one, ten] = [1_000, 10_000].map((count) => measured.find(({ size }) => size.upgrades === count));
  if (one === undefined || ten === undefined) return [];
  const per = (value: (of: Measured) => number) => {
    const ratio = value(ten) / ten.size.upgrades / (value(one) / one.size.upgrades);
    return `${ratio >= 1 ? '+' : ''}${fixed((ratio - 1) * 100)} %`;
  };
  const rss = ten.usage.workerRss.middle / one.usage.workerRss.middle;
  return [
    `from 1,000 to 10,000, per upgrade: worker CPU ${per((of) => of.usage.workerCpu)}, server CPU ${per((of) => of.usage.serverCpu)}, ` +
      `events ${per((of) => of.histories.events)}, bytes ${per((of) => of.histories.bytes)}, calls ${per((of) => of.calls)}; ` +
      `RSS ${rss >= 1 ? '+' : ''}${fixed((rss - 1) * 100)} %`,
  ];
}
