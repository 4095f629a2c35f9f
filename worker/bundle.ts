/** The workflows as one file, made when Uplift is built: a worker that starts again after a crash need not make it. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BundleOptions, bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { release } from '../temporal/release.js';

const WORKFLOWS = new URL('../workflows/', import.meta.url);

/** TypeScript under test, JavaScript when built. */
const EXTENSION = extname(import.meta.url);

/** The source of the workflows, beside this file. */
const WORKFLOWS_PATH = fileURLToPath(new URL(`index${EXTENSION}`, WORKFLOWS));

/** Tests have what was built last, in a folder below. */
const BUILT = new URL(EXTENSION === '.js' ? '../' : '../dist/', import.meta.url);

/**
 * How the workflows are bundled, wherever that is done. Their modules are loaded once for each worker, frozen, instead of
 * once for each workflow, which takes 2 to 3 ms (measured): none of them keeps anything of its own, which a test looks after.
 */
export const BUNDLE: Pick<BundleOptions, 'workflowsPath' | 'preloadModules'> & { readonly workflowsPath: string } = {
  workflowsPath: WORKFLOWS_PATH,
  preloadModules: ['@temporalio/workflow', WORKFLOWS_PATH],
};

const { version: SDK } = createRequire(import.meta.url)('@temporalio/worker/package.json') as { version: string };

/** A bundle holds the SDK's own half, which must be of the worker's very version: so the name says for which it is. */
const BUNDLE_PATH = fileURLToPath(new URL(`workflow-bundle-${SDK}.js`, BUILT));

/** Makes the file; part of the build. */
export async function writeWorkflowBundle(): Promise<void> {
  const { code } = await bundleWorkflowCode({ ...BUNDLE, logger: new DefaultLogger('WARN') });
  await writeFile(BUNDLE_PATH, code);
}

/**
 * The file; `null` when there is none for this version of the SDK, or it is older than what it was made of: then a worker
 * bundles for itself.
 */
export function builtBundle(): { readonly codePath: string } | null {
  const madeAt = statSync(BUNDLE_PATH, { throwIfNoEntry: false })?.mtimeMs;
  if (madeAt === undefined) return null;
  const isStale = sources().some((name) => statSync(new URL(name, WORKFLOWS)).mtimeMs > madeAt);
  return isStale ? null : { codePath: BUNDLE_PATH };
}

/** The release, and the start of a hash of its workflows' code: another one for every build whose workflows differ. */
export function ownBuildId(): string {
  const hash = createHash('sha256');
  for (const name of sources()) hash.update(readFileSync(new URL(name, WORKFLOWS)));
  return `${release()}-${hash.digest('hex').slice(0, 8)}`;
}

/** Files alone: a folder's time is that of its copying, wherever an installation is copied. */
function sources(): string[] {
  const names = readdirSync(WORKFLOWS, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => /\.[jt]s$/.test(name)).toSorted();
}
