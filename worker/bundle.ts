/** The workflows as one file, made when Uplift is built: a worker that starts again after a crash need not make it. */
import { readdirSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, type WorkflowBundleOption } from '@temporalio/worker';

const WORKFLOWS = new URL('../workflows/', import.meta.url);

/** The source of the workflows, beside this file: TypeScript under test, JavaScript when built. */
export const WORKFLOWS_PATH = fileURLToPath(new URL(`index${extname(import.meta.url)}`, WORKFLOWS));

const BUNDLE_PATH = fileURLToPath(new URL('../workflow-bundle.js', import.meta.url));

/** Makes the file; part of the build. */
export async function writeWorkflowBundle(): Promise<void> {
  const { code } = await bundleWorkflowCode({ workflowsPath: WORKFLOWS_PATH, logger: new DefaultLogger('WARN') });
  await writeFile(BUNDLE_PATH, code);
}

/** The file, unless it is not there or older than what it was made of: then a worker bundles for itself. */
export function builtBundle(): WorkflowBundleOption | null {
  const madeAt = statSync(BUNDLE_PATH, { throwIfNoEntry: false })?.mtimeMs;
  if (madeAt === undefined) return null;
  const sources = readdirSync(WORKFLOWS, { recursive: true, encoding: 'utf8' });
  const isStale = sources.some((name) => statSync(new URL(name, WORKFLOWS)).mtimeMs > madeAt);
  return isStale ? null : { codePath: BUNDLE_PATH };
}
