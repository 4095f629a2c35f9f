/** A rollout with one failing upgrade, and one that is refused, read in the Temporal UI as a person reads it who was woken up. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import type * as RolloutsModule from '../../client/rollouts.js';
import type * as StackModule from '../../client/stack.js';
import type * as BinaryModule from '../../temporal/binary.js';
import type * as ConnectionModule from '../../temporal/connection.js';
import type { Json } from '../../workflows/contracts/json.js';
import type { ResourceRef, UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { launchBrowser, TemporalUi } from './browser.js';

/** Built, since its processes are built ones. */
const DIST = new URL('../../dist/', import.meta.url);
const { startRollout } = (await import(new URL('client/rollouts.js', DIST).href)) as typeof RolloutsModule;
const { startStack } = (await import(new URL('client/stack.js', DIST).href)) as typeof StackModule;
const { connectClient } = (await import(new URL('temporal/connection.js', DIST).href)) as typeof ConnectionModule;
const { findServerBinary } = (await import(new URL('temporal/binary.js', DIST).href)) as typeof BinaryModule;

/** Of a plan, what is changed here. */
interface Plan {
  metadata: { name: string };
  spec: { targets: { service: string; ids: string[] }[]; waves: { name: string; rest?: true; targets?: string[] }[] };
}

/** Of what `uplift plan` prints, what is used here. */
interface Planned {
  waves: { targets: { verdict: string; resource: ResourceRef; target: Json; to: string; from: string | null }[] }[];
}

let directory: string;
let rehearsal: string;
let stack: StackModule.Stack;
/** What its provider's checks find fault with. */
let blocked: UpgradeSpec;
let browser: Browser;
let ui: TemporalUi;
/** The rollout's workflow id, and the exit code of the command that follows it to its end. */
let workflowId: string;
let rolledOut: Promise<number | null>;

beforeAll(async () => {
  // First, so that a missing one is told at once.
  browser = await launchBrowser();
  const page = await browser.newPage({ viewport: { width: 1440, height: 1000 } });
  const report = (line: string) => console.error(line);
  const binary = await findServerBinary({ report });

  directory = await mkdtemp(join(tmpdir(), 'uplift-ui-'));
  rehearsal = join(directory, 'simulator');
  const accounts = join(rehearsal, 'accounts.yaml');
  stack = await startStack({
    temporal: { kind: 'embedded', binary },
    directory,
    accountsFile: accounts,
    port: 0,
    uiPort: 0,
    simulator: [
      '--directory',
      rehearsal,
      '--port=0',
      '--seed=quarterly',
      '--min=4s',
      '--max=8s',
      '--graph-fate=rolls-back=1',
      '--cluster-fate=precheck-fails=1',
    ],
    durability: 'normal',
    env: process.env,
    report,
  });
  if (stack.uiUrl === null) throw new Error('an embedded server has its UI');
  ui = new TemporalUi(page, stack.uiUrl);
  const file = join(rehearsal, 'rollout.yaml');
  blocked = await blockedOf(file, accounts);
  const plan = parse(await readFile(file, 'utf8')) as Plan;
  const isOther = (id: string) => id !== blocked.resource.id;
  for (const target of plan.spec.targets) target.ids = target.ids.filter(isOther);
  for (const wave of plan.spec.waves) if (wave.targets !== undefined) wave.targets = wave.targets.filter(isOther);
  plan.spec.targets = plan.spec.targets.filter(({ ids }) => ids.length > 0);
  await writeFile(file, stringify(plan));
  ({ workflowId, rolledOut } = await apply(file, accounts));
});

afterAll(async () => {
  await browser?.close();
  await stack?.stop();
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

it('says while it runs what the state is, what comes next and why', async () => {
  const rollout = await ui.open(workflowId);
  const said = await ui.metadata(rollout, /Running: wave first half is running/);
  await ui.picture('running');
  expect(said).toMatch(/upgrades in 3 waves/);
  expect(said).toMatch(/Started by .+, failure budget 2/);
  expect(said).toMatch(/Next: wave everything else/);
  expect(said).toMatch(/Why: failure budget 2 \(loose\), [01] used/);
  expect(said).toMatch(/^canary\tDone\t3\t0\t0\t3\t3$/m);
  expect(said).toMatch(/^everything else\tPending\t0\t0\t0\t0\t\d+$/m);

  await ui.text(`${rollout}history`, /first half: \d+ upgrades/);
  await ui.picture('timeline');
});

it('says at the end how it went, and what failed', async () => {
  // Completed with tolerated failures.
  expect(await rolledOut).toBe(3);
  const rollout = await ui.open(workflowId);
  const said = await ui.metadata(rollout, /SucceededWithFailures/);
  await ui.picture('rollout');
  expect(said).toMatch(/SucceededWithFailures: (\d+) of \d+ at target, 1 failed/);
  expect(said).toMatch(/Latest failure: \S+: RolledBack: .*The graph upgrade failed and was rolled back/);
  expect(said).toMatch(/^everything else\tDone\t/m);
  await expect.poll(() => ui.cutRows()).toEqual([]);
});

it('leads from the rollout to its waves, shards and upgrades', async () => {
  const rollout = await ui.open(workflowId);
  await ui.text(`${rollout}relationships`, /wave\/\S+\/3/);
  await ui.page.getByText('Expand All').click();
  const upgrade = ui.page.getByRole('link', { name: /^upgrade\/alibaba\/elasticsearch\/cn-hangzhou\/es-cn-/ }).first();
  await upgrade.waitFor();
  await ui.picture('relationships');
  const id = await upgrade.innerText();
  await upgrade.click();
  // Ids hold slashes: the link has to encode them.
  await ui.page.waitForURL((url) => url.pathname.includes(`/workflows/${encodeURIComponent(id)}/`));
  expect(await ui.text(`${await ui.here()}history`, /verify • /)).toContain(id);
});

it('finds what failed by its search attributes, and says why on its own page', async () => {
  const rollout = workflowId.replace('rollout/', '');
  await ui.find(`UpliftRollout="${rollout}" AND UpliftOutcome="RolledBack"`);
  const found = ui.page.getByRole('link', { name: /^upgrade\// });
  await found.first().waitFor();
  await ui.picture('list');
  expect(await found.count()).toBe(1);
  const id = await found.innerText();
  await found.click();
  const upgrade = await ui.here();

  const history = await ui.text(`${upgrade}history`, /RolledBack: not at its target/);
  await ui.picture('failed-history');
  expect(history).toContain(id);
  for (const step of ['precheck', 'submit', 'awaitOperation', 'verify']) expect(history).toContain(`${step} • `);

  const said = await ui.metadata(upgrade, /RolledBack since/);
  await ui.picture('failed');
  expect(said).toMatch(/Next: nothing: this is the end/);
  expect(said).toMatch(/Why: not at its target: version \S+, status 200; the provider said: job failed: The graph/);
  expect(said).toMatch(/Failed in: upgrade, operation [0-9a-f-]{36}/);
  expect(said).toMatch(/Sent: POST at \S+Z: accepted, HTTP 200, request id [0-9a-f]{8}/);

  const attributes = await ui.text(`${upgrade}search-attributes`, /UpliftOutcome/);
  await ui.picture('search-attributes');
  const resource = id.split('/').at(-1);
  for (const [name, value] of Object.entries({
    UpliftAccount: 'huawei-sim',
    UpliftCloud: 'huawei',
    UpliftOutcome: 'RolledBack',
    UpliftPhase: 'Ended',
    UpliftResource: resource,
    UpliftRollout: rollout,
  })) {
    expect(attributes).toContain(`"${name}": "${value}"`);
  }
  expect(attributes).toMatch(/"UpliftService": "ges-v[12]"/);
  expect(attributes).toMatch(/"UpliftTarget": "\d/);
  expect(attributes).toMatch(/"UpliftRegion": "\S+"/);
});

it('lists the rollouts that match a filter on their search attributes, and no other', async () => {
  const plan = parse(await readFile(join(rehearsal, 'rollout.yaml'), 'utf8')) as Plan;
  plan.metadata.name = 'graphs-again';
  plan.spec.targets = plan.spec.targets.filter(({ service }) => service.startsWith('ges'));
  plan.spec.waves = [{ name: 'all', rest: true }];
  // What was rolled back is left of it: this one has something to do.
  const file = join(rehearsal, 'graphs.yaml');
  await writeFile(file, stringify(plan));
  const other = await apply(file, join(rehearsal, 'accounts.yaml'));

  const rollouts = ui.page.getByRole('link', { name: /^rollout\// });
  await ui.find('WorkflowType="rollout"');
  await rollouts.nth(1).waitFor();
  expect((await rollouts.allInnerTexts()).toSorted()).toEqual([other.workflowId, workflowId].toSorted());

  await ui.find('WorkflowType="rollout" AND UpliftRollout STARTS_WITH "quarterly-"');
  await ui.page.getByText('1 Workflow', { exact: true }).waitFor();
  await ui.picture('rollouts');
  expect(await rollouts.allInnerTexts()).toEqual([workflowId]);
  expect(await ui.page.locator('main').innerText()).toMatch(/UpliftRollout.*"quarterly-"/s);
  await other.rolledOut;
});

it('tells of a refused upgrade what the provider found, by its own code', async () => {
  // `uplift apply` refuses what is blocked already: here it becomes so between the plan and its turn.
  const client = await connectClient(stack.server);
  await startRollout(client, {
    rollout: 'too-late',
    planDigest: 'too-late',
    startedBy: 'ana',
    waves: [{ name: 'all', concurrency: 1, upgrades: [blocked] }],
    budget: { max: 1, mode: 'loose' },
    accountLimits: {},
    timing: { scale: 0.05 },
  });
  const workflowId = `upgrade/alibaba/elasticsearch/cn-hangzhou/${blocked.resource.id}`;
  // The page of one that does not exist yet stays without a run.
  const described = () =>
    client.workflow
      .getHandle(workflowId)
      .describe()
      .catch(() => null);
  await expect.poll(described, { timeout: 30_000 }).toMatchObject({ workflowId });
  await client.connection.close();
  const upgrade = await ui.open(workflowId);
  const said = await ui.metadata(upgrade, /Refused since/);
  await expect.poll(() => ui.cutRows()).toEqual([]);
  await ui.picture('refused');
  const [, type, code] = /Why: precheck failed: check\w+ failed: (cluster\w+) (Cluster\w+)$/m.exec(said) ?? [];
  expect(code, said).toBeDefined();
  expect(said).toMatch(new RegExp(`^check\\w+\\tfailed\\t${type} ${code}$`, 'm'));
  expect(said).toMatch(/Failed in: precheck/);
  expect(said).not.toMatch(/Sent:/);
});

/** The one target that takes no upgrade as it is now. */
async function blockedOf(plan: string, accounts: string): Promise<UpgradeSpec> {
  const shown = uplift('plan', plan, '--accounts', accounts, '-o', 'json');
  await shown.ended;
  const { waves } = JSON.parse(shown.printed()) as Planned;
  const [found, ...others] = waves.flatMap(({ targets }) => targets).filter(({ verdict }) => verdict === 'blocked');
  if (found === undefined || others.length > 0) throw new Error(`not one target is blocked:\n${shown.printed()}`);
  const { resource, target, to, from } = found;
  return { resource, target, targetLabel: to, plannedFrom: from };
}

/** `uplift apply`, and `uplift watch` to its end. */
async function apply(
  plan: string,
  accounts: string,
): Promise<{ workflowId: string; rolledOut: Promise<number | null> }> {
  const applied = uplift('apply', plan, '--accounts', accounts, '-o', 'json');
  const code = await applied.ended;
  if (code !== 0) throw new Error(`uplift apply ended with ${code}:\n${applied.printed()}`);
  const started = JSON.parse(applied.printed()) as { rollout: string; workflowId: string };
  return { workflowId: started.workflowId, rolledOut: uplift('watch', started.rollout, '-o', 'json').ended };
}

function uplift(...args: string[]): { ended: Promise<number | null>; printed(): string } {
  const main = fileURLToPath(new URL('client/main.js', DIST));
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, TEMPORAL_ADDRESS: stack.server.address },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  return { ended: once(child, 'exit').then(([code]) => code as number | null), printed: () => printed };
}
