/** What a forecast makes of resources that other rollouts upgrade just now. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { forecastRollout, type Lease, NOTHING_LEARNED } from '../../client/forecast.js';
import { readLearned } from '../../client/learned.js';
import { paintFor } from '../../client/render/paint.js';
import { renderForecast } from '../../client/render/forecast.js';
import { usualOf } from '../../forecast/durations.js';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { ATTRIBUTES } from '../../workflows/contracts/search-attributes.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { VIEW } from '../cli/fixtures.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { rolloutInput } from '../workflows/scripted-steps.js';

const MINUTE = 60_000;
const NOW = Date.parse('2026-11-21T12:00:00Z');
const planned = rolloutInput('locks', { ids: ['w1', 'w2'], concurrency: 2 }, { max: 2, mode: 'loose' });

/** Minutes until each upgrade starts, and the lines that people read. */
function told(leases: (specs: readonly UpgradeSpec[]) => readonly Lease[], onLocked?: UpgradeSpec['onLocked']) {
  const [wave] = planned.waves;
  const specs = (wave?.upgrades ?? []).map((spec) => ({ ...spec, ...(onLocked === undefined ? {} : { onLocked }) }));
  const usual = Object.fromEntries(specs.map(({ resource }) => [resource.service, usualOf(30 * MINUTE, 40 * MINUTE)]));
  const learned = { ...NOTHING_LEARNED, leases: leases(specs) };
  const view = { ...VIEW, state: 'Running' as const, charged: 0, budget: planned.budget, waves: [] };
  const forecast = forecastRollout({ ...planned, usual }, [specs], { view, rows: [] }, learned, NOW);
  if (forecast === null) throw new Error('no forecast');
  const starts = forecast.waves[0]?.upgrades.map(({ starts: { p50 } }) =>
    Math.round((Date.parse(p50 ?? '') - NOW) / MINUTE),
  );
  const lines = renderForecast(forecast, Infinity, paintFor(process.stdout, { NO_COLOR: '1' })).join('\n');
  return { starts, lines };
}

const heldBy =
  (rollout: string) =>
  ([first]: readonly UpgradeSpec[]): Lease[] =>
    first === undefined
      ? []
      : [{ workflowId: upgradeWorkflowId(first.resource), rollout, startedAt: NOW - 10 * MINUTE }];

it('starts what is waited for once nine of ten such upgrades have ended', () => {
  const { starts, lines } = told(heldBy('autumn'), 'wait');
  expect(starts?.[1]).toBe(0);
  expect(starts?.[0]).toBeGreaterThan(25);
  expect(starts?.[0]).toBeLessThan(35);
  expect(lines).toContain('rollout autumn upgrades 1 of them now: counted as free when');
});

it.each([
  ['skip', 'skipped'],
  ['fail', 'refused'],
] as const)('counts what is not waited for as free, and says so, with onLocked: %s', (onLocked, word) => {
  const { starts, lines } = told(heldBy('autumn'), onLocked);
  expect(starts).toEqual([0, 0]);
  expect(lines).toContain(`rollout autumn upgrades 1 of them now: counted as free, and ${word} if their`);
});

it('takes no lease of its own for one of another', () => {
  const { starts, lines } = told(heldBy('locks'), 'wait');
  expect(starts).toEqual([0, 0]);
  expect(lines).not.toContain('upgrades 1 of them now');
});

let env: RealEnvironment;
beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(() => env.teardown());

it('reads who upgrades what from the server', async () => {
  const workflowId = 'upgrade/huawei/ges/cn-north-4/w1';
  await env.client.workflow.start('upgrade', {
    workflowId,
    taskQueue: QUEUES.main,
    typedSearchAttributes: [{ key: ATTRIBUTES.rollout, value: 'autumn' }],
  });
  await expect
    .poll(async () => (await readLearned(env.client)).leases, { timeout: 20_000 })
    .toEqual([{ workflowId, rollout: 'autumn', startedAt: expect.any(Number) as number }]);
});
