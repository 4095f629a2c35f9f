import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectClient, connectWorker, localTarget } from '../../temporal/connection.js';
import type { DevServer, DevServerOptions } from '../../temporal/dev-server.js';
import { ensureNamespace } from '../../temporal/namespace.js';
import { ATTRIBUTES } from '../../workflows/contracts/search-attributes.js';
import { freePort, serverBinary, startTestServer, withWorker, workflowBundle } from '../support/environment.js';
import type { sleepFor } from './workflows/timers.js';

const timers = new URL('workflows/timers.ts', import.meta.url);
const attributes = new TypedSearchAttributes([{ key: ATTRIBUTES.rollout, value: 'r1' }]);

let folder: string;
let cleanUps: (() => Promise<void>)[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'uplift-dev-server-'));
  cleanUps = [() => rm(folder, { recursive: true, force: true })];
});
afterEach(async () => {
  for (const cleanUp of cleanUps.toReversed()) await cleanUp();
});

async function start(options: Partial<DevServerOptions> = {}): Promise<DevServer> {
  const server = await startTestServer(options);
  cleanUps.push(() => server.stop());
  return server;
}

async function clientOf(server: DevServer, namespace = 'default'): Promise<Client> {
  const client = await connectClient(localTarget(server.address, namespace));
  cleanUps.push(() => client.connection.close());
  return client;
}

describe('startDevServer', () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)('continues on the same file after %s', async (signal) => {
    const dbFile = join(folder, 'state', 'temporal.db');
    const first = await start({ dbFile });
    await (
      await clientOf(first)
    ).workflow.start<typeof sleepFor>('sleepFor', {
      taskQueue: 'timers',
      workflowId: 'kept',
      args: [10],
      typedSearchAttributes: attributes,
    });
    process.kill(first.pid, signal);
    await first.ended;

    const second = await start({ dbFile });
    const client = await clientOf(second);
    const connection = await connectWorker(localTarget(second.address));
    cleanUps.push(() => connection.close());
    const handle = client.workflow.getHandle<typeof sleepFor>('kept');
    const slept = await withWorker(
      { connection, taskQueue: 'timers', workflowBundle: await workflowBundle(timers) },
      () => handle.result(),
    );
    expect(slept).toBeGreaterThanOrEqual(10);
    expect((await handle.describe()).typedSearchAttributes.get(ATTRIBUTES.rollout)).toBe('r1');
    expect((await ensureNamespace(client, { fix: false })).map((finding) => finding.ok)).toEqual([true, true]);
  });

  it('serves its UI on loopback', async () => {
    const server = await start();
    const page = await fetch(server.uiUrl);
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('<html');
    expect(new URL(server.uiUrl).hostname).toBe('127.0.0.1');
    expect(server.address).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  it('gives its file free at its end', async () => {
    const dbFile = join(folder, 'temporal.db');
    const server = await start({ dbFile });
    expect(await readdir(folder)).toContain('temporal.db.server');
    await server.stop();
    expect(await readdir(folder)).not.toContain('temporal.db.server');
  });

  it('refuses a file that another server uses', async () => {
    const dbFile = join(folder, 'temporal.db');
    const server = await start({ dbFile });
    await expect(start({ dbFile })).rejects.toThrow(
      `is in use by the Temporal server with process id ${server.pid} on ${server.address} (set TEMPORAL_ADDRESS`,
    );
  });

  it.each(['port', 'uiPort'] as const)('says so when its %s is taken', async (which) => {
    const port = await freePort();
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
    cleanUps.push(() => new Promise((resolve) => other.close(() => resolve())));
    await expect(start({ [which]: port })).rejects.toThrow(
      new RegExp(
        `^Port ${port} on 127.0.0.1, wanted for the Temporal (server|UI), is taken \\(stop what listens there`,
      ),
    );
  });

  it('tells the last words of a program that dies', async () => {
    const broken = join(folder, 'temporal');
    await writeFile(broken, '#!/bin/sh\necho "no space left on device" >&2\nexit 3\n', { mode: 0o755 });
    await expect(start({ binary: broken })).rejects.toThrow(/did not start: exit code 3: no space left on device \(/);
    await expect(start({ binary: join(folder, 'none') })).rejects.toThrow(/did not start: spawn .*ENOENT/);
  });

  const LOST = 'listen tcp 127.0.0.1:40000: bind: address already in use';
  /** As it ends where matching's port was taken. */
  const PANIC = [
    'time=2026-11-01T12:00:00.000 level=WARN msg="something else"',
    `time=2026-11-01T12:00:00.000 level=ERROR msg="Failed to start gRPC listener" error="${LOST}"`,
    'panic: runtime error: invalid memory address or nil pointer dereference',
    '[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x1]',
    '',
    'goroutine 1 [running]:',
    'main.main()',
    '\tmain.go:18 +0x96',
  ];

  /** A program that dies at its first `times` starts, and is the real one after them. */
  async function dying(times: number, code: number, words: readonly string[]) {
    const path = (name: string) => join(folder, name);
    const [binary, said, log] = [path('temporal'), path('said'), path('starts')];
    await writeFile(said, words.map((line) => `${line}\n`).join(''));
    const script = [
      '#!/bin/sh',
      `echo start >> ${log}`,
      `if [ "$(wc -l < ${log})" -le ${times} ]; then cat ${said} >&2; exit ${code}; fi`,
      `exec ${serverBinary()} "$@"`,
    ];
    await writeFile(binary, script.join('\n'), { mode: 0o755 });
    return { binary, starts: async () => (await readFile(log, 'utf8')).trim().split('\n').length };
  }

  it.each([
    ['panics', 2, PANIC],
    ['runs out of threads', 2, ['runtime: failed to create new OS thread', 'fatal error: newosproc']],
    ['has lost its port', 1, [`level=ERROR msg="can't set frontend port 40000: ${LOST}"`]],
  ])('starts a program again that %s, and serves', async (_, code, words) => {
    const { binary, starts } = await dying(2, code, words);
    const told: string[] = [];
    const server = await start({ binary, dbFile: join(folder, 'temporal.db'), onLog: (line) => told.push(line) });
    expect(await starts()).toBe(3);
    expect(told.filter((line) => line.endsWith(': it is started again'))).toHaveLength(2);
    const { namespaceInfo } = await (
      await clientOf(server)
    ).workflowService.describeNamespace({ namespace: 'default' });
    expect(namespaceInfo?.name).toBe('default');
  });

  it('tells the cause of a panic, not where its threads were, once it has tried three times', async () => {
    const { binary, starts } = await dying(3, 2, PANIC);
    await expect(start({ binary, dbFile: join(folder, 'temporal.db') })).rejects.toThrow(
      `error="${LOST}" | panic: runtime error: invalid memory address or nil pointer dereference (choose another port, or stop what listens there)`,
    );
    expect(await starts()).toBe(3);
  });

  it('does not start a program again that dies of anything else', async () => {
    const { binary, starts } = await dying(1, 1, ['level=ERROR msg="unable to open database file"']);
    await expect(start({ binary })).rejects.toThrow('unable to open database file');
    expect(await starts()).toBe(1);
  });
});

describe('ensureNamespace', () => {
  it('finds what a bare namespace lacks, mends it, and then finds nothing', async () => {
    const server = await start();
    const client = await clientOf(server, 'bare');
    await client.workflowService.registerNamespace({
      namespace: 'bare',
      workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
    });
    // A new namespace becomes usable after a moment.
    await expect
      .poll(() => ensureNamespace(client, { fix: false }).catch(() => []), { timeout: 30_000 })
      .toEqual([
        {
          what: 'Namespace bare keeps closed workflows for 1 days, less than 90',
          ok: false,
          remedy: 'run `uplift doctor --fix`',
        },
        {
          what: `Namespace bare lacks search attributes: ${Object.values(ATTRIBUTES)
            .map((key) => key.name)
            .join(', ')}`,
          ok: false,
          remedy: 'run `uplift doctor --fix`',
        },
      ]);

    const mended = await ensureNamespace(client, { fix: true });
    expect(mended.map((finding) => finding.ok)).toEqual([true, true]);
    // At once: whoever was told that it is mended starts a rollout.
    await client.workflow.start('anything', {
      taskQueue: 'nobody',
      workflowId: 'one',
      args: [],
      typedSearchAttributes: attributes,
    });
    expect(await ensureNamespace(client, { fix: false })).toEqual([
      { what: 'Namespace bare keeps closed workflows for 90 days', ok: true, remedy: '' },
      { what: 'Namespace bare has the 9 search attributes', ok: true, remedy: '' },
    ]);
  });

  it('makes a namespace that is not there', async () => {
    const client = await clientOf(await start(), 'fresh');
    expect(await ensureNamespace(client, { fix: false })).toEqual([
      { what: 'Namespace fresh does not exist', ok: false, remedy: 'run `uplift doctor --fix`' },
    ]);
    const mended = await ensureNamespace(client, { fix: true });
    expect(mended.map((finding) => finding.ok)).toEqual([true, true]);
  });

  it('leaves an attribute of another type alone, and says so', async () => {
    const client = await clientOf(await start(), 'mistyped');
    await client.workflowService.registerNamespace({
      namespace: 'mistyped',
      workflowExecutionRetentionPeriod: { seconds: (100 * 86_400) as never },
    });
    const { operatorService } = client.connection;
    const text = { namespace: 'mistyped', searchAttributes: { [ATTRIBUTES.phase.name]: 1 } };
    await expect
      .poll(() => operatorService.addSearchAttributes(text).then(() => 'added', String), { timeout: 30_000 })
      .toBe('added');
    await expect
      .poll(() => ensureNamespace(client, { fix: true }), { timeout: 30_000 })
      .toEqual([
        { what: 'Namespace mistyped keeps closed workflows for 100 days', ok: true, remedy: '' },
        {
          what: `Search attributes of namespace mistyped are not of type Keyword: ${ATTRIBUTES.phase.name}`,
          ok: false,
          remedy: expect.stringContaining('search-attribute remove') as string,
        },
      ]);
  });
});
