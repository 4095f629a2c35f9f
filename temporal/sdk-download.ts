import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { run } from './process.js';

const TIMEOUT_MS = 15_000;
const LOOK_MS = 100;

/** A program that came to be at `path`, or why not. */
export type Made = { readonly ok: true; readonly path: string } | { readonly ok: false; readonly problem: string };

export interface SdkDownload {
  readonly method: 'createLocal' | 'createTimeSkipping';
  /** The release, as its download is called: `v1.5.1`. */
  readonly version: string;
  /** The name that the SDK gives to what it downloaded. */
  readonly file: string;
}

const SCRIPT = `
const [testing, method, version, downloadDir] = process.argv.slice(1);
const server = { executable: { type: 'cached-download', version, downloadDir } };
require(testing).TestWorkflowEnvironment[method]({ server }).then(
  (environment) => environment.teardown(),
  (error) => {
    console.error(error.message.split('\\n')[0]);
    process.exitCode = 1;
  },
);`;

/**
 * Downloads one of Temporal's programs into `folder`, with the SDK, within 15 s.
 *
 * The SDK's download has neither time-out nor cancellation, and starts what it has downloaded. So it runs in a process
 * of its own, ended with all that it started as soon as the program is there (the SDK moves it there whole) or the
 * time is up.
 */
export async function sdkDownload(wanted: SdkDownload, folder: string, env: NodeJS.ProcessEnv): Promise<Made> {
  const path = join(folder, wanted.file);
  const arrived = new AbortController();
  const look = setInterval(() => existsSync(path) && arrived.abort(), LOOK_MS);
  const testing = createRequire(import.meta.url).resolve('@temporalio/testing');
  const args = ['-e', SCRIPT, testing, wanted.method, wanted.version, folder];
  const options = { env, timeoutMs: TIMEOUT_MS, signal: arrived.signal, group: true };
  const result = await run(process.execPath, args, options);
  clearInterval(look);
  return existsSync(path) ? { ok: true, path } : { ok: false, problem: rootCause(result.problem) };
}

/** The native client tells an error once for each of its layers: the last one is the cause. */
function rootCause(problem: string): string {
  return problem.slice(Math.max(0, problem.lastIndexOf('client error')));
}
