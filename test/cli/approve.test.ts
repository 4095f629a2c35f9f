/** Approvals by commands: a quorum of two, on a real server, with what the others are told meanwhile. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { parse, stringify } from 'yaml';
import type { Cause } from '../../client/explain.js';
import type { RolloutView } from '../../client/views.js';
import type { DevServer } from '../../temporal/dev-server.js';
import { startTestServer } from '../support/environment.js';
import { type Ended, linesOf, rehearsal, type Rehearsal, serve, type Service, uplift } from './cli.js';

// Many processes, each of which takes seconds to load on a busy machine.
vi.setConfig({ testTimeout: 300_000 });

let server: DevServer;
let place: Rehearsal;
let worker: Service;

beforeAll(async () => {
  server = await startTestServer();
  place = await rehearsal('--seed', 'quorum', '--graphs', '3', '--clusters', '0', '--min', '1s', '--max', '2s');
  worker = await serve(['worker', '--accounts', place.accounts], /worker is ready/, {
    TEMPORAL_ADDRESS: server.address,
  });
});
afterAll(async () => {
  await worker.stop();
  await place.dispose();
  await server.stop();
});

const run = (as: string, ...args: string[]): Promise<Ended> =>
  uplift(args, { TEMPORAL_ADDRESS: server.address, UPLIFT_ACTOR: as });
const approve = (as: string, rollout: string, ...more: string[]) =>
  run(as, 'approve', rollout, '--reason', 'looked at it', ...more);

it('begins once two of three have approved, and tells who has, who may and until when', async () => {
  const plan = parse(readFileSync(place.plan, 'utf8')) as { spec: Record<string, unknown> };
  const roles = { dba: ['ana', 'ben'] };
  const approval = { approvers: ['role:dba', 'cem'], quorum: 2, expiresAfter: '2h' };
  const file = join(place.directory, 'approved.yaml');
  writeFileSync(file, stringify({ ...plan, spec: { ...plan.spec, roles, approval } }));
  expect((await run('ana', 'plan', file, '--accounts', place.accounts)).stdout).toContain(
    'It begins when 2 of role dba (ana, ben), cem have approved, within 2 h.',
  );
  const [rollout = ''] = linesOf((await run('ana', 'apply', file, '--accounts', place.accounts)).stdout);

  const explained = async () =>
    (JSON.parse((await run('ana', 'explain', rollout, '-o', 'json')).stdout) as { causes: Cause[] }).causes;
  let [cause] = await explained();
  while (cause?.nextAt == null) [cause] = await explained();
  expect(cause).toEqual({
    who: rollout,
    what: 'the rollout waits for approval: 0 of 2 given; role dba (ben), cem may; without it the rollout ends',
    nextAt: expect.stringMatching(/^\d{4}-.*Z$/) as string,
    changes: `uplift approve ${rollout} --reason …`,
  });
  const leftMs = Date.parse(cause.nextAt) - Date.now();
  expect([leftMs > 0, leftMs <= 2 * 3_600_000]).toEqual([true, true]);

  expect(await approve('ana', rollout)).toMatchObject({
    code: 1,
    stderr: 'uplift: ana started this rollout and may not approve it\n',
  });
  expect(await approve('dan', rollout)).toMatchObject({
    code: 1,
    stderr: 'uplift: dan is no approver of the rollout: it needs 2 of role dba (ana, ben), cem\n',
  });
  const { stdout: status } = await run('ana', 'status', rollout, '-o', 'json');
  const looked = (JSON.parse(status) as { rollout: RolloutView }).rollout;
  expect(looked).toMatchObject({
    reason: 'waits for approval of the rollout: 0 of 2 given; role dba (ben), cem may',
    approval: { may: ['ben', 'cem'], roles },
  });
  const { planDigest } = looked;
  expect((await approve('ben', rollout, '--digest', planDigest.slice(0, 7))).stderr).toContain(
    'Use at least 8 digits of the digest',
  );
  expect(await approve('ben', rollout, '--digest', 'deadbeef')).toMatchObject({
    code: 1,
    stderr: `uplift: the plan of ${rollout} is ${planDigest.slice(0, 12)}, not deadbeef: look at it again\n`,
  });
  expect(await approve('ben', rollout, '--digest', planDigest.slice(0, 12))).toMatchObject({
    code: 0,
    stderr: 'waits for approval of the rollout: 1 of 2 given (ben); cem may\n',
  });
  expect(await approve('ben', rollout)).toMatchObject({
    code: 1,
    stderr: 'uplift: ben has approved the rollout already\n',
  });
  expect((await explained())[0]?.what).toBe(
    'the rollout waits for approval: 1 of 2 given (ben); cem may; without it the rollout ends',
  );
  expect(await approve('cem', rollout)).toMatchObject({ code: 0, stderr: 'the rollout is approved\n' });
  expect((await run('ana', 'watch', rollout)).code).toBe(0);

  const { stdout } = await run('ana', 'report', rollout, '-o', 'json');
  const { rollout: view } = JSON.parse(stdout) as { rollout: RolloutView };
  expect(view).toMatchObject({ state: 'Succeeded', counts: { Succeeded: 3 } });
  expect(view.acts.map(({ act, actor, reason }) => [act, actor, reason])).toEqual([
    ['approve', 'ben', 'looked at it'],
    ['approve', 'cem', 'looked at it'],
  ]);
  expect((await run('ana', 'report', rollout, '-o', 'html')).stdout).toContain('<b>cem</b>');
});
