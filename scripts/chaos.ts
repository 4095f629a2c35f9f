/** `npm run chaos`: upgrades a simulated fleet under every fault there is, and checks what was promised. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runChaos } from '../chaos/run.js';
import { breachesIn, resultTable } from '../chaos/table.js';
import { findServerBinary } from '../temporal/binary.js';
import { optionsOf } from './options.js';

const given = optionsOf('chaos', {
  /** Faults, kills, fleet, clocks: everything random follows from it. */
  seed: { type: 'string', default: '1' },
  /** So long there are faults; then everything has to come to its end. */
  minutes: { type: 'string', default: '10' },
  upgrades: { type: 'string' },
  /** Holds database and logs; a new folder, kept only where something was broken, unless one is named. */
  directory: { type: 'string' },
});

/** About what two workers get done beside all that is done to them. */
const UPGRADES_PER_MINUTE = 30;

const say = (line: string): void => {
  // A server's last words are long, and they stand in no log.
  process.stderr.write(`${new Date().toISOString()} ${line.slice(0, 160)}\n`);
};

async function main(): Promise<boolean> {
  const minutes = positive('minutes', given.minutes);
  const upgrades = positive('upgrades', given.upgrades ?? String(Math.ceil(minutes * UPGRADES_PER_MINUTE)));
  const { seed } = given;
  // Runs of its own keys and server only, whatever this terminal is set up for.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(CLOUD_SDK_|ALIBABA_CLOUD_|TEMPORAL_)/.test(name)),
  );
  const binary = await findServerBinary({ report: say });
  const directory = given.directory ?? (await mkdtemp(join(tmpdir(), 'uplift-chaos-')));
  say(`seed ${seed}: ${upgrades} upgrades, faults for ${minutes} minutes; database and logs in ${directory}`);
  const result = await runChaos({ seed, minutes, upgrades, directory, binary, env, report: say });
  process.stdout.write(`${resultTable(result)}\n`);

  const broken = breachesIn(result);
  if (broken === 0) {
    process.stdout.write('every promise held\n');
    if (given.directory === undefined) await rm(directory, { recursive: true, force: true });
    return true;
  }
  process.stdout.write(
    `${broken} breaches; database and logs: ${directory}; the same again:\n` +
      `  npm run chaos -- --seed ${seed} --minutes ${minutes} --upgrades ${upgrades}\n`,
  );
  return false;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name} ${text}: use a number above 0`);
  return value;
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
