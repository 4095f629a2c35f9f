/** `uplift report` as a process, on a server without any worker: when the rollout's windows let submits go. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { recurrenceOf } from '../../calendar/forms.js';
import type { RolloutReport } from '../../client/views.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { rolloutInput } from '../workflows/scripted-steps.js';
import { uplift } from './cli.js';

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

it('tells the windows of a rollout in each of its formats', async () => {
  const recurrence = recurrenceOf({ rrule: 'FREQ=DAILY', start: '00:00', duration: 'P1D', timezone: 'Asia/Shanghai' });
  const input = rolloutInput('spring', { ids: ['g1'], concurrency: 1 }, { max: 1, mode: 'strict' });
  const windows = {
    calendars: [{ windows: [{ name: 'any day', recurrence }], blackouts: [] }],
    gates: [{ calendar: 0, needsMs: 0 }],
    since: new Date().toISOString(),
    missedWindow: 'next',
  } as const;
  for (const [rollout, more] of [
    ['spring', { windows }],
    ['whenever', {}],
  ] as const) {
    await env.client.workflow.start('rollout', {
      workflowId: rolloutWorkflowId(rollout),
      taskQueue: QUEUES.main,
      args: [{ ...input, rollout, ...more }],
    });
  }
  const report = async (rollout: string, format: string) =>
    (await uplift(['report', rollout, '-o', format], { TEMPORAL_ADDRESS: env.server.address })).stdout;

  const told = JSON.parse(await report('spring', 'json')) as Pick<RolloutReport, 'windows'> & {
    rollout: RolloutReport['view'];
  };
  expect(told.windows).toMatchObject([{ name: 'any day', zone: 'Asia/Shanghai', blackouts: [] }]);
  expect(told.windows[0]?.open).toMatchObject([{ name: 'any day', from: told.rollout.startedAt }]);
  expect(await report('spring', 'markdown')).toContain('| any day | Asia/Shanghai | open: any day |');
  expect(await report('spring', 'html')).toContain('<span class="lane" title="any day">');
  expect(JSON.parse(await report('whenever', 'json'))).toMatchObject({ windows: [] });
}, 120_000);
