import { writeFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { print, say, type ServerOptions, withClient, withRunOption, withServerOptions } from '../context.js';
import { UsageError } from '../errors.js';
import { EXIT } from '../exit-codes.js';
import { renderHtmlReport } from '../render/report-html.js';
import { renderReport } from '../render/report.js';
import { rolloutReport } from '../rows.js';
import type { RolloutReport } from '../views.js';

interface ReportOptions extends ServerOptions {
  readonly output: 'markdown' | 'json' | 'html';
  readonly file?: string;
  readonly run?: string;
}

export function addReport(program: Command): void {
  const command = program
    .command('report')
    .argument('<rollout>', "rollout's id")
    .description('the whole story of a rollout: every resource, every failure with its findings, every mutating call')
    .addOption(
      new Option('-o, --output <format>', 'output format').choices(['markdown', 'json', 'html']).default('markdown'),
    )
    .option('--file <file>', 'write it to a file')
    .action(async (rollout: string, options: ReportOptions) => {
      process.exitCode = await report(rollout, options);
    });
  withRunOption(withServerOptions(command));
}

async function report(rollout: string, options: ReportOptions): Promise<number> {
  return withClient(options, async (client) => {
    const told = await rolloutReport(client, rollout, options.run);
    const text = rendered(told, options.output).trimEnd();
    if (options.file === undefined) print(text);
    else {
      await writeReport(options.file, text);
      say(`report written to ${options.file}`);
    }
    return EXIT.done;
  });
}

function rendered(told: RolloutReport, output: ReportOptions['output']): string {
  switch (output) {
    case 'json':
      return JSON.stringify(
        {
          version: 1,
          rollout: told.view,
          resources: told.rows,
          results: told.results,
          calls: told.calls,
          freezes: told.freezes,
          windows: told.windows,
        },
        null,
        2,
      );
    case 'html':
      return renderHtmlReport(told, Date.now());
    case 'markdown':
      return renderReport(told, Date.now());
  }
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
