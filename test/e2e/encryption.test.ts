/** Rollouts with encryption on, as users run them: every process of its own, and a database that tells nothing. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RolloutReport } from '../../client/views.js';
import { freePorts } from '../../temporal/ports.js';
import { connectClient, localTarget } from '../../temporal/connection.js';
import type { DevServer } from '../../temporal/dev-server.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { linesOf, rehearsal, type Rehearsal, serve, type Service, uplift } from '../cli/cli.js';
import { startTestServer } from '../support/environment.js';

const [OLD, NEW] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];
const BEFORE = { UPLIFT_ENCRYPTION_KEYS: `old:${OLD}` };
const ROTATED = { UPLIFT_ENCRYPTION_KEYS: `new:${NEW}\nold:${OLD}` };

let directory: string;
let server: DevServer;
let place: Rehearsal;
let blind: Client;
let worker: Service | null = null;
let rollout: string;
let report: RolloutReport;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'uplift-encryption-'));
  server = await startTestServer({ dbFile: join(directory, 'temporal.db') });
  blind = await connectClient(localTarget(server.address), {});
  place = await rehearsal(
    ...'--seed enc --graphs 5 --clusters 2 --min 1s --max 2s --graph-fate rolls-back=1'.split(' '),
  );
});
afterAll(async () => {
  await worker?.stop();
  await blind.connection.close();
  await place.dispose();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

const run = (env: NodeJS.ProcessEnv, ...args: string[]) => uplift(args, { TEMPORAL_ADDRESS: server.address, ...env });
const work = (env: NodeJS.ProcessEnv) =>
  serve(['worker', '--accounts', place.accounts], /worker is ready/, { TEMPORAL_ADDRESS: server.address, ...env });

interface Found {
  readonly keyIds: Set<string>;
  readonly plain: string[];
  readonly failures: string[];
}

/**
 * All payloads and failure messages anywhere below, but for search attributes, which the server has to read, and markers of
 * `patched()`, in which the SDK writes nothing but the patch's name, past any codec.
 */
function look(value: unknown, found: Found, path = ''): Found {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return found;
  const encoding = (value as { metadata?: { encoding?: Uint8Array } }).metadata?.encoding;
  if (encoding !== undefined) {
    const { metadata } = value as { metadata: Record<string, Uint8Array> };
    if (Buffer.from(encoding).toString() !== 'binary/encrypted') found.plain.push(path);
    else found.keyIds.add(Buffer.from(metadata['encryption-key-id'] ?? []).toString());
    return found;
  }
  if ('applicationFailureInfo' in value && value.applicationFailureInfo != null) {
    found.failures.push(String((value as { message?: unknown }).message));
  }
  for (const [name, inner] of Object.entries(value)) {
    if (name === 'patch-data') expect(patchOf(inner)).toMatch(/^[a-z-]+$/);
    else if (name !== 'searchAttributes') look(inner, found, `${path}.${name}`);
  }
  return found;
}

/** The name of the change that a marker stands for. */
function patchOf(marker: unknown): string {
  const [payload] = (marker as { payloads: readonly { data: Uint8Array }[] }).payloads;
  const { deprecated: _deprecated, ...told } = JSON.parse(Buffer.from(payload?.data ?? []).toString()) as {
    id: string;
  } & {
    deprecated?: boolean;
  };
  expect(Object.keys(told)).toEqual(['id']);
  return told.id;
}

async function lookAtAll(): Promise<Found & { workflows: number }> {
  const found: Found = { keyIds: new Set(), plain: [], failures: [] };
  let workflows = 0;
  for await (const { workflowId, runId } of blind.workflow.list()) {
    workflows += 1;
    look(await blind.workflow.getHandle(workflowId, runId).fetchHistory(), found, workflowId);
    look((await blind.workflow.getHandle(workflowId, runId).describe()).raw, found, workflowId);
  }
  return { ...found, workflows };
}

describe('with encryption on', () => {
  it('a rollout runs to its end, and its report is readable with the key', async () => {
    const started = await run(BEFORE, 'apply', place.plan, '--accounts', place.accounts);
    expect(started).toMatchObject({ code: 0, stderr: expect.not.stringContaining('uplift:') as string });
    rollout = linesOf(started.stdout)[0] ?? '';
    worker = await work(BEFORE);
    expect((await run(BEFORE, 'watch', rollout)).code).toBe(3);

    const json = await run(BEFORE, 'report', rollout, '-o', 'json');
    report = JSON.parse(json.stdout) as RolloutReport;
    const outcomes = report.results.map(({ outcome }) => outcome).toSorted();
    expect(outcomes).toEqual(['RolledBack', ...Array<string>(6).fill('Succeeded')]);
  });

  it('no payload of any workflow is plain, nor any message of a failure', async () => {
    const { workflows, plain, keyIds, failures } = await lookAtAll();
    expect(workflows).toBeGreaterThan(6);
    expect(plain).toEqual([]);
    expect([...keyIds]).toEqual(['old']);
    expect(failures.length).toBeGreaterThan(0);
    expect(new Set(failures)).toEqual(new Set(['Encoded failure']));
  });

  it('the database holds nothing of what was done', () => {
    const files = readdirSync(directory).filter((name) => name.startsWith('temporal.db'));
    const database = Buffer.concat(files.map((name) => readFileSync(join(directory, name))));
    // The ids are there, as workflow ids and search attributes: so the bytes are those that were meant.
    for (const { resource } of report.results) expect(database.includes(resource.id)).toBe(true);
    const told = report.results.flatMap(({ operation, reason, calls }) => [
      operation?.id ?? reason,
      reason,
      ...calls.map(({ requestId }) => requestId ?? reason),
    ]);
    expect(told.length).toBeGreaterThan(10);
    for (const text of [...told, 'planDigest', 'startedAt', 'rolled back']) expect(database.includes(text)).toBe(false);
  });

  it('a page’s details are there for who has the key', async () => {
    const reading = await connectClient(localTarget(server.address), BEFORE);
    const handle = reading.workflow.getHandle(rolloutWorkflowId(rollout));
    const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    expect(currentDetails).toContain('| canary |');
    expect(await (await handle.describe()).staticSummary()).toBe(`${rollout}: 7 upgrades in 3 waves`);
    await reading.connection.close();
  });

  it('without the key, or with another one, a command says in one line which is missing', async () => {
    for (const env of [{}, { UPLIFT_ENCRYPTION_KEYS: `new:${NEW}` }]) {
      const { code, stdout, stderr } = await run(env, 'report', rollout);
      expect(stdout).toBe('');
      expect(stderr).toBe(
        'uplift: what Temporal holds is encrypted with key old, which is not here ' +
          '(give it in UPLIFT_ENCRYPTION_KEYS or in the file that UPLIFT_ENCRYPTION_KEYS_FILE names)\n',
      );
      expect(code).toBe(1);
    }
    const none = await run({ UPLIFT_ENCRYPTION_KEYS: 'SECRET-canary' }, 'worker', '--accounts', place.accounts);
    expect(none.code).toBe(1);
    expect(none.stderr).toContain('uplift: UPLIFT_ENCRYPTION_KEYS, line 1 is no encryption key');
    expect(none.stderr).not.toContain('canary');
  });

  it('the UI reads by the codec server what its own page asks for, and no other page does', async () => {
    const [port] = (await freePorts(1)) as [number];
    const origin = 'http://127.0.0.1:8233';
    const env = { ...BEFORE, UPLIFT_CODEC_TOKEN: 'canary-token' };
    const codec = await serve(['codec-server', '--port', String(port), '--origin', origin], /decodes at/, env);
    const { events } = await blind.workflow.getHandle(rolloutWorkflowId(rollout)).fetchHistory();
    const [payload] = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
    const text = (bytes: Uint8Array | null | undefined) => Buffer.from(bytes ?? []).toString('base64');
    const metadata = Object.fromEntries(
      Object.entries(payload?.metadata ?? {}).map(([key, value]) => [key, text(value)]),
    );
    const ask = (headers: Record<string, string>, path = 'decode', method = 'POST') =>
      fetch(`http://127.0.0.1:${port}/${path}`, {
        method,
        headers: { 'content-type': 'application/json', ...headers },
        ...(method === 'POST' ? { body: JSON.stringify({ payloads: [{ metadata, data: text(payload?.data) }] }) } : {}),
      });
    const authorization = 'Bearer canary-token';
    try {
      const told = await ask({ origin, authorization });
      expect(told.headers.get('access-control-allow-origin')).toBe(origin);
      const { payloads } = (await told.json()) as { payloads: { data: string }[] };
      expect(Buffer.from(payloads[0]?.data ?? '', 'base64').toString()).toContain(`"rollout":"${rollout}"`);

      expect((await ask({ origin }, 'decode', 'OPTIONS')).status).toBe(204);
      expect((await ask({ origin: 'http://evil.example', authorization })).status).toBe(403);
      expect((await ask({ origin })).status).toBe(401);
      expect((await ask({ origin, authorization }, 'encode')).status).toBe(404);
    } finally {
      await codec.stop();
    }
    const keyless = await run({}, 'codec-server');
    expect(keyless).toMatchObject({ code: 1, stdout: '' });
    expect(keyless.stderr).toContain('there are no encryption keys');
  });

  it('keys are exchanged while work goes on: the new one encrypts, the old one still reads', async () => {
    expect((await worker?.stop())?.stderr).not.toMatch(/warning/i);
    worker = await work(ROTATED);
    const again = await run(ROTATED, 'apply', place.plan, '--accounts', place.accounts);
    const id = linesOf(again.stdout)[0] ?? '';
    expect((await run(ROTATED, 'watch', id)).code).not.toBe(1);
    const { plain, keyIds } = await lookAtAll();
    expect(plain).toEqual([]);
    expect([...keyIds].toSorted()).toEqual(['new', 'old']);
    expect((await run(ROTATED, 'report', id)).code).toBe(0);
  });
});
