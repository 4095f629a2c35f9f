import { closeSync, existsSync, fstatSync, openSync, readFileSync, type Stats, statSync } from 'node:fs';
import { TemporalSetupError } from './errors.js';

export interface SecretFile {
  readonly text: string;
  /** Another one once the file has been written, exchanged, or given another owner or mode. */
  readonly version: string;
}

/**
 * Whether a file's owner and mode keep a secret, by the rule that PostgreSQL has for its keys
 * (https://www.postgresql.org/docs/current/ssl-tcp.html): one of this process's own user is for nobody else; one that
 * somebody else owns, as root does the secrets of Kubernetes, is read by way of its group, which may not write it.
 *
 * @param self this process's user; `undefined` where the system has none
 * @returns the mode to give it, in octal; `null` when its own will do
 */
export function modeNeeded({ mode, uid }: Pick<Stats, 'mode' | 'uid'>, self = process.geteuid?.()): string | null {
  const isOwn = self === undefined || self === uid;
  if ((mode & (isOwn ? 0o077 : 0o027)) === 0) return null;
  return isOwn ? '600' : '640';
}

/**
 * What stands in a file that holds a secret, and nothing that others can read or write.
 *
 * @param refuse makes the error of what is wrong, in words to be put behind the file's name, and of the remedy
 * @throws what `refuse` makes
 */
export function readSecret(path: string, refuse: (problem: string, remedy: string) => Error): SecretFile {
  let handle: number | null = null;
  let objection: Error;
  try {
    handle = openSync(path, 'r');
    // Checked on the open file, so that it is the one that is read.
    const stats = fstatSync(handle);
    const needed = modeNeeded(stats);
    if (needed === null) {
      return { text: readFileSync(handle, 'utf8'), version: versionOf(stats) };
    }
    const mode = (stats.mode & 0o777).toString(8);
    objection = refuse('can be read or written by others', `its mode is ${mode}: chmod ${needed} ${path}`);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    const remedy = code === 'EACCES' ? 'let the user who runs this read it, or its group' : 'create it with mode 600';
    objection = refuse(`cannot be read: ${code}`, remedy);
  } finally {
    if (handle !== null) closeSync(handle);
  }
  throw objection;
}

/** The `SecretFile.version` of what stands there now, without reading it; `null` where it cannot be told. */
export function secretVersion(path: string): string | null {
  try {
    return versionOf(statSync(path));
  } catch {
    return null;
  }
}

/** With what `modeNeeded` looks at, which leaves the time of writing as it is. */
function versionOf({ ino, mtimeMs, size, mode, uid }: Stats): string {
  return [ino, mtimeMs, size, mode, uid].join('/');
}

/**
 * The text of a file that holds a secret.
 *
 * @param where what names the file, for errors: they never quote what stands in it
 * @throws TemporalSetupError when it cannot be read, or others can read or write it
 */
export function readSecretFile(where: string, path: string): string {
  return readSecret(path, (problem, remedy) => refusedFile(where, path, problem, remedy)).text;
}

/**
 * What is wrong with a file that a setting names; quotes nothing that may be a secret in its path's place.
 *
 * @param where what names the file
 * @param problem in words to be put behind the path
 */
export function refusedFile(where: string, path: string, problem: string, remedy: string): TemporalSetupError {
  return isPath(path)
    ? new TemporalSetupError(`${where}: ${JSON.stringify(path)} ${problem}`, remedy)
    : new TemporalSetupError(`${where}: what it names cannot be read`, 'name a file, not what stands in it');
}

/** A token of three parts (JWT), 32 bytes in base64, as encryption keys are, and PEM. */
const OF_A_SECRET = /^eyJ|[A-Za-z0-9+/]{43}=$|-----BEGIN/;

/** Whether it names a file, or is like what does, and unlike a secret. */
export function isPath(value: string): boolean {
  const text = value.trim();
  if (existsSync(text)) return true;
  return text.length < 100 && !/\s/.test(text) && /[./]/.test(text) && !OF_A_SECRET.test(text);
}
