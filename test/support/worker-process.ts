/** Worker processes as users run them, on simulated clouds. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { DEMO_PROJECT } from '../../simulator/inventory.js';
import { CLOUD_ENV } from './clouds.js';

const MAIN = fileURLToPath(new URL('../../dist/client/main.js', import.meta.url));

export interface WorkerProcess {
  readonly pid: number;
  /** What it wrote so far. */
  log(): string;
  /** Sends the signal; with one that ends it, await `ended`. */
  signal(name: NodeJS.Signals): void;
  /** Resolves with the exit code or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

/** Writes an accounts file for the clouds at `url` into the folder; returns its path. */
export async function writeAccounts(
  directory: string,
  url: string,
  rates: { reads: number; writes: number } = { reads: 200, writes: 100 },
): Promise<string> {
  const file = join(directory, 'accounts.yaml');
  const huawei = { cloud: 'huawei', region: 'eu-west-101', projectId: DEMO_PROJECT };
  const accounts = {
    huawei: { ...huawei, endpoints: { ges: url, cse: url, dcs: url }, rates },
    alibaba: { cloud: 'alibaba', region: 'cn-hangzhou', endpoints: { elasticsearch: url }, rates },
  };
  await writeFile(file, stringify({ accounts }));
  return file;
}

/** Starts `uplift worker`; resolves when it polls. */
export async function startWorkerProcess(options: {
  /** host:port of the Temporal server. */
  readonly address: string;
  readonly accounts: string;
  /** Of the one that it follows, if it follows one. */
  readonly name?: string;
  /** Further variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** Of another installation: its `dist/client/main.js`. */
  readonly main?: string;
}): Promise<WorkerProcess> {
  const { accounts, name, main = MAIN } = options;
  if (!existsSync(main)) throw new Error(`${main} is not there: build first, by \`npm run build\``);
  const args = ['worker', '--accounts', accounts, ...(name === undefined ? [] : ['--name', name])];
  const child = spawn(process.execPath, [main, ...args], {
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      ...CLOUD_ENV,
      TEMPORAL_ADDRESS: options.address,
      ...options.env,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const lines: string[] = [];
  const killNow = () => child.kill('SIGKILL');
  process.once('exit', killNow);
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('close', (code, signal) => {
      process.off('exit', killNow);
      resolve(signal ?? code ?? -1);
    });
  });
  await Promise.race([
    new Promise<void>((resolve) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        lines.push(line);
        if (line.includes('worker is ready')) resolve();
      });
    }),
    ended.then((how) => {
      throw new Error(`the worker ended with ${how}: ${lines.join('\n')}`);
    }),
  ]);
  return {
    pid: child.pid ?? 0,
    log: () => lines.join('\n'),
    signal: (name) => child.kill(name),
    ended,
  };
}
