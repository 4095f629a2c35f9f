import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { DEFAULT_PORT } from '../../temporal/connection.js';
import { resolveTemporal } from '../../temporal/resolve.js';
import { DEFAULT_UI_PORT } from '../../temporal/dev-server.js';
import { assertPortFree } from '../../temporal/ports.js';
import { parsePort, say } from '../context.js';
import { UsageError } from '../errors.js';
import { startStack, type Stack } from '../stack.js';
import { DEFAULT_SIMULATOR_PORT } from './simulator.js';

interface DevOptions {
  readonly accounts?: string;
  readonly simulator: boolean;
  readonly directory: string;
  readonly port: number;
  readonly uiPort: number;
  readonly simulatorPort: number;
}

export function addDev(program: Command): void {
  program
    .command('dev')
    .description(
      'everything on this machine: Temporal with its UI, the simulated clouds, a worker; Ctrl-C ends all in order',
    )
    .addOption(
      new Option('--accounts <file>', 'accounts file (default: that of the simulated clouds)').env('UPLIFT_ACCOUNTS'),
    )
    .option('--no-simulator', 'without the simulated clouds; needs --accounts')
    .option('--directory <folder>', 'holds the database and the logs', '.uplift')
    .option('--port <port>', "Temporal's port, 0 is any free one", parsePort, DEFAULT_PORT)
    .option('--ui-port <port>', "its UI's port, 0 is any free one", parsePort, DEFAULT_UI_PORT)
    .option('--simulator-port <port>', "the simulator's port", parsePort, DEFAULT_SIMULATOR_PORT)
    .action(dev);
}

async function dev(options: DevOptions): Promise<void> {
  const { directory, simulatorPort, simulator } = options;
  if (!simulator && options.accounts === undefined) {
    throw new UsageError('--no-simulator leaves the worker without accounts (name a file by --accounts)');
  }
  if (options.accounts !== undefined && !existsSync(options.accounts)) {
    throw new UsageError(`${options.accounts}: there is no such accounts file (correct --accounts or UPLIFT_ACCOUNTS)`);
  }
  const rehearsal = join(directory, 'simulator');
  const accountsFile = options.accounts ?? join(rehearsal, 'accounts.yaml');
  if (simulator) await assertPortFree(simulatorPort, 'the simulator');

  // From here on Ctrl-C is ours: whatever has started by then is ended in order.
  const asked = new Promise<void>((resolve) => {
    process.once('SIGINT', resolve).once('SIGTERM', resolve);
    // A closed terminal: its processes are not in our group, so they would be left behind.
    process.once('SIGHUP', resolve);
  });
  const temporal = await Promise.race([resolveTemporal({ report: say }), asked.then(() => null)]);
  if (temporal === null) process.exit();
  const stack = await startStack({
    temporal,
    directory,
    accountsFile,
    port: options.port,
    uiPort: options.uiPort,
    ...(simulator ? { simulator: ['--directory', rehearsal, '--port', String(simulatorPort)] } : {}),
    // Real accounts: a power cut must not take an acknowledged submit back.
    durability: options.accounts === undefined ? 'normal' : 'full',
    env: process.env,
    report: say,
  });
  tell(stack, directory, options.accounts === undefined ? rehearsal : null);
  await asked;
  say('\nending: worker, simulator, server');
  await stack.stop();
  say('ended; the next `uplift dev` goes on where this one stopped');
}

function tell(stack: Stack, directory: string, rehearsal: string | null): void {
  const pids = stack.pids();
  say(`Temporal   ${stack.server.address}${pids.temporal === null ? '' : `  pid ${pids.temporal}`}`);
  if (stack.uiUrl !== null) say(`UI         ${stack.uiUrl}`);
  say(`worker     pid ${pids.workers.join(', ')}, log ${join(directory, 'worker.log')}`);
  if (pids.simulator !== null) say(`simulator  pid ${pids.simulator}, log ${join(directory, 'simulator.log')}`);
  if (rehearsal !== null) {
    const server = stack.server.address.endsWith(`:${DEFAULT_PORT}`) ? '' : ` --address ${stack.server.address}`;
    say(`\ntry, in another terminal:`);
    say(
      `  uplift apply ${join(rehearsal, 'rollout.yaml')} --accounts ${join(rehearsal, 'accounts.yaml')}${server} --watch`,
    );
  }
  say('\nCtrl-C ends everything in order.');
}
