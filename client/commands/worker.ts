import { type Command, InvalidArgumentError } from 'commander';
import { addVersions } from './worker-versions.js';
import {
  type AccountsOptions,
  serverTarget,
  type ServerOptions,
  withAccountsOption,
  withServerOptions,
} from '../context.js';

interface WorkerOptions {
  readonly timeScale: number;
  readonly name?: string;
}

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
    .option(
      '--name <name>',
      'what the server and other workers know it by; not two at the same time (default: pid@host)',
    )
    .action(async (options: AccountsOptions & ServerOptions & WorkerOptions) => {
      const { accounts, timeScale, name } = options;
      // Half of what all commands together load.
      const { runWorker } = await import('../../worker/main.js');
      await runWorker({
        accountsFile: accounts,
        server: serverTarget(options),
        timeScale,
        ...(name === undefined ? {} : { name }),
      });
    });
  withServerOptions(withAccountsOption(command));
  addVersions(command);
}

function parseScale(text: string): number {
  const scale = Number(text);
  if (!(scale > 0 && scale <= 1)) throw new InvalidArgumentError('Use a number above 0, and at most 1.');
  return scale;
}
