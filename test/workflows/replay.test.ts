/** Every committed history replays on today's workflows: a change that would break a running rollout fails here. */
import { readdirSync, readFileSync } from 'node:fs';
import { Worker } from '@temporalio/worker';
import { expect, it } from 'vitest';
import { workflowBundle } from '../support/environment.js';

const FOLDER = new URL('../histories/', import.meta.url);
const files = readdirSync(FOLDER).filter((file) => file.endsWith('.json'));

it('there is a history of every workflow type', () => {
  const types = new Set(files.map((file) => file.split(/[-_]/)[0]));
  expect(types).toEqual(
    new Set(['rollout', 'wave', 'shard', 'upgrade', 'inventory', 'ledger', 'occurrence', 'notice']),
  );
});

it.each(files)('%s', async (file) => {
  const history = JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as unknown;
  await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, history);
});
