import { type Command, InvalidArgumentError } from 'commander';
import { CLOUD_APIS } from '../../activities/clouds/index.js';
import { instantOf } from '../../calendar/forms.js';
import { readSource } from '../../plan/source.js';
import { calendarViews } from '../calendars.js';
import { withClouds } from '../clouds.js';
import {
  type AccountsOptions,
  type OutputOptions,
  print,
  printJson,
  say,
  type ServerOptions,
  stdoutPaint,
  stdoutWidth,
  withAccountsOption,
  withOutputOption,
  withServerOptions,
} from '../context.js';
import { EXIT } from '../exit-codes.js';
import { learnedIfAny } from '../learned.js';
import { resolvePlan } from '../../activities/planner.js';
import { renderCalendar } from '../render/calendar.js';

interface CalendarOptions extends AccountsOptions, OutputOptions, ServerOptions {
  readonly at?: number;
  readonly next: number;
}

const NEXT = 5;

export function addCalendar(program: Command): void {
  const command = program
    .command('calendar')
    .argument('<plan>', 'plan file')
    .description('what is open, since and until when, why not, and the next openings')
    .option('--at <time>', 'at another time than now: 2026-12-01T22:00+01:00', parseInstant)
    .option('--next <count>', 'so many openings', parseCount, NEXT)
    .action(async (file: string, options: CalendarOptions) => {
      process.exitCode = await calendar(file, options);
    });
  withOutputOption(withServerOptions(withAccountsOption(command)));
}

/** Exit code 5 while anything is shut. */
async function calendar(file: string, options: CalendarOptions) {
  const { accounts: accountsFile, at = Date.now(), next, output } = options;
  const plan = await withClouds(accountsFile, ({ accounts, sessions }) =>
    resolvePlan(readSource(file), { accounts, sessions, apis: CLOUD_APIS, mayBeOver: true }),
  );
  const { learned, why } = await learnedIfAny(options);
  if (why !== null) say(`note: freezes are not known: ${why}`);
  const views = calendarViews(plan, at, next, learned.freezes);
  if (output === 'json') {
    const calendars = views.map(({ title, zone, state, openings, notes }) => ({
      for: title,
      zone,
      ...state,
      openings,
      notes,
    }));
    printJson({ version: 1, rollout: plan.rollout, calendars });
  } else {
    print(
      views.length === 0
        ? 'no windows, no blackouts and no freeze: open at any time'
        : renderCalendar(views, stdoutWidth(), stdoutPaint()),
    );
  }
  return views.every(({ state }) => state.open) ? EXIT.done : EXIT.waiting;
}

function parseInstant(text: string): number {
  const told = instantOf(text);
  if (typeof told !== 'number') throw new InvalidArgumentError(`${told.message}: ${told.remedy}.`);
  return told;
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > 100) throw new InvalidArgumentError('Use a number from 1 to 100.');
  return count;
}
