import { writeSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule, Vitest } from 'vitest/node';

/**
 * Closes the run with `N passed, N failed` alone on the last line. A test that did not run to its end (skipped, or
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
    let failed = unhandled.length;
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed++;
        else if (state !== 'skipped' || this.vitest?.config.testNamePattern === undefined) failed++;
      }
      failed += module.errors().length;
    }
    if (failed > 0) process.exitCode = 1;
    // After whatever vitest still has to say.
    process.once('exit', () => writeSync(1, `${passed} passed, ${failed} failed\n`));
  }
}
