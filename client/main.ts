#!/usr/bin/env node
/** The `uplift` command: one file per command, each adding itself. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addApply } from './commands/apply.js';
import { addCodecServer } from './commands/codec-server.js';
import { addCalendar } from './commands/calendar.js';
import { addControl } from './commands/control.js';
import { addDev } from './commands/dev.js';
import { addDoctor } from './commands/doctor.js';
import { addExplain } from './commands/explain.js';
import { addPlan } from './commands/plan.js';
import { addReport } from './commands/report.js';
import { addResolve } from './commands/resolve.js';
import { addSimulator } from './commands/simulator.js';
import { addStatus } from './commands/status.js';
import { addValidate } from './commands/validate.js';
import { addWatch } from './commands/watch.js';
import { addWorker } from './commands/worker.js';
import { say } from './context.js';
import { errorLines, exitCodeOfError } from './errors.js';

const program = new Command('uplift')
  .description('Durable upgrades for managed cloud services, on Temporal')
  .version(version())
  .exitOverride()
  .showHelpAfterError('(--help shows how it is used)')
  .addHelpText(
    'after',
    `
Exit codes:
  0 done or no change    1 error                     2 plan has changes
  3 tolerated failures   4 failure budget exceeded   5 waiting: it goes on
  6 drift or conflict    7 cancelled or stopped      124 watch timed out

Data goes to stdout, messages to stderr. NO_COLOR turns colours off, UPLIFT_DEBUG=1 shows stacks.`,
  );
for (const add of [
  addValidate,
  addPlan,
  addCalendar,
  addApply,
  addStatus,
  addWatch,
  addExplain,
  addReport,
  addControl,
  addResolve,
  addDoctor,
  addDev,
  addWorker,
  addSimulator,
  addCodecServer,
]) {
  add(program);
}

// A reader that has seen enough (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  throw error;
});

// Nobody's stack goes out unscrubbed.
process.on('uncaughtException', (error) => {
  process.exit(failed(error));
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = failed(error);
}
// Whatever has been told is written out first; connections and calls that are still trying end here.
await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
process.exit();

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve());
  });
}

/** Tells what went wrong; commander has told its own errors already. */
function failed(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode;
  errorLines(error).forEach(say);
  if (process.env['UPLIFT_DEBUG'] && error instanceof Error) say(error.stack ?? '');
  return exitCodeOfError(error);
}

function version(): string {
  // From dist/client/ and from client/ alike.
  for (const place of ['../package.json', '../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')) as { version: string }).version;
    } catch {
      continue;
    }
  }
  return 'unknown';
}
