/** The demo as a process, with its worker and its Temporal server killed by SIGKILL in the middle. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { Truth } from '../../simulator/truth.js';

const DEMO = fileURLToPath(new URL('../../dist/scripts/demo.js', import.meta.url));
const RESOURCES = 25;

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'uplift-killed-'));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

it('ends as if nothing had happened, with one accepted submit per resource, and leaves no secret anywhere', async () => {
  const demo = spawn(process.execPath, [DEMO, '--directory', directory], {
    env: process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  demo.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  demo.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const ended = once(demo, 'exit') as Promise<[number | null]>;

  await until(() => /worker \(pid \d+\)/.test(printed));
  const truth = await truthSource();
  await until(async () => (await truth()).submits.length >= 2);
  kill('worker');
  await until(() => /the worker runs again/.test(printed));
  await until(async () => (await truth()).submits.length >= 8);
  kill('Temporal');
  await until(() => /the Temporal server runs again/.test(printed));
  await until(async () => (await truth()).submits.length >= 16);
  process.kill(Number(/the worker runs again, pid (\d+)/.exec(printed)?.[1]), 'SIGKILL');

  const [exitCode] = await ended;
  console.log(/The clouds' own record: .*/.exec(printed)?.[0]);
  expect(printed).toContain(
    `${RESOURCES} accepted submits for ${RESOURCES} of ${RESOURCES} resources, 0 upgraded twice`,
  );
  expect(printed.match(/starting it again/g)).toHaveLength(3);
  expect(exitCode, printed).toBe(0);

  const keys = await secretKeys();
  expect(keys).toHaveLength(2);
  expect(printed).not.toMatch(new RegExp(keys.join('|')));
  const searched = await filesWithout(keys);
  console.log(`searched for secret keys: ${searched.join(', ')}`);
  // The database holds every history.
  expect(searched).toContain('temporal.db');
  expect(searched).toContain('worker.log');

  function kill(name: 'worker' | 'Temporal'): void {
    const pid = Number(new RegExp(`${name}[^(]*\\(pid (\\d+)\\)`).exec(printed)?.[1]);
    process.kill(pid, 'SIGKILL');
  }

  async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await isSo())) {
      if (demo.exitCode !== null) throw new Error(`the demo ended early:\n${printed}`);
      await delay(100);
    }
  }
}, 300_000);

async function truthSource(): Promise<() => Promise<Truth>> {
  const accounts = parse(await readFile(join(directory, 'simulator', 'accounts.yaml'), 'utf8')) as {
    accounts: Record<string, { endpoints: { ges?: string } }>;
  };
  const url = Object.values(accounts.accounts).find(({ endpoints }) => endpoints.ges !== undefined)?.endpoints.ges;
  return async () => (await (await fetch(`${url}/_simulator/truth`)).json()) as Truth;
}

async function secretKeys(): Promise<string[]> {
  const folder = join(directory, 'simulator');
  const files = (await readdir(folder)).filter((file) => file.endsWith('.credentials.yaml'));
  return Promise.all(
    files.map(async (file) => (parse(await readFile(join(folder, file), 'utf8')) as { secretKey: string }).secretKey),
  );
}

/** Every file of the demo but the key files themselves: none may hold a key. Gives the names of what was searched. */
async function filesWithout(keys: readonly string[]): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !entry.name.endsWith('.credentials.yaml'));
  for (const file of files) {
    const content = await readFile(join(file.parentPath, file.name));
    for (const key of keys) expect(content.includes(key), `${file.name} holds a secret key`).toBe(false);
  }
  return files.map(({ name }) => name);
}
