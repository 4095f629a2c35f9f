/** Has the servers' programs at hand before the first test, so that what must be built is built once and outside of any time limit. */
import type { TestProject } from 'vitest/node';
import { findServerBinary } from '../../temporal/binary.js';
import { lineOf } from '../../temporal/errors.js';
import { findTestServer } from './test-server.js';

/** A program's path, or the reason why the tests that need it fail. */
export type Program =
  { readonly path: string; readonly problem: null } | { readonly path: null; readonly problem: string };

declare module 'vitest' {
  interface ProvidedContext {
    temporal: Program;
    testServer: Program;
  }
}

const report = (line: string) => console.error(line);

export async function setup(project: TestProject): Promise<void> {
  project.provide('temporal', await attempt(async () => (await findServerBinary({ report })).path));
  project.provide('testServer', await attempt(() => findTestServer({ report })));
}

async function attempt(find: () => Promise<string>): Promise<Program> {
  try {
    return { path: await find(), problem: null };
  } catch (error) {
    return { path: null, problem: lineOf(error) };
  }
}
