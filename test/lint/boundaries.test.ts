/** Every rule of .oxlintrc.json that keeps a promise fires on a small file that breaks it, and only there. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

const root = new URL('../..', import.meta.url).pathname;
let folder: string;
let findings: readonly string[];

const broken: readonly (readonly [path: string, code: string, rule: string])[] = [
  ['workflows/zod.ts', `export { z } from 'zod';`, 'may break replay'],
  ['workflows/node.ts', `import fs from 'node:fs';\nexport const f = fs;`, 'may break replay'],
  ['workflows/bare-node.ts', `export { join } from 'path';`, 'may break replay'],
  ['workflows/type.ts', `export type { Step } from '../activities/step.js';`, 'may break replay'],
  ['workflows/contracts/up.ts', `export { a } from '../../plan/plan.js';`, 'may break replay'],
  ['workflows/contracts/client.ts', `export { Client } from '@temporalio/client';`, 'may break replay'],
  ['workflows/inner.ts', `export { msToTs } from '@temporalio/common/lib/time.js';`, 'may break replay'],
  ['workflows/dynamic.ts', `export const f = async () => import('../plan/plan.js');`, 'may break replay'],
  ['workflows/value.ts', `export { ApplicationFailure } from '@temporalio/common';`, 'Beyond types'],
  ['workflows/contracts/value.ts', `export { ApplicationFailure } from '@temporalio/common';`, 'Beyond types'],
  ['activities/up.ts', `export { a } from '../client/main.js';`, 'neither who runs it'],
  ['activities/clouds/up.ts', `export { a } from '../../worker/main.js';`, 'neither who runs it'],
  ['activities/submit.ts', `export { a } from '../simulator/main.js';`, 'neither who runs it'],
  ['activities/sender.ts', `export type { CloudSender } from './clouds/sessions.js';`, 'Only activities/submit.ts'],
  ['activities/send.ts', `export const f = (s: { sender(): void }) => s.sender();`, 'Only activities/submit.ts'],
  ['activities/taken.ts', `export const f = ({ sender }: { sender: number }) => sender;`, 'Only activities/submit.ts'],
  [
    'client/sender.ts',
    `export type { CloudSender } from '../activities/clouds/sessions.js';`,
    'Only activities/submit.ts',
  ],
  ['client/send.ts', `export const f = (s: { sender(): void }) => s.sender();`, 'Only activities/submit.ts'],
  [
    'worker/sender.ts',
    `export type { CloudSender } from '../activities/clouds/sessions.js';`,
    'Only activities/submit.ts',
  ],
  [
    'plan/sender.ts',
    `export type { CloudSender } from '../activities/clouds/sessions.js';`,
    'Only activities/submit.ts',
  ],
  ['client/simulator.ts', `export { a } from '../simulator/main.js';`, 'know the simulator'],
  ['client/commands/plan.ts', `export { a } from '../../simulator/main.js';`, 'know the simulator'],
  [
    'client/commands/dev.ts',
    `export type { CloudSender } from '../../activities/clouds/sessions.js';`,
    'Only activities/',
  ],
  ['simulator/signer.ts', `export { sign } from '../activities/clouds/huawei/signer.js';`, 'shares no code'],
  ['simulator/huawei/signer.ts', `export { sign } from '../../activities/clouds/huawei/signer.js';`, 'shares no code'],
  ['plan/up.ts', `export { a } from '../client/main.js';`, 'nobody who runs it'],
  ['plan/worker.ts', `export { a } from '../worker/main.js';`, 'nobody who runs it'],
  ['calendar/up.ts', `export { systemClock } from '../activities/clock.js';`, 'of ours it knows contracts only'],
  ['calendar/workflow.ts', `export { rollout } from '../workflows/rollout.js';`, 'of ours it knows contracts only'],
  ['forecast/up.ts', `export { a } from '../plan/plan.js';`, 'forecast/ is pure'],
  ['forecast/workflow.ts', `export { shard } from '../workflows/shard.js';`, 'forecast/ is pure'],
  ['temporal/up.ts', `export { a } from '../client/main.js';`, 'below all of these'],
  ['worker/floating.ts', `export const f = () => {\n  Promise.resolve(1);\n};`, 'no-floating-promises'],
  ['worker/any.ts', `export const f = (a: any) => String(a);`, 'no-explicit-any'],
  ['worker/default.ts', `export default 1;`, 'no-default-export'],
];

const sound: readonly (readonly [path: string, code: string])[] = [
  [
    'workflows/rollout.ts',
    `import { sleep } from '@temporalio/workflow';
import type { Duration } from '@temporalio/common';
import { QUEUES } from './contracts/queues.js';
export const f = (d: Duration) => sleep(d).then(() => QUEUES);`,
  ],
  [
    'workflows/contracts/attributes.ts',
    `import { defineSearchAttributeKey } from '@temporalio/common';
export type { Failure } from '../failures.js';
export const a = defineSearchAttributeKey('A', 'KEYWORD');`,
  ],
  ['activities/clouds/sessions.ts', `export interface CloudSender {\n  send(): void;\n}`],
  ['client/commands/simulator.ts', `export { a } from '../../simulator/main.js';`],
  ['client/commands/apply.ts', `export { a } from '../../plan/plan.js';`],
  ['calendar/calendar.ts', `export type { Calendar } from '../workflows/contracts/calendar.js';`],
  ['forecast/wave.ts', `export { SLOTS } from '../workflows/limits.js';`],
  ['simulator/server.ts', `export { systemClock } from '../activities/clock.js';`],
  ['test/any.ts', `export const f = (s: { sender(): void }) => s.sender();`],
];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'uplift-lint-'));
  for (const file of ['.oxlintrc.json', 'tsconfig.json', 'package.json']) {
    await copyFile(join(root, file), join(folder, file));
  }
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  for (const [path, code] of [...broken, ...sound]) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), `${code}\n`);
  }
  findings = await lint();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What oxlint finds, one line each: \`path: message rule\`. */
function lint(): Promise<string[]> {
  const args = ['--type-aware', '--format', 'json'];
  return new Promise((resolve, reject) => {
    execFile(join(root, 'node_modules', '.bin', 'oxlint'), args, { cwd: folder }, (_, stdout, stderr) => {
      try {
        const { diagnostics } = JSON.parse(stdout) as {
          diagnostics: { filename: string; message: string; help?: string; code?: string; severity: string }[];
        };
        resolve(
          diagnostics
            .filter((one) => one.severity === 'error')
            .map((one) => `${one.filename}: ${one.message} ${one.help ?? ''} ${one.code ?? ''}`),
        );
      } catch {
        reject(new Error(`oxlint answered: ${stdout} ${stderr}`));
      }
    });
  });
}

it.each(broken)('%s: %j breaks a rule', (path, _, rule) => {
  expect(findings.filter((line) => line.startsWith(`${path}:`))).toContainEqual(expect.stringContaining(rule));
});

it.each(sound)('%s breaks none', (path) => {
  expect(findings.filter((line) => line.startsWith(`${path}:`))).toEqual([]);
});
