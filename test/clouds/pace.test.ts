/** What every API's pace has to be, and when each one's end counts as verified. */
import { describe, expect, it } from 'vitest';
import { CLOUD_APIS } from '../../activities/clouds/index.js';

const MINUTE = 60_000;

it.each([
  // Three reads of 200 in a row: Terraform's rule for a graph.
  ['ges-v1', 3, 60 * MINUTE],
  ['ges-v2', 3, 60 * MINUTE],
  ['cse', 3, 60 * MINUTE],
  // RUNNING without a task, twice, 10 s apart: Terraform's rule for a cache.
  ['dcs', 2, 120 * MINUTE],
  ['elasticsearch', 2, 360 * MINUTE],
])('%s is verified by %i good reads in a row, and overdue after %i ms', (service, reads, deadlineMs) => {
  const pace = CLOUD_APIS.find((api) => api.service === service)?.pace;
  expect(pace).toMatchObject({ stableReads: reads, stableEveryMs: 10_000, deadlineMs });
});

describe.each(CLOUD_APIS.map(({ service, pace }) => ({ service, pace })))('$service', ({ pace }) => {
  it('is polled within its bounds, and is expected before it is overdue', () => {
    expect(pace.pollMinMs).toBeGreaterThanOrEqual(15_000);
    expect(pace.pollMaxMs).toBeGreaterThan(pace.pollMinMs);
    expect(pace.deadlineMs).toBeGreaterThan(pace.expectedMs);
    // A bad end is believed after the lag: it must be far from the expected one.
    expect(pace.visibilityLagMs).toBeLessThan(pace.expectedMs / 5);
  });
});
