/** Our folder of built and downloaded programs. Every entry appears whole or not at all. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** Where progress goes: one line at a time, for a person who waits. */
export type Report = (line: string) => void;

const LOOK_AGAIN_MS = 500;
const SAY_AGAIN_MS = 15_000;

/** `$UPLIFT_CACHE`, else `$XDG_CACHE_HOME/uplift`, else `~/.cache/uplift`. */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  if (env['UPLIFT_CACHE']) return env['UPLIFT_CACHE'];
  return join(env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache'), 'uplift');
}

/**
 * Makes `path` exist. `build` is given an empty folder of its own and answers with the finished file or folder inside
 * it, which is then moved into place in one step. When two processes ask at once, one builds and the other waits.
 *
 * The lock only saves the second build: what keeps entries whole is the move.
 *
 * @throws what `build` throws; nothing is left behind then.
 */
export async function installOnce(
  path: string,
  report: Report,
  build: (folder: string) => Promise<string>,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const lock = `${path}.lock`;
  if (!(await takeLock(path, lock, report))) return;
  const folder = `${path}.partial-${process.pid}`;
  try {
    await sweep(path);
    await mkdir(folder);
    await moveInto(await build(folder), path);
  } finally {
    await rm(folder, { recursive: true, force: true });
    await rm(lock, { force: true });
  }
}

/** Whether a process with this id runs on this machine. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** `false` when somebody else made `path` in the meantime. */
async function takeLock(path: string, lock: string, report: Report): Promise<boolean> {
  const since = Date.now();
  let saidAt = -Infinity;
  for (;;) {
    try {
      await writeFile(lock, String(process.pid), { flag: 'wx' });
      if (!existsSync(path)) return true;
      await rm(lock, { force: true });
      return false;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = Number(await readFile(lock, 'utf8').catch(() => ''));
    if (holder > 0 && !isAlive(holder)) {
      await rm(lock, { force: true });
      continue;
    }
    if (Date.now() - saidAt >= SAY_AGAIN_MS) {
      saidAt = Date.now();
      const seconds = Math.round((saidAt - since) / 1000);
      report(`${basename(path)} is being made by process ${holder}: waiting for it, ${seconds} s`);
    }
    await delay(LOOK_AGAIN_MS);
  }
}

/** Removes what killed builds of this entry left behind. */
async function sweep(path: string): Promise<void> {
  const prefix = `${basename(path)}.partial-`;
  for (const name of await readdir(dirname(path))) {
    if (!name.startsWith(prefix)) continue;
    const owner = Number(name.slice(prefix.length));
    if (owner === process.pid || !isAlive(owner)) {
      await rm(join(dirname(path), name), { recursive: true, force: true });
    }
  }
}

async function moveInto(built: string, path: string): Promise<void> {
  try {
    await rename(built, path);
  } catch (error) {
    // A folder that another process moved there first holds the same thing.
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}
