/** The time-skipping test server: where its program comes from. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { cacheFolder, installOnce } from '../../temporal/cache.js';
import type { Report } from '../../temporal/cache.js';
import { TemporalSetupError } from '../../temporal/errors.js';
import { findOnPath, run } from '../../temporal/process.js';
import { sdkDownload } from '../../temporal/sdk-download.js';
import type { Made } from '../../temporal/sdk-download.js';

interface Jar {
  /** group:artifact:version */
  readonly coordinates: string;
  readonly sha256: string;
}

/** Made by scripts/lock-test-server.mjs. */
const lock = JSON.parse(readFileSync(new URL('test-server.lock.json', import.meta.url), 'utf8')) as {
  readonly version: string;
  readonly jars: readonly Jar[];
};

const FETCH_MS = 5 * 60_000;
const FETCH_TRIES = 3;

/**
 * Path of a program that the SDK can start as its time-skipping server: from our cache, else by the SDK's download
 * (15 s), else a script that runs Maven's jars on Java.
 *
 * @throws TemporalSetupError when none of them can be had.
 */
export async function findTestServer(options: { env?: NodeJS.ProcessEnv; report: Report }): Promise<string> {
  const { env = process.env, report } = options;
  const name = `temporal-test-server-${lock.version}`;
  const native = join(cacheFolder(env), `${name}-${process.platform}-${process.arch}`);
  const jars = join(cacheFolder(env), `${name}-java`);
  const script = join(jars, 'temporal-test-server');
  const java = await findJava(env);
  if (existsSync(native)) return native;
  if (existsSync(script) && java.ok) return script;

  let problem = '';
  try {
    await installOnce(native, report, async (folder) => {
      const made = await sdkDownload(
        { method: 'createTimeSkipping', version: `v${lock.version}`, file: `temporal-test-server-v${lock.version}` },
        folder,
        env,
      );
      if (made.ok) return made.path;
      problem = made.problem;
      throw new Error(problem);
    });
    return native;
  } catch (error) {
    if (problem === '') throw error;
  }
  report(`The download of the time-skipping server failed: ${problem}`);
  if (!java.ok) {
    throw new TemporalSetupError(
      `No time-skipping test server here: download: ${problem}, Java: ${java.problem}`,
      'install a Java runtime, 11 or later, on PATH or at JAVA_HOME',
    );
  }
  await installOnce(jars, report, async (folder) => {
    report(`Fetching the time-skipping server, ${lock.jars.length} jars, this once`);
    const lib = join(folder, 'java', 'lib');
    await mkdir(lib, { recursive: true });
    await fetchJars(lib, env);
    await writeScript(join(folder, 'java', 'temporal-test-server'));
    return join(folder, 'java');
  });
  return script;
}

/** The `java` that the script below would run, tried. */
async function findJava(env: NodeJS.ProcessEnv): Promise<Made> {
  const path = env['JAVA_HOME'] ? join(env['JAVA_HOME'], 'bin', 'java') : findOnPath('java', env);
  if (path === null) return { ok: false, problem: 'not installed' };
  const result = await run(path, ['-version'], { env, timeoutMs: 30_000 });
  return result.ok ? { ok: true, path } : { ok: false, problem: result.problem };
}

async function writeScript(path: string): Promise<void> {
  // The first compiler tier and the serial collector: it starts in 1 s instead of 3.
  await writeFile(
    path,
    `#!/bin/sh
exec "\${JAVA_HOME:+$JAVA_HOME/bin/}java" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \\
  -cp "$(dirname "$0")/lib/*" io.temporal.testserver.TestServer "$@"
`,
  );
  await chmod(path, 0o755);
}

const FETCH_SCRIPT = `
const [download, lib, ...wanted] = process.argv.slice(1);
const fetchNext = async () => {
  for (let jar = wanted.pop(); jar !== undefined; jar = wanted.pop()) await require(download).default(jar, lib);
};
Promise.all([1, 2, 3, 4].map(fetchNext)).catch((error) => {
  console.error(error.message);
  process.exit(1);
});`;

/**
 * Fetches what is missing in `lib` until every jar there has its locked checksum. In a process of its own, since the
 * package neither survives a broken connection nor gives up on a silent one.
 */
async function fetchJars(lib: string, env: NodeJS.ProcessEnv): Promise<void> {
  const download = createRequire(import.meta.url).resolve('mvn-artifact-download');
  let problem = '';
  for (let round = 0; round < FETCH_TRIES; round++) {
    const missing = await missingJars(lib);
    if (missing.length === 0) return;
    const args = ['-e', FETCH_SCRIPT, download, lib, ...missing.map((jar) => jar.coordinates)];
    problem = (await run(process.execPath, args, { env, timeoutMs: FETCH_MS })).problem;
  }
  const missing = await missingJars(lib);
  if (missing.length === 0) return;
  throw new TemporalSetupError(
    `The time-skipping server cannot be fetched: ${missing.length} of ${lock.jars.length} jars are missing or have another checksum, the first ${missing[0]?.coordinates}: ${problem || 'no error'}`,
    'look at the network, then try again',
  );
}

/** The jars that are not there, or not as they were locked; the latter are removed. */
async function missingJars(lib: string): Promise<Jar[]> {
  const missing: Jar[] = [];
  for (const jar of lock.jars) {
    const [, artifact, version] = jar.coordinates.split(':');
    const path = join(lib, `${artifact}-${version}.jar`);
    const bytes = await readFile(path).catch(() => null);
    if (bytes !== null && createHash('sha256').update(bytes).digest('hex') === jar.sha256) continue;
    await rm(path, { force: true });
    missing.push(jar);
  }
  return missing;
}
