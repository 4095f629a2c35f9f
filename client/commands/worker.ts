import type { Command } from 'commander';
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
    .action(async (options: AccountsOptions & ServerOptions) => {
      await runWorker({ accountsFile: options.accounts, server: serverTarget(options) });
    });
  withServerOptions(withAccountsOption(command));
}
