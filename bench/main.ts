/** `npm run bench`: tables. Its exit code is of broken promises only, never of a time. */
import { cpus, release, totalmem } from 'node:os';
import { optionsOf } from '../scripts/options.js';
import { cached } from './cached.js';
import { detection } from './detection.js';
import { BrokenTruth, say } from './fleet.js';
import { forecastRow } from './forecast.js';
import { TimeLimit } from './limit.js';
import { memory } from './memory.js';
import { overhead } from './overhead.js';
import { seconds } from './print.js';
import { recovery } from './recovery.js';
import { schedule } from './schedule.js';
import { wave } from './wave.js';

const given = optionsOf('bench', {
  /** Rows, separated by commas; the first five when left out. */
  only: { type: 'string' },
  seed: { type: 'string', default: 'bench' },
  /** So long it may take: the largest fleets are cut to what fits; 0 for no limit. */
  minutes: { type: 'string', default: '20' },
  /** Largest fleet of the row `schedule`. */
  most: { type: 'string', default: '10000' },
  /** Upgrades of the row `wave`. */
  wave: { type: 'string', default: '7000' },
  /** Of the row `recovery`: so often each kind of run. */
  runs: { type: 'string', default: '1' },
});

const limit = new TimeLimit(Number(given.minutes));
/** What the largest fleet may take of the time left, where a wave of 7,000 follows. */
const SCHEDULE_SHARE = 0.6;

const ROWS: Readonly<Record<string, () => Promise<string>>> = {
  forecast: () => Promise.resolve(forecastRow()),
  overhead: () => overhead(given.seed, limit),
  detection: () => detection(given.seed),
  schedule: () => schedule(given.seed, Number(given.most), limit, chosen.includes('wave') ? SCHEDULE_SHARE : 1),
  wave: () => wave(given.seed, Number(given.wave), limit),
  recovery: () => recovery(given.seed, Number(given.runs), 40),
  memory: () => memory(given.seed, 2_000),
  cached: () => cached(given.seed),
};
const ORDINARY = ['forecast', 'overhead', 'detection', 'schedule', 'wave'];

const chosen = given.only?.split(',') ?? ORDINARY;
const unknown = chosen.filter((name) => !(name in ROWS));
if (unknown.length > 0) {
  process.stderr.write(`there is no row ${unknown.join(', ')} (there are ${Object.keys(ROWS).join(', ')})\n`);
  process.exit(1);
}

// So that nothing that was started is left behind.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const startedAt = Date.now();
const [cpu] = cpus();
process.stdout.write(
  `${new Date().toISOString()}, seed ${given.seed}, ${cpus().length} × ${cpu?.model ?? 'unknown'}, ` +
    `${Math.round(totalmem() / 2 ** 30)} GB, Linux ${release()}, Node ${process.version}\n`,
);
for (const name of chosen) {
  say(`row ${name}`);
  try {
    process.stdout.write(`\n${name}: ${await ROWS[name]?.()}\n`);
  } catch (error) {
    if (!(error instanceof BrokenTruth)) throw error;
    process.stdout.write(`\n${name}: BROKEN: ${error.message}\n`);
    process.exitCode = 1;
  }
}
process.stdout.write(`\nall in ${seconds(Date.now() - startedAt)}\n`);
