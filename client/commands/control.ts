/** The commands by which a person steers a rollout: each with a reason, which stands in the history and the report. */
import type { Client } from '@temporalio/client';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { signedCommand } from '../../workflows/contracts/commands.js';
import type { ControlRequest } from '../../workflows/contracts/control.js';
import { actor } from '../actor.js';
import { type Acted, chooseRollouts, controlAll, exitCodeOfActs } from '../batch.js';
import {
  type OutputOptions,
  print,
  printJson,
  say,
  type ServerOptions,
  withClient,
  withOutputOption,
  withServerOptions,
} from '../context.js';
import { control, decide, type Order, setConcurrency, skip, waive } from '../control.js';
import { retry, RETRIED } from '../retry.js';
import { UsageError } from '../errors.js';
import { EXIT } from '../exit-codes.js';
import { count, moment } from '../render/text.js';
import { parseDigest, reasonWords } from '../words.js';

interface ControlOptions extends OutputOptions, ServerOptions {
  readonly reason: string;
}

interface BatchOptions {
  readonly query?: string;
  readonly dryRun?: boolean;
}

const UNHEARD = 'recorded by the server, and no worker has heard it yet: it holds once one is up (uplift worker)';

const ROLLOUT: readonly [string, string] = ['<rollout>', "rollout's id"];

const ACTS: readonly (readonly [act: ControlRequest['act'], does: string, done: string])[] = [
  ['pause', 'send nothing any more; what was sent goes on', 'is paused: nothing is sent, what was sent goes on'],
  ['resume', 'go on after a pause', 'goes on'],
  ['stop', 'send nothing any more, and end after what was sent', 'ends after what was sent'],
];

export function addControl(program: Command): void {
  for (const [act, does, done] of ACTS) {
    const command = program
      .command(act)
      .argument('[rollout]', ROLLOUT[1])
      .option('--query <filter>', 'instead of one: all running rollouts that this visibility query chooses')
      .option('--dry-run', 'with --query: only show what it chooses')
      .description(does)
      .action(async (rollout: string | undefined, options: ControlOptions & BatchOptions) => {
        process.exitCode = await withClient(options, async (client) => {
          if ((rollout === undefined) === (options.query === undefined)) {
            throw new UsageError(`say what to ${act}: a rollout, or --query FILTER`);
          }
          const order = { act, actor: actor(), reason: options.reason };
          if (rollout === undefined) return batch(client, options, order, done);
          if (options.dryRun === true) throw new UsageError('--dry-run goes with --query');
          const { requestId, heard, also } = await control(client, rollout, order);
          if (options.output === 'json') printJson({ version: 1, rollout, requestId, heard, also, ...order });
          else if (heard) say(`rollout ${rollout} ${doneWith(done, also)}`);
          else say(UNHEARD);
          return heard ? EXIT.done : EXIT.waiting;
        });
      });
    signed(command);
  }
  addDecision(program, 'approve', 'let what waits for your approval begin');
  addDecision(program, 'reject', 'say no to what waits for your approval: the rollout ends');
  addWaive(program);
  addSkip(program);
  addConcurrency(program);
  addRetry(program);
}

/** The act on each running rollout that the query chooses: what it chose on stderr, what became of it on stdout. */
async function batch(
  client: Client,
  { query = '', dryRun = false, output }: OutputOptions & BatchOptions,
  order: Order,
  done: string,
): Promise<number> {
  const chosen = await chooseRollouts(client, query);
  if (chosen.length === 0) say('--query chooses no rollout that runs: nothing to do');
  else if (!dryRun) {
    say(`--query chooses ${count(chosen.length, 'running rollout')}:`);
    for (const { rollout, startedAt } of chosen) say(`  ${rollout}  started ${moment(startedAt)}`);
  }
  const acted = dryRun ? [] : await controlAll(client, chosen, order);
  if (output === 'json') printJson({ version: 1, query, dryRun, ...order, rollouts: dryRun ? chosen : acted });
  else if (dryRun) for (const { rollout, startedAt } of chosen) print(`${rollout}  started ${moment(startedAt)}`);
  else for (const one of acted) print(`${one.rollout}  ${became(one, done)}`);
  return exitCodeOfActs(acted);
}

function doneWith(done: string, also: string | null): string {
  return also === null ? done : `${done}; ${also}`;
}

function became({ outcome, error, also }: Acted, done: string): string {
  switch (outcome) {
    case 'heard':
      return doneWith(done, also ?? null);
    case 'recorded':
      return UNHEARD;
    case 'ended':
      return 'ended before it was sent';
    case 'refused':
    case 'failed':
      return `not sent: ${error}`;
  }
}

function addDecision(program: Command, decision: 'approve' | 'reject', does: string): void {
  const command = program
    .command(decision)
    .argument(...ROLLOUT)
    .option('--wave <name>', 'this wave, also ahead of its time; otherwise what it waits for now')
    .option(
      '--digest <digits>',
      'the plan that you looked at, as `uplift plan` and `uplift status` show it',
      parseDigest,
    )
    .description(does)
    .action(async (rollout: string, options: ControlOptions & { wave?: string; digest?: string }) => {
      process.exitCode = await withClient(options, async (client) => {
        const looked = { wave: options.wave ?? null, digest: options.digest ?? null };
        return told(
          options,
          rollout,
          await decide(client, rollout, decision, looked, { actor: actor(), reason: options.reason }),
        );
      });
    });
  signed(command);
}

function addWaive(program: Command): void {
  const command = program
    .command('waive')
    .argument(...ROLLOUT)
    .option('--wave <name>', 'of this wave, also ahead of its time; otherwise the soak that runs now')
    .description("do not wait for the rest of a wave's soak")
    .action(async (rollout: string, options: ControlOptions & { wave?: string }) => {
      process.exitCode = await withClient(options, async (client) => {
        const signed = { actor: actor(), reason: options.reason };
        return told(options, rollout, await waive(client, rollout, options.wave ?? null, signed));
      });
    });
  signed(command);
}

function addSkip(program: Command): void {
  const command = program
    .command('skip')
    .argument(...ROLLOUT)
    .argument('[resource]', "resource's id; only what has not started can be skipped")
    .option('--wave <name>', 'the rest of a wave instead')
    .description('leave a resource, or the rest of a wave, out')
    .action(async (rollout: string, resource: string | undefined, options: ControlOptions & { wave?: string }) => {
      process.exitCode = await withClient(options, async (client) => {
        if ((resource === undefined) === (options.wave === undefined)) {
          throw new UsageError('say what to skip: a resource, or --wave NAME');
        }
        const what = options.wave === undefined ? { resource: resource ?? '' } : { wave: options.wave };
        return told(options, rollout, await skip(client, rollout, what, { actor: actor(), reason: options.reason }));
      });
    });
  signed(command);
}

function addConcurrency(program: Command): void {
  const command = program
    .command('concurrency')
    .argument(...ROLLOUT)
    .argument('<number>', 'the most upgrades in flight', wholeNumber)
    .option('--wave <name>', 'in this wave only; otherwise in the running one and all after it')
    .description('change how many upgrades may be in flight, while it runs')
    .action(async (rollout: string, number: number, options: ControlOptions & { wave?: string }) => {
      process.exitCode = await withClient(options, async (client) => {
        const wanted = { concurrency: number, wave: options.wave ?? null };
        const answer = await setConcurrency(client, rollout, wanted, { actor: actor(), reason: options.reason });
        return told(options, rollout, answer);
      });
    });
  signed(command);
}

function addRetry(program: Command): void {
  const command = program
    .command('retry')
    .argument(...ROLLOUT)
    .addOption(
      new Option('--only <which>', 'failed ones, or those that were skipped or never started').choices(
        Object.keys(RETRIED),
      ),
    )
    .description(
      'try again what did not go well in a rollout that has ended: same plan, same targets, a rollout of its own',
    )
    .action(async (rollout: string, options: ControlOptions & { only?: keyof typeof RETRIED }) => {
      process.exitCode = await withClient(options, async (client) => {
        const which = options.only === undefined ? (['failed', 'skipped'] as const) : [options.only];
        const started = await retry(client, rollout, which, { actor: actor(), reason: options.reason });
        if (options.output === 'json') printJson({ version: 1, ...started, retryOf: rollout });
        else {
          print(started.rollout);
          for (const { resourceId, version, planned } of started.leftOver) {
            say(`note: ${resourceId} begins at ${version}, where ${rollout} left it; the plan read ${planned}`);
          }
          for (const id of started.quarantined) {
            say(
              `note: ${id} is in quarantine and left out; \`${signedCommand('quarantine', 'release', id)}\` lets it be tried again`,
            );
          }
          const { upgrades, budgetShown, narrowed } = started;
          say(`failure budget: ${budgetShown}`);
          for (const { wave, concurrency, allowed } of narrowed) {
            say(
              `note: wave ${wave} upgrades ${allowed} at a time and not ${concurrency}: the strict budget lets no more be at risk`,
            );
          }
          say(`started: ${count(upgrades, 'resource')}; follow it by \`uplift watch ${started.rollout}\``);
        }
        return EXIT.done;
      });
    });
  signed(command);
}

function signed(command: Command): void {
  command.requiredOption('--reason <text>', 'why; it stands in the history and the report', reasonWords);
  withOutputOption(withServerOptions(command));
}

function told({ output }: OutputOptions, rollout: string, answer: string): number {
  if (output === 'json') printJson({ version: 1, rollout, answer });
  else say(answer);
  return EXIT.done;
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('Use a whole number, 1 or more.');
  return Number(text);
}
