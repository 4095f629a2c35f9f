/** Runs the bare skeleton's worker and its rollouts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { cleanEnv, SCALE, type Installation, type Planned } from '../fleet.js';
import type { BareInput, BareResult } from './workflows.js';

const WORKER = fileURLToPath(new URL('worker.js', import.meta.url));
const QUEUE = 'bare';

export interface BareWorker {
  readonly pid: number;
  /** @param name another one for each rollout */
  run(
    name: string,
    planned: readonly Planned[],
    how: { readonly concurrency: number; readonly scale?: number },
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
    env: { MALLOC_ARENA_MAX: '2', ...cleanEnv() },
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
    run: async (name, planned, { concurrency, scale = SCALE }) => {
      const input: BareInput = { name, specs: planned.map(({ spec }) => spec), concurrency, timing: { scale } };
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
