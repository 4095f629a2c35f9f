/** `uplift schedule …`: recurring rollouts. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { CLOUD_APIS } from '../../activities/clouds/index.js';
import { preparePlan, resolvePlan, toRolloutInput } from '../../activities/planner.js';
import { parseSource, readSource, type Source } from '../../plan/source.js';
import { actor } from '../actor.js';
import { withClouds } from '../clouds.js';
import {
  type AccountsOptions,
  type OutputOptions,
  parseDuration,
  print,
  printJson,
  say,
  type ServerOptions,
  stdoutPaint,
  stdoutWidth,
  withAccountsOption,
  withClient,
  withOutputOption,
  withServerOptions,
} from '../context.js';
import { EXIT } from '../exit-codes.js';
import { renderSchedule, renderSchedules, runLine } from '../render/schedule.js';
import { count } from '../render/text.js';
import {
  createSchedule,
  deleteSchedule,
  describeSchedule,
  listSchedules,
  pauseSchedule,
  resumeSchedule,
  scheduleInput,
  scheduleOf,
  type ScheduleRun,
  type ScheduleView,
  type ScheduleWish,
  triggerSchedule,
  updateSchedule,
} from '../schedules.js';
import { reasonWords } from '../words.js';

type Common = OutputOptions & ServerOptions;

interface WishOptions extends Common, AccountsOptions {
  readonly window?: readonly string[];
  readonly lead?: number;
  readonly jitter?: number;
  readonly catchUp?: number;
  readonly pauseOnFailure?: boolean;
}

const NAME: readonly [string, string] = ['<name>', "schedule's name"];
/** How long a trigger waits to see what comes of it. */
const SEEN_WITHIN_MS = 60_000;

export function addSchedule(program: Command): void {
  const schedule = program
    .command('schedule')
    .description('recurring rollouts: one for each opening of the plan’s windows, created ahead of it');
  addCreate(schedule);
  addUpdate(schedule);
  addReads(schedule);
  addActs(schedule);
}

function addCreate(schedule: Command): void {
  const command = schedule
    .command('create')
    .argument('<name>', 'lower-case letters, digits and hyphens', parseName)
    .argument('<plan>', 'plan file, kept by the schedule; its selectors are resolved anew for each rollout')
    .option('--paused', 'create nothing until it is resumed')
    .description('create a rollout for each opening from now on')
    .action(async (name: string, file: string, options: WishOptions & { paused?: true }) => {
      const source = readSource(file);
      const made = scheduleOf(name, source, { ...wishOf(options), startedBy: actor() });
      await mustBePlannable(source, options.accounts);
      process.exitCode = await withClient(options, async (client) => {
        await createSchedule(client, made, { paused: options.paused === true });
        return show(options, await describeSchedule(client, name));
      });
    });
  withWish(command);
}

function addUpdate(schedule: Command): void {
  const command = schedule
    .command('update')
    .argument(...NAME)
    .option('--plan <file>', 'take the plan, and its .ics files, as they are now')
    .option('--no-pause-on-failure', 'go on after a rollout that failed')
    .description('change it from now on; a rollout that it has created goes on as it was')
    .action(async (name: string, options: WishOptions & { plan?: string }) => {
      process.exitCode = await withClient(options, async (client) => {
        const planned = options.plan === undefined ? null : readSource(options.plan);
        const change = ({ input, catchUpMs }: ReturnType<typeof scheduleOf>) => {
          const { file, text, files } = input.plan;
          const { windows, leadMs, jitterMs, pauseOnFailure } = input;
          // Another plan opens otherwise: how long it may be ahead or late is found anew.
          const times = planned === null ? { leadMs, catchUpMs } : {};
          const kept = { windows, jitterMs, pauseOnFailure, ...times, ...wishOf(options) };
          return scheduleOf(name, planned ?? parseSource(text, file, files), { ...kept, startedBy: actor() });
        };
        if (planned !== null) {
          change(await scheduleInput(client, name));
          await mustBePlannable(planned, options.accounts);
        }
        await updateSchedule(client, name, change);
        return show(options, await describeSchedule(client, name));
      });
    });
  withWish(command);
}

function addReads(schedule: Command): void {
  const list = schedule
    .command('list')
    .description('all schedules, with what each creates next and what came of its last run')
    .action(async (options: Common) => {
      process.exitCode = await withClient(options, async (client) => {
        const schedules = await listSchedules(client);
        if (options.output === 'json') printJson({ version: 1, schedules });
        else if (schedules.length === 0) say('there is no schedule yet: `uplift schedule create NAME PLAN` makes one');
        else print(renderSchedules(schedules, stdoutWidth(), stdoutPaint()));
        return EXIT.done;
      });
    });
  withOutputOption(withServerOptions(list));

  const describe = schedule
    .command('describe')
    .argument(...NAME)
    .option('--next <count>', 'so many occurrences', parseCount, 10)
    .description('its next occurrences, its runs, and why one was skipped')
    .action(async (name: string, options: Common & { next: number }) => {
      process.exitCode = await withClient(options, async (client) =>
        show(options, await describeSchedule(client, name, options.next)),
      );
    });
  withOutputOption(withServerOptions(describe));
}

function addActs(schedule: Command): void {
  const acts = [
    ['pause', 'create nothing until it is resumed', pauseSchedule, 'is paused'],
    ['resume', 'go on with the openings that are still to come', resumeSchedule, 'goes on'],
  ] as const;
  for (const [act, does, apply, done] of acts) {
    const command = schedule
      .command(act)
      .argument(...NAME)
      .requiredOption('--reason <text>', 'why; it stands in the schedule', reasonWords)
      .description(does)
      .action(async (name: string, options: Common & { reason: string }) => {
        process.exitCode = await withClient(options, async (client) => {
          await apply(client, name, `${act === 'pause' ? '' : 'resumed '}by ${actor()}: ${options.reason}`);
          return told(options, name, act, `schedule ${name} ${done}`);
        });
      });
    withOutputOption(withServerOptions(command));
  }
  const trigger = schedule
    .command('trigger')
    .argument(...NAME)
    .description('run it now, for the opening that is open or comes next')
    .action(async (name: string, options: Common) => {
      process.exitCode = await triggerAndSee(name, options);
    });
  withOutputOption(withServerOptions(trigger));
  const remove = schedule
    .command('delete')
    .argument(...NAME)
    .description('create no more rollouts; those that it has created go on')
    .action(async (name: string, options: Common) => {
      process.exitCode = await withClient(options, async (client) => {
        await deleteSchedule(client, name);
        return told(options, name, 'delete', `schedule ${name} is deleted; rollouts that it has created go on`);
      });
    });
  withOutputOption(withServerOptions(remove));
}

/** Runs it, and waits a while to say what comes of it. */
async function triggerAndSee(name: string, options: Common): Promise<number> {
  return withClient(options, async (client) => {
    const look = await triggerSchedule(client, name, actor());
    for (const until = Date.now() + SEEN_WITHIN_MS; Date.now() < until; await delay(500)) {
      const run = await look();
      if (run.state === 'Planning') continue;
      if (options.output === 'json') printJson({ version: 1, schedule: name, run });
      else say(runLine(run));
      return exitCodeOfRun(run);
    }
    say(
      `triggered; nothing has come of it yet (\`uplift schedule describe ${name}\` shows it, \`uplift doctor\` the workers)`,
    );
    return EXIT.waiting;
  });
}

function exitCodeOfRun({ state }: ScheduleRun): number {
  if (state === 'Skipped') return EXIT.conflict;
  return state === 'Missed' || state === 'Failed' ? EXIT.error : EXIT.done;
}

/**
 * Resolves and prechecks it as each run of the schedule will, so that what is wrong is seen by who makes it.
 *
 * @throws InputError
 */
async function mustBePlannable(source: Source, accountsFile: string): Promise<void> {
  await withClouds(accountsFile, async (clouds) => {
    const reading = { ...clouds, apis: CLOUD_APIS, mayBeEmpty: true };
    const plan = await resolvePlan(source, reading);
    const prepared = await preparePlan({ ...reading, plan });
    toRolloutInput(prepared, { startedBy: actor() });
    const { upgrade, running, busy, blocked } = prepared.counts;
    say(`now it would upgrade ${count(upgrade + running + busy, 'resource')}; each run chooses anew`);
    if (blocked > 0)
      say(`note: ${count(blocked, 'resource')} could not be upgraded as they are now (\`uplift plan\` says why)`);
  });
}

function show(options: Common, view: ScheduleView): number {
  if (options.output === 'json') printJson({ version: 1, schedule: view });
  else print(renderSchedule(view, stdoutWidth(), stdoutPaint()));
  return EXIT.done;
}

function told({ output }: OutputOptions, schedule: string, act: string, line: string): number {
  if (output === 'json') printJson({ version: 1, schedule, act });
  else say(line);
  return EXIT.done;
}

function withWish(command: Command): void {
  command
    .option(
      '--window <name>',
      'only the openings of this window; may be given several times',
      (name, all: readonly string[] | undefined) => [...(all ?? []), name],
    )
    .option('--lead <duration>', 'how long before an opening its rollout is created (default: 24h)', parseDuration)
    .option('--jitter <duration>', 'so much later at most, by chance', parseDuration)
    .option(
      '--catch-up <duration>',
      'how late one may still be created after an outage (default: an opening)',
      parseDuration,
    )
    .option('--pause-on-failure', 'pause the schedule when a rollout fails or cannot be created');
  withOutputOption(withServerOptions(withAccountsOption(command)));
}

function wishOf({ window, lead, jitter, catchUp, pauseOnFailure }: WishOptions): ScheduleWish {
  return {
    ...(window === undefined ? {} : { windows: window }),
    ...(lead === undefined ? {} : { leadMs: lead }),
    ...(jitter === undefined ? {} : { jitterMs: jitter }),
    ...(catchUp === undefined ? {} : { catchUpMs: catchUp }),
    ...(pauseOnFailure === undefined ? {} : { pauseOnFailure }),
  };
}

function parseName(text: string): string {
  if (/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError('Use lower-case letters, digits and hyphens inside, at most 40.');
}

function parseCount(text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < 1 || number > 100) throw new InvalidArgumentError('Use a number from 1 to 100.');
  return number;
}
