/** This release of Uplift, as its package names it: what `--version` tells, and part of a worker's build id. */
import { readFileSync } from 'node:fs';

export function release(): string {
  // From dist/temporal/ and from temporal/ alike.
  for (const place of ['../package.json', '../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')) as { version: string }).version;
    } catch {
      continue;
    }
  }
  return 'unknown';
}
