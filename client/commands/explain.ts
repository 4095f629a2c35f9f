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
import { renderTable } from '../render/table.js';
import { duration, moment } from '../render/text.js';

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
    else {
      const columns = [
        { head: 'who', id: true },
        { head: 'why', wraps: true },
        { head: 'changes by', wraps: true },
        { head: 'at' },
      ];
      const cells = causes.map(({ who, what, nextAt, changes }) => [who, what, changes, when(nextAt, Date.now())]);
      print(renderTable(columns, cells, stdoutWidth(), stdoutPaint()));
    }
    return EXIT.done;
  });
}

function when(nextAt: string | null, now: number): string {
  if (nextAt === null) return '';
  return `${moment(nextAt)} (in ${duration(Date.parse(nextAt) - now)})`;
}
