import { writeFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { print, say, type ServerOptions, withClient, withServerOptions } from '../context.js';
import { UsageError } from '../errors.js';
import { EXIT } from '../exit-codes.js';
import { renderReport } from '../render/report.js';
import { rolloutReport } from '../rows.js';

interface ReportOptions extends ServerOptions {
  readonly output: 'markdown' | 'json';
  readonly file?: string;
}

export function addReport(program: Command): void {
  const command = program
    .command('report')
    .argument('<rollout>', "rollout's id")
    .description('the whole story of a rollout: every resource, every failure with its findings, every mutating call')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['markdown', 'json']).default('markdown'))
    .option('--file <file>', 'write it to a file')
    .action(async (rollout: string, options: ReportOptions) => {
      process.exitCode = await report(rollout, options);
    });
  withServerOptions(command);
}

async function report(rollout: string, options: ReportOptions): Promise<number> {
  return withClient(options, async (client) => {
    const told = await rolloutReport(client, rollout);
    const text =
      options.output === 'json'
        ? JSON.stringify({ version: 1, rollout: told.view, resources: told.rows, results: told.results }, null, 2)
        : renderReport(told, Date.now()).trimEnd();
    if (options.file === undefined) print(text);
    else {
      await writeReport(options.file, text);
      say(`report written to ${options.file}`);
    }
    return EXIT.done;
  });
}

async function writeReport(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, `${text}\n`);
  } catch (error) {
    throw new UsageError(
      `--file: ${error instanceof Error ? error.message : String(error)} (name a file that can be written)`,
    );
  }
}
