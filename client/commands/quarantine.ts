import type { Command } from 'commander';
import { signedCommand } from '../../workflows/contracts/commands.js';
import { actor } from '../actor.js';
import {
  type OutputOptions,
  print,
  printJson,
  say,
  type ServerOptions,
  stdoutPaint,
  stdoutWidth,
  withClient,
  withOutputOption,
  withServerOptions,
} from '../context.js';
import { listQuarantine, releaseFromQuarantine } from '../quarantine.js';
import { renderQuarantine } from '../render/quarantine.js';
import { reasonWords } from '../words.js';

type Options = OutputOptions & ServerOptions;

export function addQuarantine(program: Command): void {
  const quarantine = program.command('quarantine').description('resources whose upgrades keep failing');
  const list = quarantine
    .command('list')
    .description('those whose latest upgrades failed, and how often in a row')
    .option('--all', 'also those that people released')
    .action(async (options: Options & { all?: true }) => {
      await withClient(options, async (client) => {
        const rows = await listQuarantine(client, { all: options.all === true });
        if (options.output === 'json') printJson({ version: 1, resources: rows });
        else if (rows.length === 0) say('nothing keeps failing');
        else print(renderQuarantine(rows, stdoutWidth(), Date.now(), stdoutPaint()));
      });
    });
  const release = quarantine
    .command('release')
    .argument('<resource>', "resource's id, or the id of its upgrade as the list has it")
    .description('let it be tried again: rollouts leave it out until then')
    .requiredOption('--reason <text>', 'why; it stands in the ledger', reasonWords)
    .action(async (resource: string, options: Options & { reason: string }) => {
      await withClient(options, async (client) => {
        const { reason } = options;
        const released = await releaseFromQuarantine(client, resource, { actor: actor(), reason });
        if (options.output === 'json') printJson({ version: 1, resource: released });
        else
          say(
            `${released.workflowId} may be tried again: by the next rollout, or \`${signedCommand('retry', 'ROLLOUT')}\``,
          );
      });
    });
  for (const command of [list, release]) withOutputOption(withServerOptions(command));
}
