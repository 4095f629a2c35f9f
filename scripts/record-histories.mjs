/**
 * Records a rollout's histories for the replay test: the rollout, its first wave and shard, and one upgrade per outcome.
 *
 *   TEMPORAL_ADDRESS=… node scripts/record-histories.mjs ROLLOUT [LABEL]
 *
 * Written to test/histories/, named by what they are, by the label if one is given, and by the version of the workflows
 * that made them; ends with an error where one of that name is there.
 */
import { readFile, mkdir, writeFile } from 'node:fs/promises';
import { Client, Connection } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';

const [rollout, label] = process.argv.slice(2);
if (rollout === undefined) {
  console.error('usage: node scripts/record-histories.mjs ROLLOUT [LABEL]');
  process.exit(1);
}
const folder = new URL('../test/histories/', import.meta.url);
const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
const connection = await Connection.connect({ address: process.env.TEMPORAL_ADDRESS ?? '127.0.0.1:7233' });
const client = new Client({ connection });
await mkdir(folder, { recursive: true });

const recorded = new Set();
for await (const info of client.workflow.list({ query: `UpliftRollout = "${rollout}"` })) {
  if (info.status.name === 'RUNNING') continue;
  const outcome = info.typedSearchAttributes.getAll().find(({ key }) => key.name === 'UpliftOutcome')?.value;
  const name = [info.type, outcome, label].filter((part) => part !== undefined).join('-');
  if (recorded.has(name)) continue;
  recorded.add(name);
  const history = await client.workflow.getHandle(info.workflowId, info.runId).fetchHistory();
  // Where it was recorded is nobody's business and no part of a replay.
  const json = JSON.parse(historyToJSON(history).replaceAll(/\d+@[\w.-]+/g, 'recorder'), (key, value) =>
    key === 'stackTrace' ? '' : value,
  );
  const file = new URL(`${name}_${version}.json`, folder);
  // One that is there may tell of a way that today's code does not go any more.
  await writeFile(file, `${JSON.stringify(json)}\n`, { flag: 'wx' });
  console.log(`${file.pathname.split('/').at(-1)}: ${history.events.length} events`);
}
await connection.close();
