/** The commands around a rollout, as real processes against a real server: before, while and after a worker is there. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import type { RolloutReport, RolloutView } from '../../client/views.js';
import type { Truth } from '../../simulator/truth.js';
import { connectClient, localTarget } from '../../temporal/connection.js';
import type { DevServer } from '../../temporal/dev-server.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { startTestServer } from '../support/environment.js';
import { endOf, linesOf, rehearsal, type Rehearsal, serve, type Service, start, uplift } from './cli.js';

let server: DevServer;
let client: Client;
let place: Rehearsal;
let worker: Service | null = null;
/** Ids of the two plans, in the order of their starts. */
let main: string;
let small: string;
const told: string[] = [];

beforeAll(async () => {
  server = await startTestServer();
  client = await connectClient(localTarget(server.address));
  const fleet = '--seed cli --graphs 5 --clusters 2 --min 2s --max 4s --graph-fate rolls-back=1';
  place = await rehearsal(...fleet.split(' '));
});
afterAll(async () => {
  await worker?.stop();
  await client.connection.close();
  await place.dispose();
  await server.stop();
});

async function run(...args: string[]) {
  const ended = await uplift(args, { TEMPORAL_ADDRESS: server.address });
  told.push(ended.stdout, ended.stderr);
  return ended;
}

function apply(plan: string, ...args: string[]) {
  return run('apply', plan, '--accounts', place.accounts, ...args);
}

/** A plan of one resource only, under a name of its own. */
function smallPlan(): string {
  const plan = parse(readFileSync(place.plan, 'utf8')) as {
    metadata: { name: string };
    spec: { targets: { ids: string[] }[]; waves: unknown };
  };
  const [first] = plan.spec.targets;
  plan.metadata.name = 'small';
  plan.spec.targets = first === undefined ? [] : [{ ...first, ids: first.ids.slice(0, 1) }];
  plan.spec.waves = [{ name: 'all', rest: true }];
  const file = join(place.directory, 'small.yaml');
  writeFileSync(file, stringify(plan));
  return file;
}

async function statusOf(
  rollout: string,
): Promise<{ code: number | null; rollout: RolloutView; resources: RolloutReport['rows'] }> {
  const { code, stdout } = await run('status', rollout, '-o', 'json');
  return { code, ...(JSON.parse(stdout) as { rollout: RolloutView; resources: RolloutReport['rows'] }) };
}

describe('without a worker', () => {
  it('there is no rollout yet', async () => {
    const { code, stdout, stderr } = await run('status');
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toBe('there is no rollout yet: `uplift apply PLAN` starts one\n');
    for (const command of ['status', 'watch', 'report']) {
      const unknown = await run(command, 'nothing');
      expect(unknown.code).toBe(1);
      expect(unknown.stdout).toBe('');
      expect(unknown.stderr).toBe(
        'uplift: there is no rollout nothing in namespace default (check the id, --address and --namespace)\n',
      );
    }
  });

  it('doctor names what is missing, and prepares a namespace when asked', async () => {
    const before = await run('doctor', '--accounts', place.accounts, '--namespace', 'fresh');
    expect(before.code).toBe(1);
    expect(before.stdout).toContain('problem  Namespace fresh does not exist\n         → run `uplift doctor --fix`\n');
    const fixed = await run('doctor', '--accounts', place.accounts, '--namespace', 'fresh', '--fix', '-o', 'json');
    const { healthy, findings } = JSON.parse(fixed.stdout) as {
      healthy: boolean;
      findings: { level: string; what: string }[];
    };
    expect(healthy).toBe(false);
    expect(findings.filter(({ level }) => level === 'problem').map(({ what }) => what)).toEqual([
      'Queue uplift is polled by no worker',
      'Queue uplift-submit is polled by no worker',
      'Queue uplift-wait is polled by no worker',
    ]);
    expect(findings.map(({ what }) => what)).toContain('Namespace fresh now keeps closed workflows for 90 days');
    expect(fixed.code).toBe(1);
  });

  it('apply of what was not planned under this digest is refused', async () => {
    const { stdout } = await run('plan', place.plan, '--accounts', place.accounts, '-o', 'json');
    const { digest } = JSON.parse(stdout) as { digest: string };
    const other = await apply(place.plan, '--digest', 'deadbeef');
    expect(other).toMatchObject({ code: 6, stdout: '' });
    expect(other.stderr).toContain(`is not what was planned as deadbeef: it is ${digest.slice(0, 12)} now`);
    expect((await apply(place.plan, '--digest', 'nonsense')).stderr).toContain('Use at least 8 digits of the digest');
  });

  it('apply starts it and prints its id; a second apply is a conflict', async () => {
    const started = await apply(place.plan, '-o', 'json');
    expect(started.stderr).toBe('');
    const { rollout, runId } = JSON.parse(started.stdout) as { rollout: string; runId: string };
    expect(rollout).toMatch(/^cli-[0-9a-f]{8}$/);
    main = rollout;
    expect(started.code).toBe(0);
    const run = await client.workflow.getHandle(rolloutWorkflowId(main)).describe();
    expect(run.runId).toBe(runId);
    expect(await run.staticSummary()).toBe(`${main}: 7 upgrades in 3 waves`);
    expect(await run.staticDetails()).toContain('| canary | 3 | 3 |');
    expect(run.raw.executionConfig?.workflowExecutionTimeout?.seconds?.toString() ?? '0').toBe('0');

    const second = await apply(place.plan);
    expect(second.stdout).toBe('');
    expect(second.stderr).toMatch(
      new RegExp(
        `^uplift: rollout ${main} is running already: started by .+ at 2.*Z \\(follow it by \`uplift watch ${main}\`\\)\n$`,
      ),
    );
    expect(second.code).toBe(6);
  });

  it('status tells what the server alone knows: exit 5', async () => {
    const { code, rollout, resources } = await statusOf(main);
    expect(code).toBe(5);
    expect(rollout).toMatchObject({ state: 'Running', workerAnswers: false, total: 7, counts: {} });
    expect(resources.map(({ phase }) => phase)).toEqual(Array<string>(7).fill('Pending'));
    const { stdout } = await run('status', main);
    expect(stdout).toContain('Why        no worker answers; start one with `uplift worker`');
  });

  it('watch times out with 124, and its first line has a version', async () => {
    const { code, stdout, stderr } = await run('watch', main, '--timeout', '1s');
    expect(code).toBe(124);
    const events = linesOf(stdout).map((line) => JSON.parse(line) as { type: string; version?: number });
    expect(events[0]).toMatchObject({ type: 'start', version: 1, rollout: main });
    expect(events[1]).toMatchObject({ type: 'rollout', rollout: { workerAnswers: false } });
    expect(stderr).toContain(`uplift watch ${main}`);
  });

  it('Ctrl-C on a watch leaves with 5, and the rollout goes on', async () => {
    const child = start(['watch', main], { TEMPORAL_ADDRESS: server.address });
    const ended = endOf(child);
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    child.kill('SIGINT');
    const { code, stderr } = await ended;
    expect(stderr).toBe(`The rollout goes on; come back by \`uplift watch ${main}\`.\n`);
    expect(code).toBe(5);
    expect((await client.workflow.getHandle(rolloutWorkflowId(main)).describe()).status.name).toBe('RUNNING');
  });

  it('a terminated rollout is told as such: exit 7', async () => {
    const started = await apply(smallPlan());
    expect(started.code).toBe(0);
    small = linesOf(started.stdout)[0] ?? '';
    await client.workflow.getHandle(rolloutWorkflowId(small)).terminate('by hand');
    const { code, rollout, resources } = await statusOf(small);
    expect(code).toBe(7);
    expect(rollout).toMatchObject({ state: 'Terminated', counts: { NotStarted: 1 }, next: 'nothing: this is the end' });
    expect(rollout.reason).toContain('by hand');
    expect(resources).toMatchObject([{ outcome: 'NotStarted', runId: null }]);
    const watched = await run('watch', small);
    expect(watched.code).toBe(7);
    const report = await run('report', small);
    expect(report.stdout).toContain(`# Rollout ${small}: Terminated`);
    expect(report.stdout).toContain('None was sent.');
    expect(report.code).toBe(0);
  });
});

describe('with a worker', () => {
  it('watch follows it to its end: exit 3 for a tolerated failure', async () => {
    worker = await serve(['worker', '--accounts', place.accounts], /worker is ready/, {
      TEMPORAL_ADDRESS: server.address,
    });
    const { code, stdout, stderr } = await run('watch', main);
    const events = linesOf(stdout).map(
      (line) =>
        JSON.parse(line) as {
          type: string;
          exitCode?: number;
          rollout?: RolloutView;
          resource?: { phase: string; percent: number | null };
        },
    );
    expect(events.at(-1)).toMatchObject({
      type: 'end',
      exitCode: 3,
      rollout: { state: 'SucceededWithFailures', failures: 1 },
    });
    const resources = events.flatMap(({ resource }) => resource ?? []);
    expect(resources.map(({ phase }) => phase)).toEqual(expect.arrayContaining(['Await', 'Ended']));
    expect(stderr).toContain(`ended: SucceededWithFailures; the whole story: \`uplift report ${main}\``);
    expect(code).toBe(3);
  });

  it('doctor finds everything in order', async () => {
    const { code, stdout } = await run('doctor', '--accounts', place.accounts);
    expect(linesOf(stdout).filter((line) => !line.startsWith('ok'))).toEqual([]);
    expect(stdout).toMatch(/^ok {7}Queue uplift-wait is polled by /m);
    expect(stdout).toMatch(/^ok {7}Account huawei-sim, ges in eu-west-101: lists 5 resources$/m);
    expect(code).toBe(0);
  });

  it('status lists it, and tells each resource', async () => {
    expect((await run('status')).stdout).toMatch(new RegExp(`^ {2}${main} +SucceededWithFailures +2`, 'm'));
    const { code, rollout, resources } = await statusOf(main);
    expect(code).toBe(3);
    expect(rollout.counts).toEqual({ Succeeded: 6, RolledBack: 1 });
    expect(resources).toHaveLength(7);
    for (const { outcome, from, to, target } of resources) {
      if (outcome === 'RolledBack') expect(to).toBe(from);
      else expect(to?.startsWith(target)).toBe(true);
    }
    const { stdout } = await run('status', main, '--all');
    expect(
      linesOf(stdout).filter((line) => /^ {2}(canary|first half|everything else) +\S+ +(ges|elastic)/.test(line)),
    ).toHaveLength(7);
  });

  it("the report has every mutating call with the cloud's request id, as the cloud itself has them", async () => {
    const truth = (await (await fetch(`${place.url}/_simulator/truth`)).json()) as Truth;
    expect(truth.submits).toHaveLength(7);
    const json = await run('report', main, '-o', 'json');
    const { results } = JSON.parse(json.stdout) as { results: RolloutReport['results'] };
    const calls = results.flatMap(({ resource, calls: sent }) =>
      sent.map((call) => `${resource.id} ${call.requestId}`),
    );
    expect(calls.toSorted()).toEqual(
      truth.submits.map(({ resource, requestId }) => `${resource} ${requestId}`).toSorted(),
    );

    const file = join(place.directory, 'report.md');
    const written = await run('report', main, '--file', file);
    expect(written).toMatchObject({ code: 0, stdout: '', stderr: `report written to ${file}\n` });
    const markdown = readFileSync(file, 'utf8');
    expect(markdown).toContain(`# Rollout ${main}: SucceededWithFailures`);
    expect(markdown).toContain('**6 of 7 at target (86 %), 1 failed.**');
    expect(markdown.match(/^### \S+: RolledBack$/gm)).toHaveLength(1);
    for (const { requestId } of truth.submits) expect(markdown).toContain(`\`${requestId}\``);

    const nowhere = await run('report', main, '--file', '/nowhere/report.md');
    expect(nowhere.code).toBe(1);
    expect(nowhere.stderr).toMatch(/^uplift: --file: .*\(name a file that can be written\)\n$/);
  });

  it('apply --watch starts again what ended, and follows it', async () => {
    const { code, stderr } = await apply(place.plan, '--watch');
    expect(stderr).toContain(`started ${main}`);
    // Six are at their target; the graph that rolled back rolls back again.
    expect(code).toBe(3);
    const { rollout } = await statusOf(main);
    expect(rollout.counts).toEqual({ AlreadyAtTarget: 6, RolledBack: 1 });
  });

  it('status and report need no worker afterwards', async () => {
    await worker?.stop();
    worker = null;
    const { code, rollout } = await statusOf(main);
    expect(code).toBe(3);
    expect(rollout).toMatchObject({ state: 'SucceededWithFailures', workerAnswers: true });
    expect((await run('report', main)).stdout).toContain('1 failed.**');
  });

  it('no key was told by anything', () => {
    expect(place.secrets).toHaveLength(2);
    expect(told.join('').length).toBeGreaterThan(10_000);
    for (const secret of place.secrets) expect(told.join('')).not.toContain(secret);
  });
});

describe('in flight', () => {
  let slow: Rehearsal;
  let rollout: string;
  beforeAll(async () => {
    slow = await rehearsal('--seed', 'slow', '--graphs', '0', '--clusters', '1', '--min', '10m', '--max', '10m');
    worker = await serve(['worker', '--accounts', slow.accounts], /worker is ready/, {
      TEMPORAL_ADDRESS: server.address,
    });
  });
  afterAll(async () => {
    await slow.dispose();
  });

  it("status has the wait's own word: state, percent, polls", async () => {
    const file = join(slow.directory, 'quick-looks.yaml');
    // Looked at often, though it lasts.
    writeFileSync(file, readFileSync(slow.plan, 'utf8').replace(/timeScale: .*/, 'timeScale: 0.1'));
    const started = await run('apply', file, '--accounts', slow.accounts);
    rollout = linesOf(started.stdout)[0] ?? '';
    let resources: RolloutReport['rows'];
    do ({ resources } = await statusOf(rollout));
    while (resources[0]?.percent == null);
    const [cluster] = resources;
    expect(cluster).toMatchObject({
      phase: 'Await',
      outcome: null,
      reason: expect.stringContaining('activating') as string,
    });
    expect(cluster?.await?.polls).toBeGreaterThan(0);
    expect(cluster?.await?.percent).toBe(cluster?.percent);
    const { stdout } = await run('status', rollout);
    expect(stdout).toMatch(/\nIn flight \(1\)\n {2}es-cn-\w+ .* Await {5}[█░]{16} +\d+ %/);
  });

  it('status without a worker still knows what runs', async () => {
    await worker?.stop();
    worker = null;
    const { code, rollout: view, resources } = await statusOf(rollout);
    expect(code).toBe(5);
    expect(view).toMatchObject({ state: 'Running', workerAnswers: false, waves: [{ state: 'Running', total: 1 }] });
    expect(resources).toMatchObject([{ phase: 'Await', outcome: null }]);
    expect(resources[0]?.runId).not.toBeNull();
  });
});

it('a watch outlives its server', async () => {
  const child = start(['apply', place.plan, '--accounts', place.accounts, '--watch'], {
    TEMPORAL_ADDRESS: server.address,
  });
  const ended = endOf(child);
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  const complained = new Promise((resolve) => {
    child.stderr?.on('data', (chunk: Buffer) => chunk.toString().includes('trying again') && resolve(true));
  });
  await server.stop();
  expect(await Promise.race([complained, ended])).toBe(true);
  child.kill('SIGINT');
  expect((await ended).code).toBe(5);
});
