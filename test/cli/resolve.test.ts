/** `uplift resolve` as a process, against a real server, on an upgrade whose truth cannot be read. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { ATTRIBUTES } from '../../workflows/contracts/search-attributes.js';
import type { upgrade } from '../../workflows/upgrade.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { scriptedSteps, upgradeInput } from '../workflows/scripted-steps.js';
import { withScriptedWorkers } from '../workflows/scripted-workers.js';
import { uplift } from './cli.js';

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

const resolve = (...args: string[]) => uplift(['resolve', ...args], { TEMPORAL_ADDRESS: env.server.address });
const word = ['--as', 'not-submitted', '--reason', 'the audit log has no such call'];

it('finds the upgrade by its resource, says what is known without a worker, and records', async () => {
  const input = upgradeInput('graph-1');
  const workflowId = upgradeWorkflowId(input.spec.resource);
  const handle = await env.client.workflow.start<typeof upgrade>('upgrade', {
    workflowId,
    taskQueue: QUEUES.main,
    args: [input],
    typedSearchAttributes: [{ key: ATTRIBUTES.resource, value: 'graph-1' }],
  });

  expect(await resolve('graph-2', ...word)).toMatchObject({
    code: 1,
    stdout: '',
    stderr: 'uplift: no upgrade of graph-2 is running (check the id, --address and --namespace)\n',
  });
  expect((await resolve('graph-1', '--as', 'gone', '--reason', 'x')).stderr).toContain('not-submitted');
  expect(await resolve(workflowId, ...word)).toMatchObject({
    code: 1,
    stderr:
      'uplift: no worker answered, and whether one recorded it is not known (start one: uplift worker; then look: uplift report)\n',
  });

  const steps = scriptedSteps({
    submit: () => ({
      verdict: 'unknown',
      operation: null,
      reason: 'HTTP 503',
      unresolvedSince: new Date().toISOString(),
    }),
  });
  await withScriptedWorkers(env, steps, async () => {
    for (;;) {
      const { typedSearchAttributes } = await handle.describe();
      if (typedSearchAttributes.get(ATTRIBUTES.phase) === 'Held') break;
      await new Promise((wake) => setTimeout(wake, 100));
    }
    const { code, stdout } = await resolve('graph-1', ...word, '-o', 'json');
    expect(code).toBe(0);
    const told = JSON.parse(stdout) as { workflowId: string; resolution: { actor: string } };
    expect(told).toMatchObject({ workflowId, resolution: { as: 'not-submitted' } });
    expect(told.resolution.actor).not.toBe('');
    expect(await handle.result()).toMatchObject({
      outcome: 'NotStarted',
      reason: expect.stringContaining('the audit log has no such call; last seen: HTTP 503') as string,
    });
    expect((await resolve(workflowId, ...word)).stderr).toContain('no upgrade runs as');
  });
});
