/** What docker-compose.yml runs besides images: its scripts, against a real server. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { connectClient, localTarget } from '../../temporal/connection.js';
import { ensureNamespace } from '../../temporal/namespace.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { realEnvironment, serverBinary, withWorker, workflowBundle } from '../support/environment.js';
import type { RealEnvironment } from '../support/environment.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

let env: RealEnvironment;
let folder: string;
beforeAll(async () => {
  env = await realEnvironment();
  folder = await mkdtemp(join(tmpdir(), 'uplift-deploy-'));
  await symlink(serverBinary(), join(folder, 'temporal'));
});
afterAll(async () => {
  await env.teardown();
  await rm(folder, { recursive: true, force: true });
});

describe('setup-namespace.sh', () => {
  it('leaves nothing for `uplift doctor --fix` to do, also when it runs again', async () => {
    for (const _ of ['first start', 'next start']) {
      await run('sh', [join(root, 'deploy/setup-namespace.sh'), 'one', 'two'], {
        env: { PATH: `${folder}:${process.env['PATH']}`, HOME: folder, TEMPORAL_ADDRESS: env.server.address },
      });
    }
    for (const namespace of ['one', 'two']) {
      const client = await connectClient(localTarget(env.server.address, namespace));
      const findings = await ensureNamespace(client, { fix: false });
      await client.connection.close();
      expect(findings).toEqual([
        { what: `Namespace ${namespace} keeps closed workflows for 90 days`, ok: true, remedy: '' },
        { what: `Namespace ${namespace} has the 9 search attributes`, ok: true, remedy: '' },
      ]);
    }
  });
});

describe('worker-health', () => {
  const health = () =>
    run(process.execPath, [join(root, 'dist/scripts/worker-health.js')], {
      env: { PATH: process.env['PATH'], TEMPORAL_ADDRESS: env.server.address },
    });

  it('says no without a worker, yes while one of this host polls', async () => {
    await expect(health()).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^no worker of /) as string,
    });
    const options = {
      connection: env.nativeConnection,
      taskQueue: QUEUES.main,
      workflowBundle: await workflowBundle(new URL('workflows/timers.ts', import.meta.url)),
    };
    await withWorker(options, async () => {
      await expect.poll(() => health().then(() => 'healthy', String), { timeout: 30_000 }).toBe('healthy');
    });
  });
});

describe('docker-compose.yml', () => {
  interface Service {
    readonly image: string;
    readonly build?: string;
    readonly restart: string;
    readonly ports?: readonly string[];
    readonly healthcheck?: unknown;
    readonly environment?: readonly string[] | Readonly<Record<string, string | number>>;
  }

  it('pins its images, looks after its services, listens on loopback and holds no secret', async () => {
    const text = await readFile(join(root, 'docker-compose.yml'), 'utf8');
    const { services } = parse(text, { merge: true }) as { services: Record<string, Service> };
    for (const [name, service] of Object.entries(services)) {
      expect(service.image, name).toMatch(/:\d+\.\d+[\w.-]*$/);
      // One-shot services end; everything else has a health check.
      if (service.restart !== 'on-failure') expect(service.healthcheck, name).toBeDefined();
      for (const port of service.ports ?? []) expect(port, name).toMatch(/^127\.0\.0\.1:/);
      const variables = Array.isArray(service.environment)
        ? service.environment.map((line: string) => line.split('=') as [string, string | undefined])
        : Object.entries(service.environment ?? {});
      for (const [variable, value] of variables) {
        if (!/PASSWORD|PWD|SECRET|_AK$|_SK$|ACCESS_KEY|TOKEN/.test(variable)) continue;
        expect(value, variable).toSatisfy((given) => given === undefined || /^\$\{\w+:\?/.test(String(given)));
      }
    }
  });
});
