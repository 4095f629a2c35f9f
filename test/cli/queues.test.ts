/** Which of the pollers that a server names still count as workers. */
import type { Client } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { expect, it } from 'vitest';
import { promote } from '../../client/deployments.js';
import { queues } from '../../client/queues.js';

/** A server whose pollers, one a build of `uplift`, polled this long ago; it tells what is made current. */
function serverWith(agesMs: Readonly<Record<string, number>>) {
  const promoted: string[] = [];
  const pollers = () =>
    Object.entries(agesMs).map(([build, ageMs]) => ({
      identity: `worker of ${build}`,
      lastAccessTime: msToTs(Date.now() - ageMs),
      deploymentOptions: { workerVersioningMode: 2, deploymentName: 'uplift', buildId: build },
    }));
  const client = {
    options: { namespace: 'default' },
    workflowService: {
      describeTaskQueue: async () => ({ pollers: pollers() }),
      describeWorkerDeployment: async () => ({ workerDeploymentInfo: { versionSummaries: [] } }),
      setWorkerDeploymentCurrentVersion: async ({ buildId }: { buildId: string }) => promoted.push(buildId),
    },
  } as unknown as Client;
  return { client, promoted };
}

const AGES = { idle: 60_000, ended: 90_000 };

it('a worker counts as long as a poll lasts, and no longer, though the server still names it', async () => {
  const polled = await queues(serverWith(AGES).client);
  expect(polled.map(({ name }) => name)).toEqual(['uplift', 'uplift-submit', 'uplift-wait']);
  for (const { pollers } of polled) expect(pollers.map(({ identity }) => identity)).toEqual(['worker of idle']);
});

it('promotes a build that is idle, and none whose workers have ended', async () => {
  const { client, promoted } = serverWith(AGES);
  const options = { own: [], actor: 'ana', waitMs: 0, told: () => undefined };
  await expect(promote(client, 'uplift', 'ended', options)).rejects.toThrow(
    'no worker of uplift, build ended, polls uplift, uplift-submit, uplift-wait',
  );
  expect(promoted).toEqual([]);
  await promote(client, 'uplift', 'idle', options);
  expect(promoted).toEqual(['idle']);
});
