/** The Temporal server's program: where it comes from when no server is configured. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder, installOnce } from './cache.js';
import type { Report } from './cache.js';
import { TemporalSetupError } from './errors.js';
import { goInstall } from './go-install.js';
import { findOnPath, run } from './process.js';
import { sdkDownload } from './sdk-download.js';

/** The release that all of this is tried with; its server is 1.29.1. */
export const CLI_VERSION = '1.5.1';

const GO_PACKAGE = 'github.com/temporalio/cli/cmd/temporal';
const PROBE_MS = 15_000;

export interface ServerBinary {
  readonly path: string;
  /** As the program itself says it. */
  readonly version: string;
  readonly source: 'PATH' | 'cache' | 'download' | 'build';
}

export interface BinaryOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Progress, and why a source was passed over. */
  readonly report: Report;
}

/**
 * The first that works of: `temporal` on PATH, our cache, the SDK's download (15 s), `go install` (about 2½ minutes,
 * once). The last two fill the cache.
 *
 * @throws TemporalSetupError when none does.
 */
export async function findServerBinary(options: BinaryOptions): Promise<ServerBinary> {
  const { env = process.env, report } = options;
  const onPath = findOnPath('temporal', env);
  if (onPath !== null) {
    const found = await probe(onPath, env);
    if (found.ok) return { path: onPath, version: found.version, source: 'PATH' };
    report(`${onPath} is not used: ${found.problem}`);
  }

  const cached = join(cacheFolder(env), `temporal-${CLI_VERSION}-${process.platform}-${process.arch}`);
  if (existsSync(cached)) {
    const found = await probe(cached, env);
    if (found.ok) return { path: cached, version: found.version, source: 'cache' };
    report(`${cached} is made again: ${found.problem}`);
    await rm(cached, { force: true });
  }

  let source: ServerBinary['source'] = 'cache';
  await installOnce(cached, report, async (folder) => {
    const downloaded = await sdkDownload(
      { method: 'createLocal', version: `v${CLI_VERSION}`, file: `temporal-v${CLI_VERSION}` },
      folder,
      env,
    );
    if (downloaded.ok) {
      source = 'download';
      return downloaded.path;
    }
    report(`The download of Temporal ${CLI_VERSION} failed: ${downloaded.problem}`);
    const built = await goInstall({
      packages: [`${GO_PACKAGE}@v${CLI_VERSION}`],
      what: 'the Temporal server',
      takes: 'about 2½ minutes',
      folder,
      env,
      report,
    });
    if (!built.ok) {
      throw new TemporalSetupError(
        `No Temporal server here: none on PATH, download: ${downloaded.problem}, build: ${built.problem}`,
        `install the Temporal CLI ${CLI_VERSION} or Go 1.25, or set TEMPORAL_ADDRESS to a server that runs`,
      );
    }
    source = 'build';
    return join(folder, 'temporal');
  });
  const found = await probe(cached, env);
  if (!found.ok) throw new TemporalSetupError(`${cached} does not work: ${found.problem}`, 'delete it and try again');
  return { path: cached, version: found.version, source };
}

type Probe = { readonly ok: true; readonly version: string } | { readonly ok: false; readonly problem: string };

/**
 * Whether the program starts and is new enough. One built from source calls itself 0.0.0-DEV: there the server inside
 * decides, which was 1.29 in CLI 1.5.
 */
async function probe(path: string, env: NodeJS.ProcessEnv): Promise<Probe> {
  const result = await run(path, ['--version'], { env, timeoutMs: PROBE_MS });
  if (!result.ok) return { ok: false, problem: `it does not work: ${result.problem}` };
  const match = /temporal version (\d+)\.(\d+)\.(\d+)\S* \(Server (\d+)\.(\d+)\.\d+/.exec(result.stdout);
  if (match === null) return { ok: false, problem: 'it does not say its version' };
  const [major, minor, patch, serverMajor, serverMinor] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const fromSource = major === 0 && minor === 0 && patch === 0;
  const newEnough = fromSource ? atLeast(serverMajor, serverMinor, 1, 29) : atLeast(major, minor, 1, 5);
  const version = fromSource ? `with server ${serverMajor}.${serverMinor}` : `${major}.${minor}.${patch}`;
  return newEnough ? { ok: true, version } : { ok: false, problem: `version ${version} is older than 1.5` };
}

function atLeast(major: number, minor: number, wantedMajor: number, wantedMinor: number): boolean {
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
