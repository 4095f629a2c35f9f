import type { Command } from 'commander';
import { CLOUD_APIS } from '../../activities/clouds/index.js';
import { readSource } from '../../plan/source.js';
import {
  type AccountsOptions,
  type OutputOptions,
  print,
  printJson,
  say,
  stdoutPaint,
  stdoutWidth,
  withAccountsOption,
  withClouds,
  withOutputOption,
} from '../context.js';
import { EXIT } from '../exit-codes.js';
import { hasChanges, planProblems, preparePlan, type PreparedPlan, resolvePlan } from '../../activities/planner.js';
import { errorLines } from '../errors.js';
import { planJson, renderPlan } from '../render/plan.js';
import { InputError } from '../../plan/errors.js';

export function addPlan(program: Command): void {
  const command = program
    .command('plan')
    .argument('<plan>', 'plan file')
    .description(
      'read every resource, run every precheck and list each call that would change something; changes nothing',
    )
    .action(async (file: string, options: AccountsOptions & OutputOptions) => {
      const prepared = await prepare(file, options.accounts);
      if (options.output === 'json') printJson(planJson(prepared));
      else print(renderPlan(prepared, stdoutWidth(), stdoutPaint()));
      process.exitCode = exitCodeOfPlan(prepared);
    });
  withOutputOption(withAccountsOption(command));
}

/**
 * Loads, reads and checks a plan. What blocks it is told on stderr, with its place in the file.
 *
 * @throws InputError for a file that cannot be used
 */
async function prepare(file: string, accountsFile: string): Promise<PreparedPlan> {
  const prepared = await prepareFrom(file, accountsFile);
  const problems = planProblems(prepared, ['error', 'blocked']);
  if (problems.length > 0) errorLines(new InputError(problems)).forEach(say);
  return prepared;
}

/** @throws InputError for a file that cannot be used */
export async function prepareFrom(file: string, accountsFile: string): Promise<PreparedPlan> {
  return withClouds(accountsFile, async ({ accounts, sessions }) => {
    const reading = { accounts, sessions, apis: CLOUD_APIS };
    const plan = await resolvePlan(readSource(file), reading);
    plan.notes.forEach((note) => say(`note: ${note}`));
    return preparePlan({ ...reading, plan });
  });
}

/** 1 when something blocks, 2 when something would change, 0 when everything is at its target. */
function exitCodeOfPlan(prepared: PreparedPlan): number {
  if (prepared.counts.error + prepared.counts.blocked > 0) return EXIT.error;
  return hasChanges(prepared) ? EXIT.changes : EXIT.done;
}
