/** A short chaos run: `npm run chaos` itself, with a fixed seed. A failing one prints the command that does it again. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const CHAOS = fileURLToPath(new URL('../../dist/scripts/chaos.js', import.meta.url));
const UPGRADES = 40;

it('40 upgrades under faults and kills: none lost, none twice, none reported wrong, every history replays', async () => {
  const chaos = spawn(process.execPath, [CHAOS, '--seed', '4', '--minutes', '5', '--upgrades', String(UPGRADES)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  let said = '';
  chaos.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  chaos.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [exitCode] = (await once(chaos, 'close')) as [number | null];
  console.log(printed);

  const count = (what: string): number => Number(new RegExp(`${what} +(\\d+)`).exec(printed)?.[1]);
  expect(exitCode, `${said}\n${printed}`).toBe(0);
  expect(printed).toMatch(new RegExp(` all +${UPGRADES} of ${UPGRADES}\n`));
  expect(count('processes killed')).toBeGreaterThanOrEqual(4);
  expect(count('stop a worker for a while')).toBe(1);
  expect(count('accepted, and the answer lost')).toBeGreaterThan(0);
  expect(printed.match(/^ .*(status-\d+|reset|slow|race|cut|html|throttled) +\d+$/gm)?.length).toBeGreaterThan(5);
  // Besides the upgrades a rollout, a wave and its shards.
  expect(count('replayed')).toBeGreaterThanOrEqual(UPGRADES + 3);
  expect(printed).toContain('every promise held');
}, 900_000);
