import type { Command } from 'commander';
import { CLOUD_APIS } from '../../activities/clouds/index.js';
import { loadAccounts, loadWebhooks } from '../../plan/accounts.js';
import { InputError } from '../../plan/errors.js';
import { planOf, selectorsOf, usesTags, type RolloutPlan } from '../../plan/plan.js';
import type { PlannedSelector } from '../../plan/selectors.js';
import { readSource } from '../../plan/source.js';
import {
  type AccountsOptions,
  type OutputOptions,
  print,
  printJson,
  say,
  withAccountsOption,
  withOutputOption,
} from '../context.js';
import { EXIT } from '../exit-codes.js';
import { errorLines } from '../errors.js';
import { count } from '../render/text.js';

export function addValidate(program: Command): void {
  const command = program
    .command('validate')
    .argument('<plan>', 'plan file')
    .description('check a plan and its accounts file; reads no cloud')
    .action((file: string, options: AccountsOptions & OutputOptions) => {
      process.exitCode = validate(file, options);
    });
  withOutputOption(withAccountsOption(command));
}

function validate(file: string, { accounts, output }: AccountsOptions & OutputOptions): number {
  let selectors: PlannedSelector[];
  let plan: RolloutPlan | null;
  try {
    const webhooks = [...loadWebhooks(accounts, CLOUD_APIS).keys()];
    const context = { apis: CLOUD_APIS, accounts: loadAccounts(accounts, CLOUD_APIS), webhooks };
    const source = readSource(file);
    selectors = selectorsOf(source, context);
    plan = selectors.length > 0 || usesTags(source) ? null : planOf(source, context);
  } catch (error) {
    if (!(error instanceof InputError) || output === 'table') throw error;
    errorLines(error).forEach(say);
    printJson({ version: 1, valid: false, problems: error.problems });
    return EXIT.error;
  }
  if (plan === null) {
    const places = selectors.map(({ place, api, account }) => ({
      line: place.line,
      path: place.path,
      service: api.service,
      account: account.name,
    }));
    if (output === 'json') printJson({ version: 1, valid: true, selectors: places });
    else {
      const many = places.length === 0 ? 'tags' : count(places.length, 'selector');
      const choose = places.length === 1 ? 'chooses' : 'choose';
      print(`${file} is valid in its form; what its ${many} ${choose}, and so the waves, \`uplift plan\` reads`);
    }
    return EXIT.done;
  }
  const waves = plan.waves.map(({ name, targets, concurrency, effective }) => ({
    name,
    resources: targets.length,
    concurrency,
    effective,
  }));
  const resources = waves.reduce((sum, wave) => sum + wave.resources, 0);
  if (output === 'json') {
    const { rollout, digest, budget, budgetShown, notes } = plan;
    printJson({
      version: 1,
      valid: true,
      selectors: [],
      rollout,
      digest,
      resources,
      waves,
      budget,
      budgetShown,
      notes,
    });
  } else {
    plan.notes.forEach((note) => say(`note: ${note}`));
    print(
      `${file} is valid: rollout ${plan.rollout}, ${count(resources, 'resource')} in ${count(waves.length, 'wave')}, failure budget ${plan.budgetShown}`,
    );
  }
  return EXIT.done;
}
