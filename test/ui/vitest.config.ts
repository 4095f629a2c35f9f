/** What a person sees in a browser, apart from the other tests: it needs Chromium. */
import { defineConfig } from 'vitest/config';
import { SummaryReporter } from '../support/summary-reporter.js';

export default defineConfig({
  test: {
    include: ['test/ui/**/*.test.ts'],
    reporters: ['default', new SummaryReporter()],
    testTimeout: 180_000,
    // The Temporal server may have to be built first.
    hookTimeout: 900_000,
  },
});
