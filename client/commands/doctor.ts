import type { Command } from 'commander';
import {
  type AccountsOptions,
  type OutputOptions,
  print,
  printJson,
  serverTarget,
  type ServerOptions,
  stdoutPaint,
  withAccountsOption,
  withOutputOption,
  withServerOptions,
} from '../context.js';
import { examine, type Finding } from '../doctor.js';
import { EXIT } from '../exit-codes.js';
import { renderFinding } from '../render/doctor.js';

interface DoctorOptions extends AccountsOptions, OutputOptions, ServerOptions {
  readonly fix?: true;
}

export function addDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .description('look at every part of the installation: server, namespace, workers, accounts, endpoints')
    .option('--fix', 'make the namespace what it has to be: retention and search attributes')
    .action(async (options: DoctorOptions) => {
      process.exitCode = await doctor(options);
    });
  withOutputOption(withServerOptions(withAccountsOption(command)));
}

async function doctor(options: DoctorOptions): Promise<number> {
  const findings: Finding[] = [];
  const examination = { target: serverTarget(options), accountsFile: options.accounts, fix: options.fix === true };
  for await (const finding of examine(examination)) {
    findings.push(finding);
    if (options.output === 'table') print(renderFinding(finding, stdoutPaint()));
  }
  const healthy = findings.every(({ level }) => level !== 'problem');
  if (options.output === 'json') printJson({ version: 1, healthy, findings });
  return healthy ? EXIT.done : EXIT.error;
}
