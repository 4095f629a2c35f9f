import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { createInterface } from 'node:readline';

export interface RunOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Milliseconds after which it is killed. */
  readonly timeoutMs: number;
  /** Called with each line of standard error. */
  readonly onLine?: (line: string) => void;
  /** Ends it early, by SIGKILL. */
  readonly signal?: AbortSignal;
  /** Whatever it starts is ended with it: a process group of its own, out of reach of the terminal's Ctrl-C. */
  readonly group?: boolean;
}

export interface RunResult {
  readonly ok: boolean;
  readonly stdout: string;
  /** Why it is not `ok`: its last line on standard error, the time-out, or that it cannot be started. */
  readonly problem: string;
}

/** Runs a command to its end, without a shell. Never throws: a command that is missing is a result as well. */
export function run(command: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  return new Promise((resolve) => {
    const child = spawn(command, [...args], {
      cwd: options.cwd,
      env: options.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: options.group ?? false,
    });
    let stdout = '';
    let lastLine = '';
    let timedOut = false;
    const kill = () => {
      if (child.pid === undefined) return;
      try {
        process.kill(options.group === true ? -child.pid : child.pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    };
    const timer = setTimeout(() => {
      timedOut = true;
      kill();
    }, options.timeoutMs);
    options.signal?.addEventListener('abort', kill, { once: true });
    if (options.signal?.aborted === true) kill();
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (line.trim() !== '') lastLine = line.trim();
      options.onLine?.(line);
    });

    const settle = (ok: boolean, problem: string) => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', kill);
      // A grandchild may keep the pipes open after the child itself is gone.
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({ ok, stdout, problem });
    };
    child.once('error', (error) => settle(false, error.message));
    child.once('exit', (code, signal) => {
      // One turn more, so that what is left in the pipes has been read.
      setTimeout(() => {
        if (code === 0) settle(true, '');
        else if (timedOut) settle(false, `no end after ${Math.round(options.timeoutMs / 1000)} s`);
        else settle(false, lastLine === '' ? `ended with ${signal ?? `exit code ${code}`}` : lastLine);
      }, 20);
    });
  });
}

/** Absolute path of an executable file of that name in PATH's folders; `null` when there is none. */
export function findOnPath(name: string, env: NodeJS.ProcessEnv): string | null {
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    if (!isAbsolute(folder)) continue;
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      if (statSync(path).isFile()) return path;
    } catch {
      continue;
    }
  }
  return null;
}
