import type { Command } from 'commander';
import { CLOUD_APIS } from '../../activities/clouds/index.js';
import { readSource } from '../../plan/source.js';
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
import {
  hasChanges,
  preparePlan,
  type PreparedPlan,
  type PreparedTarget,
  refusals,
  resolvePlan,
} from '../../activities/planner.js';
import { forecastPlan, forecastProblems } from '../forecast.js';
import { learnedIfAny } from '../learned.js';
import { errorLines } from '../errors.js';
import { planJson, renderPlan } from '../render/plan.js';
import { InputError } from '../../plan/errors.js';
import { type Freeze, freezeOf, isActive } from '../../workflows/contracts/freezes.js';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import type { Quarantine } from '../../workflows/contracts/quarantine.js';
import { type Held, heldBy, type KeptBack } from '../views.js';

export function addPlan(program: Command): void {
  const command = program
    .command('plan')
    .argument('<plan>', 'plan file')
    .description(
      'read every resource, run every precheck and list each call that would change something; changes nothing',
    )
    // Exit code 1 when something blocks, 2 when something would change, 0 when everything is at its target.
    .action(async (file: string, options: AccountsOptions & OutputOptions & ServerOptions) => {
      const prepared = await prepareFrom(file, options.accounts);
      const { learned, why } = await learnedIfAny(options);
      const forecast = forecastPlan(prepared, learned, Date.now());
      const quarantined = quarantinedNow(prepared, learned.quarantine);
      const problems = [...refusals(prepared, quarantined), ...forecastProblems(prepared, forecast)];
      if (why !== null) say(`note: the forecast knows no learned durations, freezes or quarantine: ${why}`);
      if (problems.length > 0) errorLines(new InputError(problems)).forEach(say);
      const kept: KeptBack = { freezes: heldNow(prepared, learned.freezes), quarantined };
      if (options.output === 'json') printJson(planJson(prepared, forecast, kept));
      else print(renderPlan(prepared, stdoutWidth(), stdoutPaint(), forecast, kept));
      process.exitCode = problems.length > 0 ? EXIT.error : hasChanges(prepared) ? EXIT.changes : EXIT.done;
    });
  withOutputOption(withServerOptions(withAccountsOption(command)));
}

/** @throws InputError for a file that cannot be used */
export async function prepareFrom(file: string, accountsFile: string): Promise<PreparedPlan> {
  return withClouds(accountsFile, async (clouds) => {
    const reading = { ...clouds, apis: CLOUD_APIS };
    const plan = await resolvePlan(readSource(file), reading);
    plan.notes.forEach((note) => say(`note: ${note}`));
    return preparePlan({ ...reading, plan });
  });
}

/** What freezes would keep from starting now. */
function heldNow({ plan, waves }: PreparedPlan, freezes: readonly Freeze[]): readonly Held[] {
  const holding = freezes.filter((freeze) => isActive(freeze, Date.now()));
  return heldBy(
    openTargets(waves).map(({ resource, tags }) => freezeOf(holding, { resource, rollout: plan.rollout, tags })),
  );
}

/** What its rollout would leave out, since it keeps failing. */
export function quarantinedNow({ plan, waves }: PreparedPlan, known: Quarantine): KeptBack['quarantined'] {
  const { quarantineAfter: after } = plan;
  if (after === null) return [];
  return openTargets(waves).flatMap(({ resource }) => {
    const workflowId = upgradeWorkflowId(resource);
    const failing = known[workflowId];
    return failing === undefined || failing.failures < after ? [] : [{ resource: resource.id, workflowId, failing }];
  });
}

function openTargets(waves: PreparedPlan['waves']): readonly PreparedTarget[] {
  return waves.flatMap(({ targets }) => targets).filter(({ verdict }) => verdict !== 'no-change');
}
