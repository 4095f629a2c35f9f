/** How surely the embedded server keeps what it has acknowledged: by its own command line. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { freePorts } from '../../temporal/ports.js';
import { endOf, start } from '../cli/cli.js';
import { CLOUD_ENV } from '../support/clouds.js';

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'uplift-durability-'));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** Starts `uplift dev`, resolves with its server's command line, and ends it. */
async function serverOf(...args: string[]): Promise<string> {
  const ports = ['--port', '0', '--ui-port', '0', '--directory', join(directory, String(args.length))];
  const dev = start(['dev', ...ports, ...args], { ...CLOUD_ENV, UPLIFT_CACHE: process.env['UPLIFT_CACHE'] });
  const ended = endOf(dev);
  const pid = await Promise.race([
    new Promise<string>((resolve) => {
      let printed = '';
      dev.stderr?.on('data', (chunk: Buffer) => {
        printed += chunk.toString();
        const [, found] = /^Temporal .* pid (\d+)$/m.exec(printed) ?? [];
        if (found !== undefined) resolve(found);
      });
    }),
    ended.then(({ stderr }) => {
      throw new Error(`uplift dev has ended: ${stderr}`);
    }),
  ]);
  const { stdout } = await promisify(execFile)('ps', ['-o', 'args=', '-ww', '-p', pid]);
  dev.kill('SIGTERM');
  expect((await ended).code).toBe(0);
  return stdout;
}

it('with real accounts every commit is on the disk before it is acknowledged', async () => {
  const accounts = join(directory, 'accounts.yaml');
  await writeFile(accounts, stringify({ accounts: { prod: { cloud: 'huawei', region: 'eu-west-101' } } }));
  const server = await serverOf('--no-simulator', '--accounts', accounts);
  expect(server).toContain('--sqlite-pragma journal_mode=wal');
  expect(server).toContain('--sqlite-pragma synchronous=full');
});

it('with simulated clouds a power cut may take the last moments back', async () => {
  const [port] = (await freePorts(1)) as [number];
  expect(await serverOf('--simulator-port', String(port))).toContain('--sqlite-pragma synchronous=normal');
});
