import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { TemporalSetupError } from './errors.js';

/**
 * The text of a file that holds a secret.
 *
 * @param where what names the file, for errors: they never quote what stands in it
 * @throws TemporalSetupError when it cannot be read, or others can read or write it
 */
export function readSecretFile(where: string, path: string): string {
  let handle: number | null = null;
  try {
    handle = openSync(path, 'r');
    // Checked on the open file, so that it is the one that is read.
    if ((fstatSync(handle).mode & 0o077) !== 0) {
      throw new TemporalSetupError(`${where}: ${path} can be read or written by others`, `chmod 600 ${path}`);
    }
    return readFileSync(handle, 'utf8');
  } catch (error) {
    if (error instanceof TemporalSetupError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw new TemporalSetupError(`${where}: ${path} cannot be read: ${code}`, 'create it with mode 600');
  } finally {
    if (handle !== null) closeSync(handle);
  }
}
