/** A Temporal server that loses time, its disk or its memory, under upgrades that go on at the clouds meanwhile. */
import { copyFile, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../activities/clock.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { serverBinary } from '../support/environment.js';
import { type Installation, install, pendingSteps, SERVICES, type UpgradeHandle } from './installation.js';

const AWAY_MS = 30_000;
/** So much the database may still grow on a disk that is nearly full, and so much others write at a time. */
const ROOM_BYTES = 6_000_000;
const CHUNK_BYTES = 500_000;

const installations: Installation[] = [];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'uplift-server-'));
});
afterAll(async () => {
  for (const life of installations) await life.close();
  await rm(folder, { recursive: true, force: true });
});

async function installed(seed: string, each: number, durationMs: { min: number; max: number }): Promise<Installation> {
  const fleet = { seed, graphs: 2 * each, engines: each, caches: each, clusters: each, durationMs };
  const life = await install(fleet, { dbFile: join(folder, seed, 'temporal.db') });
  installations.push(life);
  return life;
}

interface Begun {
  readonly spec: UpgradeSpec;
  readonly handle: UpgradeHandle;
}

function beginAll(life: Installation, specs: readonly UpgradeSpec[]): Promise<Begun[]> {
  return Promise.all(specs.map(async (spec) => ({ spec, handle: await life.begin(spec) })));
}

/** Outcome and accepted submits, a line for each. */
async function ends(life: Installation, begun: readonly Begun[]): Promise<string[]> {
  return Promise.all(
    begun.map(async ({ spec, handle }) => {
      const { outcome } = await handle.result();
      return `${spec.resource.service} ${outcome}, accepted ${life.accepted(spec)}`;
    }),
  );
}

it.concurrent('a server that was away is served by the same worker, and the ends it missed are read', async () => {
  const life = await installed('away', 1, { min: 5_000, max: 40_000 });
  const worker = await life.worker();
  const begun = await beginAll(
    life,
    SERVICES.map((service) => life.take(service)),
  );
  while (life.clouds.simulator.truth().submits.length < 2) await systemClock.sleep(20);
  process.kill(life.server().pid, 'SIGKILL');
  await life.server().ended;
  await systemClock.sleep(AWAY_MS);
  await life.startServer();

  expect(await ends(life, begun)).toEqual(SERVICES.map((service) => `${service} Succeeded, accepted 1`));
  expect(life.clouds.simulator.truth().violations).toEqual([]);
  worker.signal('SIGTERM');
  expect(await worker.ended).toBe(0);
});

it.concurrent('a database put back from before the submits sends none of them again', async () => {
  const life = await installed('backup', 2, { min: 4_000, max: 30_000 });
  const worker = await life.worker();
  const specs = [...SERVICES, ...SERVICES].map((service) => life.take(service));
  // One of each service waits in its precheck, another one with its submit on its way.
  const holds = specs.map(({ resource }, index) =>
    life.calls.hold(
      ({ call, point, resource: id }) =>
        id === resource.id && point === 'arrived' && call === (index < SERVICES.length ? 'read' : 'submit'),
    ),
  );
  const begun = await beginAll(life, specs);
  await Promise.all(holds.map(({ reached }) => reached));
  expect(life.clouds.simulator.truth().submits).toEqual([]);

  // Both files of one moment.
  const dbFile = join(folder, 'backup', 'temporal.db');
  process.kill(life.server().pid, 'SIGSTOP');
  for (const suffix of ['', '-wal']) await copyFile(`${dbFile}${suffix}`, `${dbFile}${suffix}.backup`);
  process.kill(life.server().pid, 'SIGCONT');
  for (const hold of holds) hold.release();
  while (life.clouds.simulator.truth().submits.length < specs.length) await systemClock.sleep(20);
  const isFollowed = async ({ handle }: Begun) => !/precheck|submit/.test((await pendingSteps(handle)).join());
  while (!(await Promise.all(begun.map(isFollowed))).every(Boolean)) await systemClock.sleep(100);

  // The workers first: they hold workflows in memory that are further than the older database knows.
  worker.signal('SIGKILL');
  await worker.ended;
  process.kill(life.server().pid, 'SIGKILL');
  await life.server().ended;
  for (const suffix of ['', '-wal']) await copyFile(`${dbFile}${suffix}.backup`, `${dbFile}${suffix}`);
  await rm(`${dbFile}-shm`, { force: true });
  await life.startServer();
  await life.worker();

  const ended = await ends(life, begun);
  console.log(`after the restore: ${ended.join('; ')}`);
  for (const end of ended) expect(end).toMatch(/ (Succeeded|Adopted|AlreadyAtTarget), accepted 1$/);
  expect(life.clouds.simulator.truth().violations).toEqual([]);
});

it.concurrent('a full disk stops everything, and room on it lets everything go on', async () => {
  const life = await installed('full', 1, { min: 2_000, max: 10_000 });
  await life.server().stop();
  const dbFile = join(folder, 'full', 'temporal.db');
  const sizes = await Promise.all([dbFile, `${dbFile}-wal`].map(async (file) => (await stat(file)).size));
  const blocks = Math.ceil((Math.max(...sizes) + ROOM_BYTES) / 512);
  const limited = join(folder, 'limited');
  await writeFile(limited, `#!/bin/sh\nulimit -f ${blocks}\nexec '${serverBinary()}' "$@"\n`, { mode: 0o755 });
  let failures = 0;
  await life.startServer({
    binary: limited,
    onLog: (line) => {
      if (line.includes('disk I/O error')) failures += 1;
    },
  });

  await life.worker();
  const begun = await beginAll(
    life,
    SERVICES.map((service) => life.take(service)),
  );
  while (life.clouds.simulator.truth().submits.length === 0) await systemClock.sleep(20);
  // Somebody else's data fills the disk.
  for (let number = 1; failures === 0; number += 1) {
    const filler = { taskQueue: 'nobody', workflowId: `filler-${number}`, args: ['x'.repeat(CHUNK_BYTES)] };
    await life.env.client.workflow.start('filler', filler).catch(() => {});
  }
  const submitsThen = life.clouds.simulator.truth().submits.length;
  await systemClock.sleep(3_000);
  console.log(`the disk was full after ${submitsThen} submits; writes that failed within 3 s: ${failures}`);
  await life.server().stop();
  await life.startServer();

  expect(await ends(life, begun)).toEqual(SERVICES.map((service) => `${service} Succeeded, accepted 1`));
  expect(life.clouds.simulator.truth().violations).toEqual([]);
});
