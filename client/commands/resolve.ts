import { actor } from '../actor.js';
import { type Command, Option } from 'commander';
import {
  type OutputOptions,
  printJson,
  say,
  type ServerOptions,
  withClient,
  withOutputOption,
  withServerOptions,
} from '../context.js';
import { EXIT } from '../exit-codes.js';
import { reasonWords } from '../words.js';
import { resolveUpgrade, runningUpgrade } from '../upgrades.js';
import type { Resolution } from '../../workflows/contracts/upgrade.js';

interface ResolveOptions extends OutputOptions, ServerOptions {
  readonly as: Resolution['as'];
  readonly reason: string;
}

export function addResolve(program: Command): void {
  const command = program
    .command('resolve')
    .argument('<resource>', "resource's id, or its upgrade's workflow id")
    .description('say how an upgrade ended that is held or overdue, when evidence cannot')
    .addOption(
      new Option('--as <end>', 'done: at its target; failed; not-submitted: nothing of ours reached the cloud')
        .choices(['done', 'failed', 'not-submitted'])
        .makeOptionMandatory(),
    )
    .requiredOption('--reason <text>', 'why you know; it stands in the history and the report', reasonWords)
    .action(async (resource: string, options: ResolveOptions) => {
      process.exitCode = await resolve(resource, options);
    });
  withOutputOption(withServerOptions(command));
}

async function resolve(resource: string, options: ResolveOptions): Promise<number> {
  return withClient(options, async (client) => {
    const workflowId = await runningUpgrade(client, resource);
    const resolution = { as: options.as, reason: options.reason, actor: actor() };
    await resolveUpgrade(client, workflowId, resolution);
    if (options.output === 'json') printJson({ version: 1, workflowId, resolution });
    else say(`${workflowId} is resolved as ${options.as}, by ${resolution.actor}`);
    return EXIT.done;
  });
}
