import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { FAULT_KINDS, type FaultRule, parseFaultRule } from '../../simulator/faults.js';
import type { Fate } from '../../simulator/model.js';
import { runSimulator } from '../../simulator/main.js';
import { SERVICES } from '../../simulator/server.js';
import { assertPortFree, freePorts } from '../../temporal/ports.js';
import { durationOption, parsePort, say } from '../context.js';
import { FLEET, type Fleet, prepareRehearsal } from '../rehearsal.js';

export const DEFAULT_SIMULATOR_PORT = 8244;

const WHOLE_FLEET = Object.entries(FLEET)
  .map(([kind, number]) => `${number} ${kind}`)
  .join(', ');

interface SimulatorCommandOptions extends Partial<Fleet> {
  readonly directory: string;
  readonly port: number;
  readonly seed: string;
  readonly min: number;
  readonly max: number;
  readonly graphFate: Partial<Record<Fate, number>>;
  readonly engineFate: Partial<Record<Fate, number>>;
  readonly cacheFate: Partial<Record<Fate, number>>;
  readonly clusterFate: Partial<Record<Fate, number>>;
  readonly fault: readonly FaultRule[];
}

export function addSimulator(program: Command): void {
  program
    .command('simulator')
    .description('play the clouds on loopback: a fleet, its accounts file and a plan for it, in one folder')
    .option('--directory <folder>', 'holds state, keys, accounts.yaml and rollout.yaml', join('.uplift', 'simulator'))
    .option('--port <port>', '0 is any free one', parsePort, DEFAULT_SIMULATOR_PORT)
    .option('--seed <word>', 'the same word, the same fleet; also the name of the plan', parseSeed, 'rehearsal')
    .option('--graphs <number>', `GES graphs; counting nothing out means ${WHOLE_FLEET}`, parseNumber)
    .option('--engines <number>', 'CSE engines', parseNumber)
    .option('--caches <number>', 'DCS caches', parseNumber)
    .option('--clusters <number>', 'Elasticsearch clusters', parseNumber)
    .addOption(durationOption('--min <duration>', 'shortest upgrade', '4s'))
    .addOption(durationOption('--max <duration>', 'longest upgrade', '12s'))
    .option('--graph-fate <fate=number>', `so many graphs end otherwise: ${FATES.join(', ')}`, addFate, {})
    .option('--engine-fate <fate=number>', 'so many engines end otherwise', addFate, {})
    .option('--cache-fate <fate=number>', 'so many caches end otherwise', addFate, {})
    .option('--cluster-fate <fate=number>', 'so many clusters end otherwise', addFate, {})
    .option(
      '--fault <rule>',
      `what goes wrong, as YAML or JSON on one line, and as often as there are rules; kinds: ${FAULT_KINDS.join(', ')}`,
      addFault,
      [],
    )
    .action(simulate);
}

async function simulate(options: SimulatorCommandOptions): Promise<void> {
  const { directory, seed, min, max } = options;
  if (options.port !== 0) await assertPortFree(options.port, 'the simulator');
  const [anyPort] = (await freePorts(1)) as [number];
  const rehearsal = prepareRehearsal({
    directory,
    port: options.port === 0 ? anyPort : options.port,
    seed,
    ...fleetOf(options),
    durationMs: { min: Math.min(min, max), max: Math.max(min, max) },
    graphFates: options.graphFate,
    engineFates: options.engineFate,
    cacheFates: options.cacheFate,
    clusterFates: options.clusterFate,
  });
  const simulator = await runSimulator(rehearsal.simulator);
  if (options.fault.length > 0) {
    // In place of those that an earlier run has left in the folder.
    simulator.faults.clear();
    simulator.faults.add(...options.fault);
  }
  say(`try: uplift plan ${rehearsal.planFile} --accounts ${rehearsal.accountsFile}`);
  await new Promise<void>((resolve) => {
    process.once('SIGINT', resolve).once('SIGTERM', resolve);
  });
  await simulator.close();
}

/** What was counted out, or else a fleet of everything. */
function fleetOf(options: Partial<Fleet>): Fleet {
  const kinds = Object.keys(FLEET) as (keyof Fleet)[];
  if (kinds.every((kind) => options[kind] === undefined)) return FLEET;
  return Object.fromEntries(kinds.map((kind) => [kind, options[kind] ?? 0])) as Fleet;
}

const FATES: readonly Fate[] = [
  'rolls-back',
  'stuck',
  'job-says-success-but-old-version',
  'ends-broken',
  'precheck-fails',
];

const FAULT_EXAMPLE = "'{fault: {kind: visibility-lag, lagMs: 2000}, family: cse, calls: [submit]}'";

function addFate(text: string, before: Partial<Record<Fate, number>>): Partial<Record<Fate, number>> {
  const [word, number = '1'] = text.split('=');
  const fate = FATES.find((one) => one === word);
  if (fate === undefined || !/^\d+$/.test(number)) {
    throw new InvalidArgumentError(`Use one of ${FATES.join(', ')}, as in rolls-back=1.`);
  }
  return { ...before, [fate]: Number(number) };
}

function addFault(text: string, before: readonly FaultRule[]): readonly FaultRule[] {
  let rule: FaultRule;
  try {
    rule = parseFaultRule(text);
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message} (write it as in ${FAULT_EXAMPLE})`);
  }
  const families = SERVICES.map(({ family }) => family);
  if (rule.family !== undefined && !families.includes(rule.family)) {
    throw new InvalidArgumentError(`family: use one of ${families.join(', ')}`);
  }
  return [...before, rule];
}

function parseNumber(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('Use a number from 0 to 9999.');
  return Number(text);
}

/** It names the plan, so it has to be a name. */
function parseSeed(text: string): string {
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(text) || text.length > 40) {
    throw new InvalidArgumentError('Use lower-case letters, digits and single hyphens, at most 40.');
  }
  return text;
}
