/**
 * Two rollouts over the same resources, and a third that is not approved, steered by commands as a person would, on a
 * real server and simulated clouds. The worker is killed between any two acts; the clouds' own record is the judge.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { Cause } from '../../client/explain.js';
import { rolloutReport, rolloutRows } from '../../client/rows.js';
import { rolloutStatus, waitForRollout } from '../../client/rollouts.js';
import { isGood, type ResourceRow, type RolloutReport, type RolloutView } from '../../client/views.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { type Ended, linesOf, uplift } from '../cli/cli.js';
import { CLOUD_ENV } from '../support/clouds.js';
import type { WorkerProcess } from '../support/worker-process.js';
import { type Installation, install, SCALE } from './installation.js';

const GRAPHS = 14;
/** Until it is told to end. */
const ENDLESS_MS = 600_000;

let life: Installation;
let worker: WorkerProcess;
/** How the worker ended that was there at each act: none of them sees the next one. */
const killed: { readonly after: string; readonly pid: number; readonly end: number | NodeJS.Signals }[] = [];
let graphs: string[];
let clusters: readonly UpgradeSpec[];
const ids = { first: '', second: '', unapproved: '', again: '' };

beforeAll(async () => {
  life = await install({
    seed: 'steered',
    graphs: GRAPHS,
    clusters: 3,
    durationMs: { min: 2_000, max: 4_000 },
  });
  graphs = life.clouds.specs('ges').map(({ resource }) => resource.id);
  clusters = life.clouds.specs('elasticsearch');
  for (const id of graphs.slice(0, 2)) life.clouds.simulator.inventory.change(id, { durationMs: ENDLESS_MS });
  worker = await life.worker();
});
afterAll(async () => {
  await life.close();
});

function run(as: string, ...args: string[]): Promise<Ended> {
  return uplift(args, { ...CLOUD_ENV, TEMPORAL_ADDRESS: life.env.server.address, UPLIFT_ACTOR: as });
}

/** An act of a person; afterwards the worker is killed, and another one takes over. */
async function act(as: string, name: string, ...args: string[]): Promise<Ended> {
  const signed = [name, ...args, '--reason', `to ${name}`];
  let ended = await run(as, ...signed);
  // The word was too late for a worker that has just come, and nothing was recorded: as its sender was told.
  while (/no worker answered|it came too late/.test(ended.stderr)) ended = await run(as, ...signed);
  await kill(name);
  return ended;
}

async function kill(after: string): Promise<void> {
  const { pid } = worker;
  expect([after, isThere(pid)]).toEqual([after, true]);
  worker.signal('SIGKILL');
  killed.push({ after, pid, end: await worker.ended });
  expect([after, isThere(pid)]).toEqual([after, false]);
  worker = await life.worker();
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

interface Wave {
  readonly name: string;
  readonly concurrency?: number;
  readonly targets?: readonly string[];
  readonly rest?: true;
}

async function apply(
  name: string,
  targets: readonly string[],
  spec: { readonly waves: readonly Wave[]; approval?: object },
) {
  const chosen = graphs.filter((id) => targets.includes(id));
  const searched = clusters.filter(({ resource }) => targets.includes(resource.id));
  const file = join(life.directory, `${name}.yaml`);
  const plan = {
    apiVersion: 'uplift/v1',
    kind: 'Rollout',
    metadata: { name },
    spec: {
      targets: [
        { service: 'ges-v2', account: 'huawei', ids: chosen, version: '9.9.9' },
        ...searched.map(({ resource: { id }, targetLabel: version }) => ({
          service: 'elasticsearch',
          account: 'alibaba',
          id,
          version,
          type: 'engineVersion',
        })),
      ],
      failureBudget: { max: 3, mode: 'loose' },
      onLocked: 'wait',
      timeScale: SCALE,
      ...spec,
    },
  };
  writeFileSync(file, stringify(plan));
  const { stdout, stderr, code } = await run('ana', 'apply', file, '--accounts', life.accounts);
  expect(`${code} ${stderr}`).toMatch(/^0 /);
  await kill('apply');
  return linesOf(stdout)[0] ?? '';
}

/** Looks until it holds. */
async function until<T>(look: () => Promise<T>, holds: (seen: T) => boolean): Promise<T> {
  for (;;) {
    const seen = await look();
    if (holds(seen)) return seen;
    await delay(200);
  }
}

const rows = (rollout: string) => rolloutRows(life.env.client, rollout);
const status = (rollout: string) => rolloutStatus(life.env.client, rollout);
const accepted = (of: readonly string[]) =>
  life.clouds.simulator.truth().submits.filter(({ resource }) => of.includes(resource));
const inFlight = (row: ResourceRow) => row.runId !== null && row.outcome === null;

async function explained(rollout: string): Promise<readonly Cause[]> {
  const { stdout, stderr } = await run('ana', 'explain', rollout, '-o', 'json');
  expect(stderr).toBe('');
  return (JSON.parse(stdout) as { causes: Cause[] }).causes;
}

/** What the first cluster's dry run finds from now on. */
function changeChecks(failingChecks: readonly string[]): void {
  const { inventory } = life.clouds.simulator;
  const { id, facts } = inventory.get(clusters[0]?.resource.id ?? '');
  inventory.change(id, { facts: { ...facts, failingChecks } });
}

/** The operations of resources that run until they are told end now. */
function finish(of: readonly string[]): void {
  for (const id of of) {
    for (const { operation } of life.clouds.simulator.inventory.operations(id)) {
      Object.assign(operation, { durationMs: Math.max(Date.now() - operation.acceptedAt, 1) });
    }
  }
}

function ended(rollout: string): Promise<RolloutView | null> {
  return waitForRollout(life.env.client, rollout);
}

it('goes on where it was after each kill, and ends as it was told', async () => {
  await conflicts();
  await pauses();
  await changes();
  await rejects();
  await resumes();
  await retries();
  await ends();
}, 900_000);

/** The second one waits for what the first one has, and says who has it, since when and in which phase. */
async function conflicts(): Promise<void> {
  const [slow, rest] = [graphs.slice(0, 2), graphs.slice(2, 6)];
  const last = graphs.slice(12);
  ids.first = await apply('first', [...slow, ...rest, ...clusters.map(({ resource }) => resource.id), ...last], {
    waves: [
      { name: 'graphs', concurrency: 2, targets: [...slow, ...rest] },
      { name: 'search', concurrency: 2, targets: clusters.map(({ resource }) => resource.id) },
      { name: 'last', rest: true },
    ],
  });
  changeChecks(['ClusterStatusNotHealth']);
  await until(
    async () => accepted(slow),
    (submits) => submits.length === 2,
  );
  ids.second = await apply('second', [...slow, ...graphs.slice(6, 10)], {
    waves: [{ name: 'all', concurrency: 4, rest: true }],
  });
  const causes = await until(
    () => explained(ids.second),
    (seen) => slow.every((id) => seen.some(({ who, what }) => who === id && what.includes(ids.first))),
  );
  for (const id of slow) {
    const cause = causes.find(({ who }) => who === id);
    expect(cause?.what).toMatch(
      new RegExp(
        `^another upgrade of this resource is running: upgrade/\\S+/${id} of rollout ${ids.first} since \\d{4}-\\S+Z, in phase Await$`,
      ),
    );
    expect(Date.parse(cause?.nextAt ?? '')).toBeGreaterThan(0);
  }
  await kill('both wait');
}

/** A pause holds over the death of the worker: what was submitted goes on, and nothing else is. */
async function pauses(): Promise<void> {
  expect(await act('ana', 'pause', ids.first)).toMatchObject({ code: 0 });
  finish(graphs.slice(0, 2));
  await until(
    () => rows(ids.first),
    (seen) => seen.slice(0, 2).every(({ outcome }) => outcome === 'Succeeded'),
  );
  expect(await status(ids.first)).toMatchObject({ state: 'Paused' });
  expect(await explained(ids.first)).toContainEqual(
    expect.objectContaining({
      who: ids.first,
      what: expect.stringMatching(/^paused by ana at \S+: to pause/) as string,
      changes: `uplift resume ${ids.first} --reason …`,
    }),
  );
}

/** A concurrency, a skip of a resource and one of a wave are taken while it is paused. */
async function changes(): Promise<void> {
  expect(await act('ana', 'concurrency', ids.first, '3', '--wave', 'graphs')).toMatchObject({ code: 0 });
  expect(await act('ana', 'skip', ids.first, graphs[5] ?? '')).toMatchObject({ code: 0 });
  expect(await act('ana', 'skip', ids.first, '--wave', 'last')).toMatchObject({ code: 0 });
}

/** A rollout that is rejected has submitted nothing. */
async function rejects(): Promise<void> {
  ids.unapproved = await apply('unapproved', graphs.slice(10, 12), {
    waves: [{ name: 'all', rest: true }],
    approval: { approvers: ['ben', 'cem'], quorum: 1, expiresAfter: '1d' },
  });
  const waits = await until(
    () => status(ids.unapproved),
    ({ state }) => state === 'Waiting',
  );
  expect(waits.approval).toMatchObject({ title: 'the rollout', quorum: 1, given: [], may: ['ben', 'cem'] });
  await kill('an approval is waited for');
  expect(await act('ana', 'approve', ids.unapproved)).toMatchObject({
    code: 1,
    stderr: 'uplift: ana is no approver of the rollout: it needs 1 of ben, cem\n',
  });
  expect(await act('ben', 'reject', ids.unapproved)).toMatchObject({ code: 0 });
  expect(await ended(ids.unapproved)).toMatchObject({ state: 'Rejected', counts: { NotStarted: 2 } });
  expect((await run('ana', 'watch', ids.unapproved)).code).toBe(7);
  expect(accepted(graphs.slice(10, 12))).toEqual([]);
}

/** Resumed, both end as they were told. */
async function resumes(): Promise<void> {
  // Nothing of the first was sent since its pause.
  expect(accepted(graphs.slice(2, 6))).toEqual([]);
  expect(await act('ana', 'resume', ids.first)).toMatchObject({ code: 0 });
  await until(
    () => rows(ids.first),
    (seen) => seen.some((row) => inFlight(row) && row.phase === 'Await'),
  );
  await kill('some are in flight');
  expect(await ended(ids.first)).toMatchObject({
    state: 'SucceededWithFailures',
    counts: { Succeeded: 7, Refused: 1, Skipped: 3 },
  });
  expect(await ended(ids.second)).toMatchObject({ state: 'Succeeded', counts: { Succeeded: 4, AlreadyAtTarget: 2 } });
}

/** What failed is tried again by a rollout of its own. */
async function retries(): Promise<void> {
  const [failed] = (await rows(ids.first)).filter(({ outcome }) => outcome === 'Refused');
  expect(accepted([failed?.resourceId ?? ''])).toEqual([]);
  changeChecks([]);
  const { code, stdout } = await act('ana', 'retry', ids.first, '--only', 'failed');
  expect(code).toBe(0);
  ids.again = linesOf(stdout)[0] ?? '';
  const told = await ended(ids.again);
  expect(told).toMatchObject({ state: 'Succeeded', total: 1, retryOf: { rollout: ids.first, reason: 'to retry' } });
}

/** In the end each resource was submitted once at most, the reports are true, and no lease is held. */
async function ends(): Promise<void> {
  const { submits, violations } = life.clouds.simulator.truth();
  expect(violations).toEqual([]);
  expect(killed.map(({ after }) => after).join(', ')).toBe(
    'apply, apply, both wait, pause, concurrency, skip, skip, ' +
      'apply, an approval is waited for, approve, reject, resume, some are in flight, retry',
  );
  expect(new Set(killed.map(({ end }) => end))).toEqual(new Set(['SIGKILL']));
  expect(new Set(killed.map(({ pid }) => pid)).size).toBe(killed.length);
  const reports = await Promise.all(Object.values(ids).map((id) => rolloutReport(life.env.client, id)));
  const told = reports.flatMap(({ calls }) => calls);
  const resources = [...graphs, ...clusters.map(({ resource }) => resource.id)];
  for (const id of resources) expect([id, accepted([id]).length <= 1]).toEqual([id, true]);
  // Every accepted call stands in a report, unless the worker that heard the answer was killed; none is invented.
  for (const { requestId, answer } of told.filter((call) => call.answer === 'accepted' && call.requestId !== null)) {
    expect([answer, submits.some((one) => one.requestId === requestId)]).toEqual([answer, true]);
  }
  for (const report of reports) await mustBeTrue(report);
  // Each act was recorded, once.
  const acts = reports.flatMap(({ view }) => view.acts.map(({ act: done, actor }) => `${done} by ${actor}`));
  expect(acts.join(', ')).toBe(
    'pause by ana, concurrency by ana, skip by ana, skip by ana, resume by ana, reject by ben',
  );
  const running = await until(
    () => runningWorkflows(),
    (seen) => seen.every((id) => !id.startsWith('upgrade/')),
  );
  console.log(
    `${reports.length} rollouts, ${resources.length} resources: ${submits.length} accepted submits, ` +
      `at most ${Math.max(...resources.map((id) => accepted([id]).length))} of one; ${killed.length} kills; ` +
      `${reports.flatMap(({ view }) => view.acts).length} acts; ${told.length} calls told; still running: ${running.join(', ') || 'nothing'}`,
  );
}

/** What a report says of a resource is what the cloud has. */
async function mustBeTrue({ view, rows: said }: RolloutReport): Promise<void> {
  const now = new Map(life.clouds.simulator.inventory.now().map((resource) => [resource.id, resource.version]));
  // A cluster's engine has another name in its own list.
  const numberOf = (version: string | null | undefined) => version?.split(/[ _]/)[0] ?? null;
  for (const { resourceId, outcome, to } of said) {
    const really = isGood(outcome) ? now.get(resourceId) : null;
    expect([view.rollout, resourceId, numberOf(to)]).toEqual([view.rollout, resourceId, numberOf(really)]);
  }
  expect((await rows(view.rollout)).map(({ outcome }) => outcome)).not.toContain(null);
}

async function runningWorkflows(): Promise<string[]> {
  const found: string[] = [];
  for await (const { workflowId } of life.env.client.workflow.list({ query: "ExecutionStatus = 'Running'" }))
    found.push(workflowId);
  return found;
}
