import { configDefaults, defineConfig } from 'vitest/config';
import { SlowFirst } from './test/support/slow-first.js';
import { SummaryReporter } from './test/support/summary-reporter.js';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // By `npm run test:ui` and `npm run test:cluster`.
    exclude: [...configDefaults.exclude, 'test/ui/**', 'test/cluster/**'],
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', new SummaryReporter()],
    pool: 'forks',
    // Many wait for servers most of the time: more files at a time than a small machine has cores.
    maxWorkers: 6,
    sequence: { sequencer: SlowFirst },
    testTimeout: 300_000,
    hookTimeout: 600_000,
  },
});
