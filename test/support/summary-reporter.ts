import { writeSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule, Vitest } from 'vitest/node';

/**
 * Closes the run with a line `failed: …` for each test that failed, so that the end of a log says which, and
 * `N passed, N failed` alone on the last line. A test that did not run to its end (skipped, or
 * pending when the run broke) counts as failed, and so does a file that could not be loaded. Only what the command
 * line itself leaves out by `-t` is not counted.
 */
export class SummaryReporter implements Reporter {
  private vitest: Vitest | undefined;

  onInit(vitest: Vitest): void {
    this.vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    let passed = 0;
    const failed = unhandled.map((error) => lineOf('outside of every test', [error]));
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state, errors = [] } = test.result();
        if (state === 'passed') passed++;
        else if (state !== 'skipped' || this.vitest?.config.testNamePattern === undefined) {
          failed.push(lineOf(`${module.relativeModuleId} > ${test.fullName}`, errors, state));
        }
      }
      failed.push(...module.errors().map((error) => lineOf(module.relativeModuleId, [error])));
    }
    if (failed.length > 0) process.exitCode = 1;
    // After whatever vitest still has to say.
    const lines = [...failed, `${passed} passed, ${failed.length} failed`];
    process.once('exit', () => writeSync(1, `${lines.join('\n')}\n`));
  }
}

function lineOf(where: string, [error]: readonly { readonly message: string }[], state = 'failed'): string {
  return `failed: ${where}: ${error?.message.split('\n')[0] ?? state}`;
}
