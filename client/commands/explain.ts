import type { Command } from 'commander';
import {
  type OutputOptions,
  print,
  printJson,
  type ServerOptions,
  stdoutPaint,
  stdoutWidth,
  withClient,
  withOutputOption,
  withServerOptions,
} from '../context.js';
import { EXIT } from '../exit-codes.js';
import { explain } from '../explain.js';
import { renderCauses } from '../render/causes.js';

type ExplainOptions = OutputOptions & ServerOptions;

export function addExplain(program: Command): void {
  const command = program
    .command('explain')
    .argument('<rollout>', "rollout's id")
    .argument(
      '[resource]',
      "resource's id, or its upgrade's workflow id; without it, the rollout and everything in flight",
    )
    .description('why nothing happens: every cause that holds now, what changes it, and when')
    .action(async (rollout: string, resource: string | undefined, options: ExplainOptions) => {
      process.exitCode = await run(rollout, resource, options);
    });
  withOutputOption(withServerOptions(command));
}

async function run(rollout: string, resource: string | undefined, options: ExplainOptions): Promise<number> {
  return withClient(options, async (client) => {
    const causes = await explain(client, rollout, resource);
    if (options.output === 'json') printJson({ version: 1, rollout, causes });
    else print(renderCauses(causes, stdoutWidth(), Date.now(), stdoutPaint()));
    return EXIT.done;
  });
}
