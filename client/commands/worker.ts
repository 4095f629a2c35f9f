import { type Command, InvalidArgumentError } from 'commander';
import { runWorker } from '../../worker/main.js';
import {
  type AccountsOptions,
  serverTarget,
  type ServerOptions,
  withAccountsOption,
  withServerOptions,
} from '../context.js';

export function addWorker(program: Command): void {
  const command = program
    .command('worker')
    .description('run a worker: the only process that talks to clouds; SIGTERM ends it in order')
    .option(
      '--time-scale <factor>',
      "for rehearsals, as in their plans: multiplies the accounts' pauses",
      parseScale,
      1,
    )
    .action(async (options: AccountsOptions & ServerOptions & { readonly timeScale: number }) => {
      const { accounts, timeScale } = options;
      await runWorker({ accountsFile: accounts, server: serverTarget(options), timeScale });
    });
  withServerOptions(withAccountsOption(command));
}

function parseScale(text: string): number {
  const scale = Number(text);
  if (!(scale > 0 && scale <= 1)) throw new InvalidArgumentError('Use a number above 0, and at most 1.');
  return scale;
}
