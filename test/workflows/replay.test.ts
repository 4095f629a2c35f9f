/** Every committed history replays on today's workflows: a change that would break a running rollout fails here. */
import { Worker } from '@temporalio/worker';
import { expect, it } from 'vitest';
import { workflowBundle } from '../support/environment.js';
import {
  laterRunIn,
  patchesAsked,
  patchesIn,
  patchNamesAnywhere,
  readHistory,
  recordedHistories,
  typeOf,
} from '../support/patches.js';

const files = recordedHistories();

it('there is a history of every workflow type', () => {
  const types = new Set(files.map((file) => typeOf(readHistory(file))));
  expect(types).toEqual(
    new Set(['rollout', 'wave', 'shard', 'upgrade', 'inventory', 'ledger', 'occurrence', 'notice']),
  );
});

it('there is a history of every patch of every type, and no patch is gone that one has', () => {
  const recorded = files.flatMap((file) => patchesIn(readHistory(file)));
  const asked = patchesAsked();
  expect(new Set(recorded)).toEqual(new Set(asked));
  // And none is asked in a file that no type leads to.
  expect(new Set(asked.map((patch) => patch.split(' ')[1]))).toEqual(new Set(patchNamesAnywhere()));
});

it("there is a history of a shard's later run, which begins with what the one before it knew", () => {
  expect(files.flatMap((file) => laterRunIn(readHistory(file)))).toContain('shard later-run');
});

it('a name that two types ask is a patch of each, also through what they import', () => {
  const sources: Readonly<Record<string, string>> = {
    'index.ts':
      "export { big } from './big.js';\nexport { small } from './small.js';\nexport { none } from './none.js';",
    'big.ts': "import {\n  a,\n  b,\n} from './parts.js';\nif (patched('one')) a();",
    'small.ts': "import { b } from './parts.js';\nimport type { big } from './big.js';\n",
    'parts.ts': "import { deep } from './deep.js';\nconst two = patched('two');",
    'deep.ts': "import { b } from './parts.js';\ndeprecatePatch('three');\nif (patched('two')) b();",
    'none.ts': "import type { big } from './big.js';\nimport { c } from './contracts/c.js';",
  };
  const asked = patchesAsked((file) => sources[file] ?? '');
  expect(asked).toEqual(['big one', 'big two', 'big three', 'small two', 'small three']);
});

it.each(files)('%s', async (file) => {
  await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, readHistory(file));
});
