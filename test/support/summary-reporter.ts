import { writeSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/**
 * Closes the run with `N passed, N failed` alone on the last line. A test that did not run to its end (skipped, or
 * pending when the run broke) counts as failed, and so does a file that could not be loaded.
 */
export class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    let passed = 0;
    let failed = unhandled.length;
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        if (test.result().state === 'passed') passed++;
        else failed++;
      }
      failed += module.errors().length;
    }
    if (failed > 0) process.exitCode = 1;
    // After whatever vitest still has to say.
    process.once('exit', () => writeSync(1, `${passed} passed, ${failed} failed\n`));
  }
}
