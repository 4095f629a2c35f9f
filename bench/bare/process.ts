/** Runs the bare skeleton's worker and its rollouts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { BOUNDED_MALLOC } from '../../client/stack.js';
import { cleanEnv, SCALE, type Installation, type Planned } from '../fleet.js';
import type { BareInput, BareResult, Within } from './workflows.js';

const WORKER = fileURLToPath(new URL('worker.js', import.meta.url));
const QUEUE = 'bare';
const WITHIN: Within = { step: 30_000, wait: 180_000 };

export interface BareWorker {
  readonly pid: number;
  /** @param name another one for each rollout */
  run(
    name: string,
    planned: readonly Planned[],
    how: { readonly concurrency: number; readonly scale?: number; readonly within?: Within },
  ): Promise<readonly BareResult[]>;
  stop(): Promise<void>;
}

/** @param fixedPollMs polls at this interval, in milliseconds at scale 1; as Uplift does when left out */
export async function startBareWorker(
  { client, stack, accountsFile }: Installation,
  fixedPollMs: number | null = null,
): Promise<BareWorker> {
  const args = ['--accounts', accountsFile, '--address', stack.server.address, '--queue', QUEUE];
  if (fixedPollMs !== null) args.push('--fixed-poll-ms', String(fixedPollMs));
  const child = spawn(process.execPath, [WORKER, ...args], {
    env: { ...BOUNDED_MALLOC, ...cleanEnv() },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const killNow = () => child.kill('SIGKILL');
  process.once('exit', killNow);
  const ended = once(child, 'close');
  const ready = once(createInterface({ input: child.stdout }), 'line');
  const first = await Promise.race([ready, ended.then(() => null)]);
  if (first === null) throw new Error('the worker of the bare skeleton did not start');
  return {
    pid: child.pid ?? 0,
    run: async (name, planned, { concurrency, scale = SCALE, within = WITHIN }) => {
      const specs = planned.map(({ spec }) => spec);
      const input: BareInput = { name, specs, concurrency, timing: { scale }, within };
      const handle = await client.workflow.start('bareRollout', { workflowId: name, taskQueue: QUEUE, args: [input] });
      return (await handle.result()) as readonly BareResult[];
    },
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
      process.off('exit', killNow);
    },
  };
}
