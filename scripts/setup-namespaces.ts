/**
 * `setup-namespaces NAMESPACE…`: makes namespaces of the configured server what Uplift needs, as `uplift doctor --fix`
 * does. Waits for a server that is still starting; runs to its end at every start.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { connectClient, type ServerTarget, targetOrLocal } from '../temporal/connection.js';
import { lineOf } from '../temporal/errors.js';
import { ensureNamespace } from '../temporal/namespace.js';

const STARTS_WITHIN_MS = 2 * 60_000;
const LOOK_AGAIN_MS = 1_000;

async function setUp(target: ServerTarget): Promise<boolean> {
  const client = await connectClient(target);
  try {
    const findings = await ensureNamespace(client, { fix: true });
    for (const { what, remedy } of findings) console.log(remedy === '' ? what : `${what} (${remedy})`);
    return findings.every(({ ok }) => ok);
  } finally {
    await client.connection.close();
  }
}

/** A server may listen before it knows who answers what. */
async function patiently<T>(attempt: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + STARTS_WITHIN_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      console.error(lineOf(error));
      await delay(LOOK_AGAIN_MS);
    }
  }
}

try {
  const target = targetOrLocal();
  const namespaces = process.argv.slice(2);
  if (namespaces.length === 0) throw new Error('setup-namespaces: name at least one namespace');
  for (const namespace of namespaces) {
    if (!(await patiently(() => setUp({ ...target, namespace })))) process.exitCode = 1;
  }
} catch (error) {
  console.error(lineOf(error));
  process.exitCode = 1;
}
