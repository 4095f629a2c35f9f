import { type Command, InvalidArgumentError } from 'commander';
import { instantOf } from '../../calendar/forms.js';
import { signedCommand } from '../../workflows/contracts/commands.js';
import { type Cover, isActive } from '../../workflows/contracts/freezes.js';
import { actor } from '../actor.js';
import {
  type OutputOptions,
  print,
  printJson,
  say,
  type ServerOptions,
  stdoutPaint,
  stdoutWidth,
  withClient,
  withOutputOption,
  withServerOptions,
} from '../context.js';
import { parseCover } from '../covers.js';
import { reachLine, reachOf } from '../freeze-reach.js';
import { createFreeze, liftFreeze, listFreezes } from '../freezes.js';
import { frozenLabel, renderFreezes } from '../render/freezes.js';
import { reasonWords } from '../words.js';

type Options = OutputOptions & ServerOptions;

interface CreateOptions extends Options {
  readonly scope: readonly Cover[];
  readonly except?: readonly Cover[];
  readonly until: string;
  readonly reason: string;
}

const COVER = 'all, or cloud, account, service, region, tag, rollout, resource: account=prod,service=dcs';

export function addFreeze(program: Command): void {
  const freeze = program
    .command('freeze')
    .description('stop submits everywhere within seconds, until an end that is said');
  const create = freeze
    .command('create')
    .description('nothing is sent to what the scope covers; what was sent is followed')
    .requiredOption('--scope <scope>', `what is frozen: ${COVER}; given again: this as well`, cover)
    .option('--except <scope>', 'what is not, although the scope covers it; given again: this as well', cover)
    .requiredOption(
      '--until <time>',
      'when it ends: 2026-12-24T18:00+01:00, or with a zone: "2026-12-24T18:00 Europe/Berlin"',
      futureInstant,
    )
    .requiredOption('--reason <text>', 'why; everybody who waits for it reads it', reasonWords)
    .action(async (options: CreateOptions) => {
      await withClient(options, async (client) => {
        const { scope, except = [], until, reason } = options;
        const created = await createFreeze(client, { scope, except, until }, { actor: actor(), reason });
        if (options.output === 'json')
          printJson({ version: 1, freeze: created, reach: await reachOf(client, created) });
        else {
          print(created.id);
          say(
            `frozen until ${created.until}: ${frozenLabel(created)}; somebody else may lift it: ${signedCommand('freeze', 'lift', created.id)}`,
          );
          say(reachLine(await reachOf(client, created)));
        }
      });
    });
  const list = freeze
    .command('list')
    .description('the freezes that hold')
    .option('--all', 'also those that have ended in the last 90 days')
    .action(async (options: Options & { all?: true }) => {
      await withClient(options, async (client) => {
        const freezes = await listFreezes(client, { all: options.all === true });
        if (options.output === 'json') {
          printJson({ version: 1, freezes: freezes.map((one) => ({ ...one, holds: isActive(one, Date.now()) })) });
        } else if (freezes.length === 0) say('nothing is frozen');
        else print(renderFreezes(freezes, stdoutWidth(), Date.now(), stdoutPaint()));
      });
    });
  const lift = freeze
    .command('lift')
    .argument('<id>', "freeze's id")
    .description('end a freeze early; it takes another person than the one who created it')
    .requiredOption('--reason <text>', 'why; it stands in the ledger and the report', reasonWords)
    .action(async (id: string, options: Options & { reason: string }) => {
      await withClient(options, async (client) => {
        const lifted = await liftFreeze(client, id, { actor: actor(), reason: options.reason });
        if (options.output === 'json') printJson({ version: 1, freeze: lifted });
        else say(`${id} is lifted: what it held goes on`);
      });
    });
  for (const command of [create, list, lift]) withOutputOption(withServerOptions(command));
}

/** For commander; given several times, they are alternatives. */
function cover(text: string, before: readonly Cover[] = []): readonly Cover[] {
  try {
    return [...before, parseCover(text)];
  } catch (error) {
    if (error instanceof RangeError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

/** For commander: ISO 8601, UTC. */
function futureInstant(text: string): string {
  const told = instantOf(text);
  if (typeof told !== 'number') throw new InvalidArgumentError(`${told.message}: ${told.remedy}.`);
  if (told <= Date.now()) throw new InvalidArgumentError(`It is in the past: ${new Date(told).toISOString()}.`);
  return new Date(told).toISOString();
}
