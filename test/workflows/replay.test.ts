/** Every committed history replays on today's workflows: a change that would break a running rollout fails here. */
import { readdirSync, readFileSync } from 'node:fs';
import { Worker } from '@temporalio/worker';
import { expect, it } from 'vitest';
import { workflowBundle } from '../support/environment.js';
import { patchesIn, readHistory, recordedHistories } from '../support/patches.js';

const WORKFLOWS = new URL('../../workflows/', import.meta.url);
const files = recordedHistories();

it('there is a history of every workflow type', () => {
  const types = new Set(files.map((file) => file.split(/[-_]/)[0]));
  expect(types).toEqual(
    new Set(['rollout', 'wave', 'shard', 'upgrade', 'inventory', 'ledger', 'occurrence', 'notice']),
  );
});

it('there is a history of every patch, and no patch is gone that one has', () => {
  const sources = readdirSync(WORKFLOWS).filter((file) => file.endsWith('.ts'));
  const asked = sources.flatMap((file) =>
    [...readFileSync(new URL(file, WORKFLOWS), 'utf8').matchAll(/(?:patched|deprecatePatch)\('([^']+)'\)/g)].map(
      ([, name]) => name,
    ),
  );
  const recorded = files.flatMap((file) => patchesIn(readHistory(file)));
  expect(new Set(recorded)).toEqual(new Set(asked));
});

it.each(files)('%s', async (file) => {
  await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, readHistory(file));
});
