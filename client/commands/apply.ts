import type { Command } from 'commander';
import { InputError } from '../../plan/errors.js';
import { actor } from '../actor.js';
import { endOfId } from '../../workflows/contracts/ids.js';
import { quarantineLabel } from '../../workflows/contracts/quarantine.js';
import { sizeOf } from '../../workflows/contracts/rollout.js';
import {
  type AccountsOptions,
  type OutputOptions,
  parseDuration,
  print,
  printJson,
  say,
  type ServerOptions,
  withAccountsOption,
  withClient,
  withOutputOption,
  withServerOptions,
} from '../context.js';
import { ChangedPlanError } from '../errors.js';
import { EXIT } from '../exit-codes.js';
import { hasChanges, planProblems, type PreparedPlan, refusals, toRolloutInput } from '../../activities/planner.js';
import { forecastPlan, forecastProblems } from '../forecast.js';
import { learnedIfAny, readLearned } from '../learned.js';
import { count, oneLine } from '../render/text.js';
import { type EndedRun, latestEnd, startRollout } from '../rollouts.js';
import { rolloutPage, uiBase } from '../ui.js';
import { parseDigest } from '../words.js';
import { prepareFrom, quarantinedNow } from './plan.js';
import { watch } from './watch.js';

interface ApplyOptions extends AccountsOptions, OutputOptions, ServerOptions {
  readonly watch?: true;
  readonly timeout?: number;
  readonly digest?: string;
}

export function addApply(program: Command): void {
  const command = program
    .command('apply')
    .argument('<plan>', 'plan file')
    .description('plan, and start the rollout; refuses when anything is wrong or blocked')
    .option(
      '--digest <digest>',
      'only what `uplift plan` showed under this digest; exit code 6 for anything else',
      parseDigest,
    )
    .option('--watch', 'follow it to its end; Ctrl-C leaves, the rollout goes on')
    .option('--timeout <duration>', 'with --watch: leave after this time, exit code 124', parseDuration)
    .action(async (file: string, options: ApplyOptions) => {
      process.exitCode = await apply(file, options);
    });
  withOutputOption(withServerOptions(withAccountsOption(command)));
}

async function apply(file: string, options: ApplyOptions): Promise<number> {
  const prepared = await prepareFrom(file, options.accounts);
  await refuseBlocked(prepared, options);
  const { rollout } = prepared.plan;
  if (options.digest !== undefined && !prepared.digest.startsWith(options.digest)) {
    throw new ChangedPlanError(file, options.digest, prepared.digest);
  }
  if (!hasChanges(prepared)) {
    if (options.output === 'json') printJson({ version: 1, rollout, started: false });
    else print(`nothing to do: every resource of ${rollout} is at its target`);
    return EXIT.done;
  }

  return withClient(options, async (client, target) => {
    const learned = await readLearned(client);
    for (const { resource, failing } of quarantinedNow(prepared, learned.quarantine)) {
      say(`note: ${resource} is left out: ${quarantineLabel(failing)}`);
    }
    const unfit = forecastProblems(prepared, forecastPlan(prepared, learned, Date.now()));
    if (unfit.length > 0) throw new InputError(unfit);
    const input = toRolloutInput(prepared, { startedBy: actor(), learned: learned.durations });
    const before = await latestEnd(client, rollout);
    const started = await startRollout(client, input);
    if (before !== null)
      say(`note: this plan ran before: ${endLabel(before)} (\`${reportCommand(rollout, before)}\` tells of it)`);
    const base = await uiBase(target, process.env);
    const page = base === null ? null : rolloutPage(base, target.namespace, started);
    if (options.watch === true) {
      say(`started ${rollout}`);
      return watch(client, rollout, { ...options, ui: page });
    }
    if (options.output === 'json') printJson({ version: 1, ...started, started: true, ui: page });
    else {
      const resources = input.waves.reduce((sum, wave) => sum + sizeOf(wave), 0);
      print(rollout);
      if (page !== null) print(page);
      say(
        `started: ${count(resources, 'resource')} in ${count(input.waves.length, 'wave')}; follow it by \`uplift watch ${rollout}\``,
      );
    }
    return EXIT.done;
  });
}

function reportCommand(rollout: string, { runId }: EndedRun): string {
  return `uplift report ${rollout} --run ${endOfId(runId)}`;
}

/** `Rejected by ben at 2026-11-23T18:00:00.000Z: too early` */
function endLabel({ state, endedAt, rejection }: EndedRun): string {
  return rejection === null
    ? `${state} at ${endedAt}`
    : `${state} by ${rejection.actor} at ${endedAt}: ${oneLine(rejection.reason)}`;
}

/** @throws InputError with whatever is wrong or blocked, but for what is left out anyway */
async function refuseBlocked(prepared: PreparedPlan, options: ServerOptions): Promise<void> {
  if (planProblems(prepared, ['error', 'blocked']).length === 0) return;
  // Without a server nothing is in quarantine, and nothing could be started either.
  const { learned } = await learnedIfAny(options);
  const problems = refusals(prepared, quarantinedNow(prepared, learned.quarantine));
  if (problems.length > 0) throw new InputError(problems);
}
