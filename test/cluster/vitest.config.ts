/** What docker-compose.yml describes, by processes, apart from the other tests: it needs PostgreSQL and minutes. */
import { defineConfig } from 'vitest/config';
import { SummaryReporter } from '../support/summary-reporter.js';

export default defineConfig({
  test: {
    include: ['test/cluster/**/*.test.ts'],
    reporters: ['default', new SummaryReporter()],
    testTimeout: 420_000,
    // The Temporal server may have to be built first.
    hookTimeout: 1_800_000,
  },
});
