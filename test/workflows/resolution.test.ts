/** A person's word on an upgrade, as anybody may send it. */
import { CancellationScope } from '@temporalio/workflow';
import { expect, it } from 'vitest';
import { UpgradeResolution } from '../../workflows/upgrade-resolution.js';

it.each(['done or failed', 'toString', ['not-submitted'], null])('is none: %j', (as) => {
  const resolution = new UpgradeResolution(CancellationScope.prototype);
  const word = { as: as as 'done', actor: 'ana', reason: 'a test' };
  const upgrade = { phase: 'Overdue', operation: { id: 'job-1', since: '2026-01-01T00:00:00.000Z' } } as const;
  expect(() => {
    resolution.mustBeFitting(word, upgrade);
  }).toThrow(/^unknown resolution/);
});
