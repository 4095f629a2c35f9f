/** A rollout with one failing upgrade, read in the Temporal UI as a person reads it who was woken up. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import type * as StackModule from '../../client/stack.js';
import type * as BinaryModule from '../../temporal/binary.js';
import { launchBrowser, TemporalUi } from './browser.js';

/** Built, since its processes are built ones. */
const DIST = new URL('../../dist/', import.meta.url);
const { startStack } = (await import(new URL('client/stack.js', DIST).href)) as typeof StackModule;
const { findServerBinary } = (await import(new URL('temporal/binary.js', DIST).href)) as typeof BinaryModule;

/** Of a plan, what is changed here. */
interface Plan {
  metadata: { name: string };
  spec: { targets: { service: string }[]; waves: unknown[] };
}

let directory: string;
let rehearsal: string;
let stack: StackModule.Stack;
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
    ],
    durability: 'normal',
    env: process.env,
    report,
  });
  if (stack.uiUrl === null) throw new Error('an embedded server has its UI');
  ui = new TemporalUi(page, stack.uiUrl);
  ({ workflowId, rolledOut } = await apply(join(rehearsal, 'rollout.yaml'), accounts));
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
