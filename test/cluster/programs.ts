/** The programs of Temporal's own images, built from the Go module proxy: the server, its SQL tool and its schemas. */
import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder, installOnce, type Report } from '../../temporal/cache.js';
import { TemporalSetupError } from '../../temporal/errors.js';
import { goInstall } from '../../temporal/go-install.js';
import { run } from '../../temporal/process.js';
import { tagOf } from '../support/compose.js';

const GO_MODULE = 'go.temporal.io/server';
const DOWNLOAD_MS = 5 * 60_000;

export interface ClusterPrograms {
  /** Holds `temporal-server` and `temporal-sql-tool`, named as in the images. */
  readonly folder: string;
  /** Holds `temporal/versioned` and `visibility/versioned`. */
  readonly schemas: string;
}

/**
 * The release whose image docker-compose.yml names: from our cache, or built into it.
 *
 * @throws TemporalSetupError without Go or its module proxy
 */
export async function findClusterPrograms(options: {
  readonly env?: NodeJS.ProcessEnv;
  readonly report: Report;
}): Promise<ClusterPrograms> {
  const { env = process.env, report } = options;
  const version = tagOf('temporal');
  const cached = join(cacheFolder(env), `temporal-server-${version}-${process.platform}-${process.arch}`);
  if (!existsSync(cached)) await installOnce(cached, report, (folder) => build(version, folder, env, report));
  return { folder: cached, schemas: join(cached, 'schema') };
}

async function build(version: string, folder: string, env: NodeJS.ProcessEnv, report: Report): Promise<string> {
  const failed = (problem: string): TemporalSetupError =>
    new TemporalSetupError(
      `Temporal server ${version} cannot be built: ${problem}`,
      'install Go 1.25 or later and let it reach a module proxy (GOPROXY)',
    );
  const built = await goInstall({
    packages: ['cmd/server', 'cmd/tools/sql'].map((path) => `${GO_MODULE}/${path}@v${version}`),
    what: `the Temporal server ${version}`,
    takes: 'about 2 minutes',
    folder,
    env,
    report,
  });
  if (!built.ok) throw failed(built.problem);
  const made = join(folder, 'made');
  await mkdir(made);
  await rename(join(folder, 'server'), join(made, 'temporal-server'));
  await rename(join(folder, 'sql'), join(made, 'temporal-sql-tool'));
  const options = { env: { ...env, GO111MODULE: 'on' }, cwd: folder, timeoutMs: DOWNLOAD_MS };
  const module = await run('go', ['mod', 'download', '-json', `${GO_MODULE}@v${version}`], options);
  if (!module.ok) throw failed(module.problem);
  const { Dir: directory } = JSON.parse(module.stdout) as { Dir: string };
  // Nothing in Go's own folders can be written, and so not be deleted either.
  const schemas = join(directory, 'schema', 'postgresql', 'v12');
  const copied = await run('cp', ['-r', '--no-preserve=mode', schemas, join(made, 'schema')], options);
  if (!copied.ok) throw failed(copied.problem);
  return made;
}
