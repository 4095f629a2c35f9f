import type { Report } from './cache.js';
import { findOnPath, run } from './process.js';

const BUILD_MS = 20 * 60_000;
const SAY_EVERY_MS = 5_000;

export interface GoInstall {
  /** Packages with their module's version: `path@v1.2.3`, all of one module. */
  readonly packages: readonly string[];
  /** For the person who waits. */
  readonly what: string;
  /** On two cores: `about 2 minutes`. */
  readonly takes: string;
  /** Gets the programs, each named as its package. */
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly report: Report;
}

/** Builds programs from the Go module proxy; says how far it has come. */
export async function goInstall(
  install: GoInstall,
): Promise<{ readonly ok: true } | { readonly ok: false; readonly problem: string }> {
  const { packages, what, takes, folder, env, report } = install;
  const go = findOnPath('go', env);
  if (go === null) return { ok: false, problem: 'Go is not installed' };
  report(`Building ${what} by \`go install ${packages.join(' ')}\`: ${takes}, this once`);
  const since = Date.now();
  let downloads = 0;
  let compiled = 0;
  const say = setInterval(() => {
    const seconds = Math.round((Date.now() - since) / 1000);
    report(`Building ${what}: ${seconds} s, ${downloads} modules fetched, ${compiled} packages compiled`);
  }, SAY_EVERY_MS);
  try {
    // -v names each package as it is compiled; without symbols the programs are a third smaller.
    const result = await run(go, ['install', '-v', '-ldflags=-s -w', ...packages], {
      env: { ...env, GOBIN: folder, GO111MODULE: 'on' },
      cwd: folder,
      timeoutMs: BUILD_MS,
      onLine: (line) => (line.startsWith('go: downloading') ? downloads++ : compiled++),
    });
    return result.ok ? { ok: true } : { ok: false, problem: result.problem };
  } finally {
    clearInterval(say);
  }
}
