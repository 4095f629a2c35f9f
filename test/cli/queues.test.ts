/** Which of the pollers that a server names still count as workers. */
import type { Client } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { describe, expect, it } from 'vitest';
import { deployment, promote } from '../../client/deployments.js';
import { queues, servedQueues } from '../../client/queues.js';

/**
 * A server whose pollers, one a build of `uplift`, polled this long ago; it tells what is made current.
 *
 * @param alive a build whose worker polls again and again
 * @param aheadMs by how much its clock is ahead of this machine's
 */
function serverWith(agesMs: Readonly<Record<string, number>>, alive?: string, aheadMs = 0) {
  const promoted: string[] = [];
  const began = Date.now();
  const polledAt = (build: string) => aheadMs + (build === alive ? Date.now() : began - (agesMs[build] ?? 0));
  const pollers = () =>
    Object.keys(agesMs).map((build) => ({
      identity: `worker of ${build}`,
      lastAccessTime: msToTs(polledAt(build)),
      deploymentOptions: { workerVersioningMode: 2, deploymentName: 'uplift', buildId: build },
    }));
  const client = {
    options: { namespace: 'default' },
    workflowService: {
      describeTaskQueue: async () => ({ pollers: pollers() }),
      describeWorkerDeployment: async () => ({
        workerDeploymentInfo: {
          versionSummaries: Object.keys(agesMs).map((buildId) => ({ deploymentVersion: { buildId }, status: 4 })),
        },
      }),
      setWorkerDeploymentCurrentVersion: async ({ buildId }: { buildId: string }) => promoted.push(buildId),
    },
    workflow: { count: async () => ({ count: 1 }) },
  } as unknown as Client;
  return { client, promoted };
}

const AGES = { idle: 60_000, ended: 90_000 };

it('a worker counts as long as a poll lasts, and no longer, though the server still names it', async () => {
  const { client } = serverWith(AGES);
  const [named, served] = [await queues(client), await servedQueues(client)];
  expect(named.map(({ name }) => name)).toEqual(['uplift', 'uplift-submit', 'uplift-wait']);
  expect(served.map(({ name }) => name)).toEqual(named.map(({ name }) => name));
  const all = ['worker of idle', 'worker of ended'];
  for (const { pollers } of named) expect(pollers.map(({ identity }) => identity)).toEqual(all);
  for (const { pollers } of served) expect(pollers.map(({ identity }) => identity)).toEqual(['worker of idle']);
});

it('a build whose workers have ended has none, and its queues are served by nobody', async () => {
  const { versions } = await deployment(serverWith(AGES).client, 'uplift', []);
  expect(versions).toMatchObject([
    { buildId: 'idle', workers: ['worker of idle'], unserved: [] },
    { buildId: 'ended', workers: [], unserved: ['uplift', 'uplift-submit', 'uplift-wait'] },
  ]);
});

it('a deployment that the server does not know for a moment is looked for again', async () => {
  const { client } = serverWith(AGES);
  const { workflowService } = client;
  const known = workflowService.describeWorkerDeployment.bind(workflowService);
  let looks = 0;
  const unknownUntil = (last: number) => {
    looks = 0;
    const answer = () => {
      looks += 1;
      const unknown = Object.assign(new Error('5 NOT_FOUND'), { code: 5, details: 'no deployment', metadata: {} });
      return looks < last ? Promise.reject(unknown) : known({});
    };
    Object.assign(workflowService, { describeWorkerDeployment: answer });
  };
  unknownUntil(2);
  expect((await deployment(client, 'uplift', [])).versions).toHaveLength(2);
  expect(looks).toBe(2);
  unknownUntil(Infinity);
  await expect(deployment(client, 'uplift', [])).rejects.toThrow('the server knows no worker deployment uplift');
});

describe('promote', () => {
  const ALL = 'uplift, uplift-submit, uplift-wait';

  it('refuses a build whose workers the server does not name, or names though they have ended', async () => {
    const { client, promoted } = serverWith({ ...AGES, killed: 1_000 });
    const options = { own: [], actor: 'ana', waitMs: 0, told: () => undefined };
    await expect(promote(client, 'uplift', 'unknown', options)).rejects.toThrow(
      `no worker of uplift, build unknown, polls ${ALL}, so that what is new would stand still (start one with UPLIFT_DEPLOYMENT=uplift UPLIFT_BUILD_ID=unknown)`,
    );
    await expect(promote(client, 'uplift', 'ended', options)).rejects.toThrow(
      'no worker of uplift, build ended, has polled since this began:',
    );
    await expect(promote(client, 'uplift', 'killed', options)).rejects.toThrow(
      `no worker of uplift, build killed, has polled since this began: ${ALL}, so that what is new would stand still (start one with UPLIFT_DEPLOYMENT=uplift UPLIFT_BUILD_ID=killed; an idle one polls once a minute)`,
    );
    expect(promoted).toEqual([]);
  });

  it('waits for a poll that is newer than the first look, and says so', async () => {
    const { client, promoted } = serverWith({ ...AGES, alive: 0 }, 'alive');
    const lines: string[] = [];
    const told = (line: string) => lines.push(line);
    await promote(client, 'uplift', 'alive', { own: [], actor: 'ana', waitMs: 30_000, told });
    expect(lines).toEqual([
      `waiting: no worker of uplift, build alive, has polled since this began: ${ALL} (an idle one polls once a minute)`,
    ]);
    expect(promoted).toEqual(['alive']);
  });

  it.each([-3_600_000, 3_600_000])('goes by no clock but the server’s, which is %d ms ahead', async (aheadMs) => {
    const { client, promoted } = serverWith({ ...AGES, alive: 0 }, 'alive', aheadMs);
    const options = { own: [], actor: 'ana', waitMs: 0, told: () => undefined };
    await expect(promote(client, 'uplift', 'ended', options)).rejects.toThrow('has polled since this began');
    await promote(client, 'uplift', 'alive', { ...options, waitMs: 30_000 });
    expect(promoted).toEqual(['alive']);
  });

  it('takes a worker that comes while it waits at once', async () => {
    const ages: Record<string, number> = {};
    const { client, promoted } = serverWith(ages);
    const told = () => (ages['late'] = 0);
    await promote(client, 'uplift', 'late', { own: [], actor: 'ana', waitMs: 30_000, told });
    expect(promoted).toEqual(['late']);
  });
});
