/** What docker-compose.yml runs besides images: its scripts, against a real server. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { VARIABLES } from '../../client/variables.js';
import { connectClient, localTarget } from '../../temporal/connection.js';
import { ensureNamespace } from '../../temporal/namespace.js';
import { composeService, composeServices, ROOT, tagOf, variablesOf } from '../support/compose.js';
import { realEnvironment } from '../support/environment.js';
import type { RealEnvironment } from '../support/environment.js';

const run = promisify(execFile);

let env: RealEnvironment;
beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

describe('setup-namespaces', () => {
  const setUp = (...namespaces: string[]) =>
    run(process.execPath, [join(ROOT, 'dist/scripts/setup-namespaces.js'), ...namespaces], {
      env: { PATH: process.env['PATH'], TEMPORAL_ADDRESS: env.server.address },
    });

  it('leaves nothing for `uplift doctor --fix` to do, also when it runs again', async () => {
    for (const said of ['now keeps', 'keeps']) {
      expect((await setUp('one', 'two')).stdout).toContain(`Namespace two ${said} closed workflows for 90 days`);
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

  it('wants to be told which', async () => {
    await expect(setUp()).rejects.toMatchObject({ code: 1, stderr: 'setup-namespaces: name at least one namespace\n' });
  });
});

describe('docker-compose.yml', () => {
  it('pins its images, looks after its services, locks them up, listens on loopback and holds no secret', () => {
    for (const [name, service] of Object.entries(composeServices())) {
      expect(service.image, name).toMatch(/:v?\d+\.\d+[\w.-]*$/);
      // One-shot services end; everything else has a health check.
      if (service.restart !== 'on-failure') expect(service.healthcheck, name).toBeDefined();
      expect(service.cap_drop, name).toEqual(['ALL']);
      expect(service.security_opt, name).toEqual(['no-new-privileges:true']);
      // The UI writes its configuration where it stands.
      if (name !== 'ui') expect(service.read_only, name).toBe(true);
      for (const port of service.ports ?? []) expect(port, name).toMatch(/^127\.0\.0\.1:/);
      for (const [variable, value] of variablesOf(service)) {
        if (!/PASSWORD|PWD|SECRET|_AK$|_SK$|ACCESS_KEY|TOKEN/.test(variable)) continue;
        expect(value, variable).toSatisfy((given) => given === undefined || /^\$\{\w+:\?/.test(String(given)));
      }
    }
  });

  it("hands its workers every variable of credentials and keys, and the example's", async () => {
    const example = await readFile(join(ROOT, 'examples/accounts.yaml'), 'utf8');
    const names = [...example.matchAll(/\b[A-Z]+(?:_[A-Z]+)+\b/g)].map(([name]) => name);
    const named = [...names, ...Object.keys(VARIABLES).flatMap((keys) => keys.split(', '))].filter((name) =>
      /^(CLOUD_SDK|ALIBABA_CLOUD|CACHES|OPS|PAGER)_|^UPLIFT_ENCRYPTION_KEYS$/.test(name),
    );
    expect(named.length).toBeGreaterThan(15);
    const handed = variablesOf(composeService('worker')).map(([name]) => name);
    expect(named.filter((name) => !handed.includes(name))).toEqual([]);
  });

  it('builds its image from every folder that the build reads', async () => {
    const { include } = JSON.parse(await readFile(join(ROOT, 'tsconfig.build.json'), 'utf8')) as { include: string[] };
    const context = (await readFile(join(ROOT, '.dockerignore'), 'utf8')).split('\n');
    expect(include.filter((folder) => !context.includes(`!${folder}`))).toEqual([]);
    const named = context.flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []));
    expect(named.filter((name) => !existsSync(join(ROOT, name)))).toEqual([]);
    const dockerfile = await readFile(join(ROOT, 'Dockerfile'), 'utf8');
    const copied = [...dockerfile.matchAll(/^COPY ((?!--from).+) \S+$/gm)].flatMap(([, names = '']) =>
      names.split(' '),
    );
    expect(copied.filter((name) => name !== '.' && !named.includes(name))).toEqual([]);
    const started = [...dockerfile.matchAll(/^(?:ENTRYPOINT|CMD) (\[.+\])$/gm)].flatMap(
      ([, words = '']) => JSON.parse(words) as string[],
    );
    expect(started).toEqual(['node', 'dist/client/main.js', 'worker']);
    expect(existsSync(join(ROOT, 'dist/client/main.js'))).toBe(true);
  });

  it('has one release of the server for all its roles and their tools', () => {
    const tags = ['temporal', 'temporal-history', 'temporal-matching', 'temporal-worker'].map(tagOf);
    expect(new Set(tags).size).toBe(1);
    expect(tagOf('setup-schema')).toMatch(new RegExp(`^${tags[0]}-`));
  });

  it('has Prometheus look where its services answer', async () => {
    interface Job {
      readonly dns_sd_configs: readonly { readonly names: readonly string[]; readonly port: number }[];
    }
    const mounted = composeService('prometheus').volumes ?? [];
    expect(mounted).toContain('./deploy/prometheus.yml:/etc/prometheus/prometheus.yml:ro');
    const text = await readFile(join(ROOT, 'deploy/prometheus.yml'), 'utf8');
    const { rule_files, scrape_configs } = parse(text) as { rule_files: string[]; scrape_configs: Job[] };
    for (const file of rule_files) expect(mounted).toContain(`./deploy/${file}:/etc/prometheus/${file}:ro`);
    const targets = scrape_configs.flatMap((job) => job.dns_sd_configs);
    for (const { names } of targets) for (const name of names) expect(composeServices()).toHaveProperty(name);
    const server = await readFile(join(ROOT, 'deploy/temporal/server.yaml'), 'utf8');
    const worker = new Map(variablesOf(composeService('worker')));
    expect(worker.get('UPLIFT_METRICS_ADDRESS')).toBe(
      `0.0.0.0:${targets.find(({ names }) => names.includes('worker'))?.port}`,
    );
    const nodes = targets.find(({ names }) => names.includes('temporal'));
    expect(server).toContain(`"%s:${nodes?.port}"`);
    const started = (nodes?.names ?? []).reduce((sum, name) => sum + (composeService(name).scale ?? 1), 0);
    const rules = await readFile(join(ROOT, 'deploy/temporal.rules.yml'), 'utf8');
    expect(rules).toContain(`(count(up{job="temporal"} == 1) or vector(0)) < ${started}\n`);
  });
});
