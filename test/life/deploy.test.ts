/** A new build of the workers in the middle of a rollout: beside the old one until that is drained, or in its place. */
import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { WorkflowHandle } from '@temporalio/client';
import { optionalTsToMs } from '@temporalio/common/lib/time.js';
import { DeterminismViolationError } from '@temporalio/workflow';
import { Worker } from '@temporalio/worker';
import { afterAll, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { keepInventory } from '../../activities/inventory.js';
import { rolloutWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput } from '../../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import type { rollout } from '../../workflows/rollout.js';
import type { upgrade } from '../../workflows/upgrade.js';
import { uplift } from '../cli/cli.js';
import { ROOT } from '../support/compose.js';
import { workflowBundle } from '../support/environment.js';
import { type Installation, install, pendingSteps, SCALE } from './installation.js';

const RESOURCES = 8;
/** As many as are in flight when the new build comes. */
const IN_FLIGHT = 4;
const ENDLESS_MS = 3_600_000;
const DEPLOYMENT = 'uplift-test';
/** Milliseconds that the newer build's workflows wait where the older ones do not: no other timer of theirs is as long. */
const NEWER_MS = 1_234;
/** The server's own minutes before it says that a build is drained, and the minute that an idle worker's poll takes. */
const QUICK_SERVER = {
  'matching.longPollExpirationInterval': '"3s"',
  'matching.wv.VersionDrainageStatusVisibilityGracePeriod': '"2s"',
  'matching.wv.VersionDrainageStatusRefreshInterval': '"1s"',
};
/** VersioningBehavior and EventType, as the wire has them. */
const PINNED = 1;
const AUTO_UPGRADE = 2;
const ACTIVITY_TIMED_OUT = 13;

const installations: Installation[] = [];
afterAll(async () => {
  for (const life of installations) await life.close();
});

async function installed(seed: string): Promise<Installation> {
  const life = await install(
    { seed, graphs: RESOURCES, durationMs: { min: 2_000, max: 3_000 } },
    { dynamicConfig: QUICK_SERVER },
  );
  installations.push(life);
  return life;
}

/**
 * A newer installation beside this one: its upgrades begin with a wait, which no history of the older ones has, and its
 * rollouts end with one. Rollouts live through a deploy, so their change is patched.
 *
 * @param upgrades whether upgrades live through it as well, or are pinned
 */
async function newerInstallation(life: Installation, upgrades: 'patched' | 'pinned') {
  const directory = join(life.directory, 'newer');
  await cp(join(ROOT, 'dist'), join(directory, 'dist'), { recursive: true });
  await cp(join(ROOT, 'package.json'), join(directory, 'package.json'));
  await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  const workflows = join(directory, 'dist/workflows');
  const change = async (file: string, line: string, code: string) => {
    const [before = '', after, ...more] = (await readFile(join(workflows, file), 'utf8')).split(line);
    if (after === undefined || more.length > 0) throw new Error(`${file} does not have once: ${line}`);
    const imports = `import { patched as isAfterDeploy, sleep as waitLonger } from '@temporalio/workflow';\n`;
    await writeFile(join(workflows, file), `${imports}${before}${code}\n${line}${after}`);
  };
  const wait = `await waitLonger(${NEWER_MS});`;
  const patchedWait = `if (isAfterDeploy('newer')) ${wait}`;
  await change('upgrade.js', 'for (;;) {', upgrades === 'patched' ? patchedWait : wait);
  await change('rollout.js', 'const result = run.conclude();', patchedWait);
  return { main: join(directory, 'dist/client/main.js'), workflows: pathToFileURL(join(workflows, 'index.js')) };
}

interface Begun {
  readonly handle: WorkflowHandle<typeof rollout>;
  readonly specs: readonly UpgradeSpec[];
}

/** A rollout whose first operations run until they are told to end. */
async function begin(life: Installation): Promise<Begun> {
  const specs = life.clouds.specs('ges');
  const { inventory } = life.clouds.simulator;
  for (const { resource } of specs.slice(0, IN_FLIGHT)) inventory.change(resource.id, { durationMs: ENDLESS_MS });
  const input: RolloutInput = {
    rollout: 'deploy',
    planDigest: 'digest',
    startedBy: 'ana',
    waves: [{ name: 'all', concurrency: IN_FLIGHT, upgrades: specs }],
    budget: { max: RESOURCES, mode: 'loose' },
    accountLimits: {},
    timing: { scale: SCALE },
  };
  const handle = await life.env.client.workflow.start<typeof rollout>('rollout', {
    workflowId: rolloutWorkflowId('deploy'),
    taskQueue: QUEUES.main,
    args: [await keepInventory(life.env.client, input)],
  });
  return { handle, specs };
}

async function inFlight(life: Installation): Promise<void> {
  while (life.clouds.simulator.truth().submits.length < IN_FLIGHT) await delay(50);
}

/** What runs ends now. */
function finish(life: Installation, { specs }: Begun): void {
  for (const { resource } of specs) {
    for (const { operation } of life.clouds.simulator.inventory.operations(resource.id)) {
      if (operation.durationMs !== ENDLESS_MS) continue;
      Object.assign(operation, { durationMs: Date.now() - operation.acceptedAt });
    }
  }
}

/** What the clouds and the histories say of attempts: none lost, none twice. */
async function judge(life: Installation, { handle, specs }: Begun) {
  expect(await handle.result()).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: RESOURCES } });
  expect(specs.map((spec) => life.accepted(spec))).toEqual(specs.map(() => 1));
  expect(life.clouds.simulator.truth()).toMatchObject({ refused: [], violations: [] });
  const runs = await Promise.all(specs.map(({ resource }) => storyOf(life, upgradeWorkflowId(resource))));
  // A lost attempt is one that the server has to give up waiting for.
  expect(runs.flatMap(({ timeouts }) => timeouts)).toEqual([]);
  return runs;
}

async function storyOf(life: Installation, workflowId: string) {
  const handle = life.env.client.workflow.getHandle(workflowId);
  const { events = [] } = await handle.fetchHistory();
  const { versioningInfo } = (await handle.describe()).raw.workflowExecutionInfo ?? {};
  const builds = (events ?? []).flatMap(
    ({ workflowTaskCompletedEventAttributes: completed }) => completed?.deploymentVersion?.buildId ?? [],
  );
  return {
    behavior: versioningInfo?.behavior,
    builds: [...new Set(builds)],
    attempts: (events ?? []).flatMap(({ activityTaskStartedEventAttributes: started }) => started?.attempt ?? []),
    /** It went the newer build's way. */
    isNewer: (events ?? []).some(
      ({ timerStartedEventAttributes: timer }) => optionalTsToMs(timer?.startToFireTimeout) === NEWER_MS,
    ),
    timeouts: (events ?? []).filter(({ eventType }) => Number(eventType) === ACTIVITY_TIMED_OUT),
  };
}

it.concurrent(
  'versioned: the old build ends its upgrades, the new one does the rest',
  { timeout: 420_000 },
  async ({ expect }) => {
    const life = await installed('versioned');
    const { address } = life.env.server;
    const newer = await newerInstallation(life, 'pinned');
    const build = (name: string, main?: string) => {
      const env = { UPLIFT_DEPLOYMENT: DEPLOYMENT, UPLIFT_BUILD_ID: name };
      return life.worker({ name, env, ...(main === undefined ? {} : { main }) });
    };
    const worker = (...args: string[]) =>
      uplift(['worker', ...args, '--deployment', DEPLOYMENT, '--address', address, '-o', 'json']);
    const versions = async () => {
      const { deployments } = JSON.parse((await worker('status')).stdout) as {
        deployments: {
          versions: { buildId: string; state: string; upgrades: number; workers: string[]; unserved: string[] }[];
        }[];
      };
      return Object.fromEntries((deployments[0]?.versions ?? []).map(({ buildId, ...told }) => [buildId, told]));
    };

    const lack = `no worker of ${DEPLOYMENT}, build old, polls uplift, uplift-submit, uplift-wait`;
    const early = await worker('promote', 'old', '--timeout', '1s');
    expect(early).toMatchObject({ code: 1, stderr: expect.stringContaining(lack) as string });
    const old = await build('old');
    const begun = await begin(life);
    // It polls every queue, and gets nothing yet.
    const idle = (name: string) => ({ [name]: { state: 'new', workers: [name], unserved: [] } });
    await expect.poll(versions, { timeout: 30_000 }).toMatchObject(idle('old'));
    const { stdout: examined } = await uplift(['doctor', '--address', address, '--accounts', life.accounts]);
    expect(examined).toContain(`No version of the deployment ${DEPLOYMENT} is current, so its workers get no new task`);
    const { stdout: explained } = await uplift(['explain', 'deploy', '--address', address]);
    expect(explained).toContain(`uplift worker promote old --deployment ${DEPLOYMENT}`);
    expect((await begun.handle.describe()).historyLength).toBe(2);
    // An account's own queue has to be polled as well.
    const apart = `${life.accounts}.eu.yaml`;
    const { accounts } = parse(await readFile(life.accounts, 'utf8')) as { accounts: Record<string, object> };
    await writeFile(
      apart,
      stringify({ accounts: { ...accounts, eu: { ...Object.values(accounts)[0], queue: 'eu' } } }),
    );
    const partly = await worker('promote', 'old', '--timeout', '1s', '--accounts', apart);
    const lackHere = `no worker of ${DEPLOYMENT}, build old, polls uplift@eu, uplift-submit@eu, uplift-wait@eu`;
    expect(partly).toMatchObject({ code: 1, stderr: expect.stringContaining(lackHere) as string });
    expect(JSON.parse((await worker('status', '--accounts', apart)).stdout)).toMatchObject({
      deployments: [{ versions: [{ unserved: ['uplift@eu', 'uplift-submit@eu', 'uplift-wait@eu'] }] }],
    });
    expect(await worker('promote', 'old')).toMatchObject({ code: 0 });

    await inFlight(life);
    await build('new', newer.main);
    expect(await versions()).toMatchObject({ old: { state: 'current' }, new: { state: 'new', upgrades: 0 } });
    expect((await worker('drain', 'old')).stderr).toContain('old is current: it gets new upgrades (promote another');
    const promoted = await worker('promote', 'new');
    expect(promoted).toMatchObject({ code: 0 });
    expect(promoted.stderr).toContain('old keeps the upgrades that began on it: uplift worker drain old');
    const both = { old: { state: 'draining', upgrades: IN_FLIGHT }, new: { state: 'current' } };
    await expect.poll(versions, { timeout: 30_000 }).toMatchObject(both);
    const impatient = await worker('drain', 'old', '--timeout', '1s');
    expect(impatient).toMatchObject({ code: 124, stderr: `old: ${IN_FLIGHT} upgrades have to end on it\n` });

    finish(life, begun);
    const drained = await worker('drain');
    expect(drained).toMatchObject({ code: 0, stderr: expect.stringContaining('drained: ') as string });
    expect(await versions()).toMatchObject({ old: { state: 'drained', upgrades: 0 } });
    old.signal('SIGTERM');
    expect(await old.ended).toBe(0);

    const runs = await judge(life, begun);
    const on = (name: string) => runs.filter(({ builds }) => builds.includes(name)).length;
    console.log(`versioned: ${on('old')} upgrades ended on the old build, ${on('new')} on the new one`);
    for (const { behavior, builds, attempts, isNewer } of runs) {
      expect(behavior).toBe(PINNED);
      expect(builds).toEqual([isNewer ? 'new' : 'old']);
      expect(new Set(attempts)).toEqual(new Set([1]));
    }
    expect(on('old')).toBe(IN_FLIGHT);
    const story = await storyOf(life, begun.handle.workflowId);
    expect(story).toMatchObject({ behavior: AUTO_UPGRADE, builds: ['old', 'new'], isNewer: true });
    // And a worker that takes the rollout up afresh replays both builds' part of it, while an upgrade of the old one would
    // not have gone on on the new one.
    const newerBundle = { workflowBundle: await workflowBundle(newer.workflows) };
    await Worker.runReplayHistory(newerBundle, await begun.handle.fetchHistory());
    const [first] = begun.specs;
    if (first === undefined) throw new Error('there is no upgrade');
    const pinned = await life.env.client.workflow.getHandle(upgradeWorkflowId(first.resource)).fetchHistory();
    await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, pinned);
    await expect(Worker.runReplayHistory(newerBundle, pinned)).rejects.toThrow(DeterminismViolationError);

    // The server still names the workers of a build that was killed.
    const killed = await build('killed', newer.main);
    await expect.poll(versions, { timeout: 30_000 }).toMatchObject(idle('killed'));
    killed.signal('SIGKILL');
    await killed.ended;
    const gone = await worker('promote', 'killed', '--timeout', '8s');
    expect(gone).toMatchObject({ code: 1, stderr: expect.stringContaining('has polled since this began') as string });
    expect(await versions()).toMatchObject({
      new: { state: 'current' },
      killed: { state: 'new', workers: ['killed'] },
    });

    const none = await worker('promote', '--unversioned', '--timeout', '1s');
    expect(none).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no worker without a deployment polls') as string,
    });
    await life.worker({ name: 'plain' });
    expect(await worker('promote', '--unversioned')).toMatchObject({ code: 0 });
    const off = await uplift(['doctor', '--address', address, '--accounts', life.accounts]);
    expect(off.stdout).toContain(
      `No version of the deployment ${DEPLOYMENT} is current, so what is new goes to the workers without a deployment`,
    );
  },
);

it.concurrent(
  'unversioned: the new build takes over what the old one waits for',
  { timeout: 420_000 },
  async ({ expect }) => {
    const life = await installed('unversioned');
    const old = await life.worker({ name: 'old' });
    const begun = await begin(life);
    await inFlight(life);
    const first = begun.specs.slice(0, IN_FLIGHT).map(({ resource }) => upgradeWorkflowId(resource));
    const steps = async () => {
      const handles = first.map((id) => life.env.client.workflow.getHandle<typeof upgrade>(id));
      return (await Promise.all(handles.map(pendingSteps))).flat();
    };
    await expect.poll(steps, { timeout: 60_000 }).toEqual(first.map(() => 'awaitOperation, attempt 1'));
    const { main } = await newerInstallation(life, 'patched');
    await life.worker({ name: 'new', main });
    old.signal('SIGTERM');
    expect(await old.ended).toBe(0);
    finish(life, begun);

    const runs = await judge(life, begun);
    const handed = runs.filter(({ attempts }) => attempts.some((attempt) => attempt > 1)).length;
    console.log(`unversioned: ${handed} upgrades handed over to the new build`);
    expect(handed).toBe(IN_FLIGHT);
    for (const { behavior } of runs) expect(behavior ?? 0).toBe(0);
    // What the old build began goes on its way, what began later the new one's; and so does the rollout itself.
    expect(runs.map(({ isNewer }) => isNewer)).toEqual(begun.specs.map((_, index) => index >= IN_FLIGHT));
    expect(await storyOf(life, begun.handle.workflowId)).toMatchObject({ isNewer: true });
  },
);
