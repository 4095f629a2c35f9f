#!/usr/bin/env node
/** The process of the `uplift` command: runs it, tells what went wrong, and ends with its exit code. */
import { CommanderError } from 'commander';
import { say } from './context.js';
import { errorLines, exitCodeOfError } from './errors.js';
import { programFor } from './program.js';

const program = await programFor(process.argv[2]);

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
