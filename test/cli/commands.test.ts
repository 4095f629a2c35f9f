/** The commands that need no Temporal server, as real processes: plans, bad input, exit codes, output. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { freePorts } from '../../temporal/ports.js';
import { linesOf, rehearsal, type Rehearsal, uplift } from './cli.js';

let good: Rehearsal;
let blocked: Rehearsal;

beforeAll(async () => {
  [good, blocked] = await Promise.all([
    rehearsal('--seed', 'good', '--graphs', '4', '--clusters', '2'),
    rehearsal('--seed', 'blocked', '--graphs', '0', '--clusters', '2', '--cluster-fate', 'precheck-fails=1'),
  ]);
});
afterAll(async () => {
  await Promise.all([good.dispose(), blocked.dispose()]);
});

const at = (place: Rehearsal) => ['--accounts', place.accounts];

interface PlanFile {
  metadata: { name: string };
  spec: { targets: Record<string, unknown>[]; waves: unknown[]; failureBudget: unknown; timeScale: number };
}

/** The good plan, changed, under a name of its own. */
function changed(name: string, change: (plan: PlanFile) => void): string {
  const plan = parse(readFileSync(good.plan, 'utf8')) as PlanFile;
  change(plan);
  const file = join(good.directory, `${name}.yaml`);
  writeFileSync(file, stringify(plan));
  return file;
}

describe('validate', () => {
  it('says what a good plan is', async () => {
    const { code, stdout, stderr } = await uplift(['validate', good.plan, ...at(good)]);
    expect(stderr).toBe('');
    expect(stdout).toMatch(
      /rollout\.yaml is valid: rollout good-[0-9a-f]{8}, 6 resources in 3 waves, failure budget 2\n$/,
    );
    expect(code).toBe(0);
  });

  it('says it in JSON', async () => {
    const { code, stdout } = await uplift(['validate', good.plan, ...at(good), '-o', 'json']);
    expect(JSON.parse(stdout)).toMatchObject({
      version: 1,
      valid: true,
      resources: 6,
      budget: { max: 2, mode: 'loose' },
    });
    expect(code).toBe(0);
  });

  it('checks the form of selectors, and leaves what they choose to the plan', async () => {
    const file = changed('chosen', ({ spec }) => {
      Object.assign(spec.targets[0] ?? {}, { id: undefined, ids: undefined, select: { name: '*' } });
    });
    const { code, stdout, stderr } = await uplift(['validate', file, ...at(good)]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/chosen\.yaml is valid in its form; what its 1 selector chooses, .*`uplift plan`/);
    const json = await uplift(['validate', file, ...at(good), '-o', 'json']);
    expect(JSON.parse(json.stdout)).toMatchObject({ valid: true, selectors: [{ path: 'spec.targets[0].select' }] });
  });

  it('takes the accounts file from the environment, and from accounts.yaml', async () => {
    expect((await uplift(['validate', good.plan], { UPLIFT_ACCOUNTS: good.accounts })).code).toBe(0);
    expect((await uplift(['validate', 'rollout.yaml'], {}, good.directory)).code).toBe(0);
  });

  it('names every problem with its place, one line each, in JSON as well', async () => {
    const file = changed('wrong', ({ spec }) => {
      const [first, second] = spec.targets;
      Object.assign(first ?? {}, { account: 'huawei-simm' });
      Object.assign(second ?? {}, { service: 'ges-v3' });
    });
    const { code, stdout, stderr } = await uplift(['validate', file, ...at(good)]);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(linesOf(stderr)).toHaveLength(2);
    expect(stderr).toMatch(/wrong\.yaml:\d+: spec\.targets\[0\]\.account: .*huawei-simm.*\(.*huawei-sim.*\)/);
    expect(stderr).toMatch(/wrong\.yaml:\d+: spec\.targets\[1\]\.service: .*ges-v3/);

    const json = await uplift(['validate', file, ...at(good), '-o', 'json']);
    expect(json.code).toBe(1);
    expect(json.stderr).toBe(stderr);
    expect(JSON.parse(json.stdout)).toMatchObject({ version: 1, valid: false, problems: [{ file }, { file }] });
  });
});

describe('bad input is one clear line and exit 1', () => {
  const unreadable = () => {
    const file = join(good.directory, 'unreadable.yaml');
    writeFileSync(file, 'apiVersion: uplift/v1\nspec: [\n');
    return file;
  };
  it.each<[string, () => string[], RegExp]>([
    [
      'a plan that is not there',
      () => ['plan', '/nowhere/plan.yaml', ...at(good)],
      /^\/nowhere\/plan\.yaml: .*\(.+\)$/,
    ],
    ['unreadable YAML', () => ['plan', unreadable(), ...at(good)], /unreadable\.yaml:\d+: .*\(.+\)$/],
    [
      'no accounts file',
      () => ['plan', good.plan, '--accounts', '/nowhere/accounts.yaml'],
      /^\/nowhere\/accounts\.yaml: .*\(.+\)$/,
    ],
    ['an unknown option', () => ['plan', good.plan, '--fast'], /^error: unknown option '--fast'/],
    ['an unknown command', () => ['upgrade'], /^error: unknown command 'upgrade'/],
    ['an unknown format', () => ['plan', good.plan, '-o', 'xml'], /^error: .*Allowed choices are table, json/],
    ['no time', () => ['watch', 'x', '--timeout', 'soon'], /^error: .*Use a number and a unit/],
    [
      'no server',
      () => ['status', 'x', '--address', '127.0.0.1:1'],
      /^uplift: Temporal at 127\.0\.0\.1:1 cannot be reached: .*\(.+\)$/,
    ],
    ['every resource of no rollout', () => ['status', '--all'], /^uplift: --all .*: name the rollout$/],
    ['dev without anything', () => ['dev', '--no-simulator'], /^uplift: --no-simulator .*\(.+\)$/],
    ['dev without its accounts', () => ['dev', '--accounts', '/nowhere.yaml'], /^uplift: \/nowhere\.yaml: .*\(.+\)$/],
  ])('%s', async (_, args, line) => {
    const { code, stdout, stderr } = await uplift(args());
    expect(linesOf(stderr)[0]).toMatch(line);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(stdout).toBe('');
    expect(code).toBe(1);
  });

  it('shows the stack to who asks for it', async () => {
    const { stderr } = await uplift(['plan', '/nowhere/plan.yaml', ...at(good)], { UPLIFT_DEBUG: '1' });
    expect(stderr).toMatch(/\n\s+at /);
  });
});

describe('plan', () => {
  it('reads everything, lists every call and changes nothing: exit 2', async () => {
    const before = await truth(good);
    const { code, stdout, stderr } = await uplift(['plan', good.plan, ...at(good)]);
    expect(stderr).toBe('');
    expect(stdout).toContain(
      '\n6 to upgrade.\nFailure budget: 2 of 6 may fail (33 %), loose; failure 3 stops the rollout.\n',
    );
    expect(stdout.match(/^ {2}POST /gm)).toHaveLength(6);
    expect(stdout).toMatch(/^ {2}POST \/v2\/\w+\/graphs\/[0-9a-f-]{36}\/upgrade {2}\{"upgrade_version":"2\.4\.4",/m);
    expect(stdout).toMatch(
      /^ {2}POST \/openapi\/instances\/es-cn-\w+\/actions\/upgrade-version\?clientToken=\(made at submit\)/m,
    );
    expect(stdout).toMatch(
      /success +upgradeInfo, checkClusterHealth, checkConfigCompatible, checkClusterResource, checkClusterSnapshot/,
    );
    expect(code).toBe(2);
    const after = await truth(good);
    expect(after.submits).toEqual([]);
    expect(after.calls).toBeGreaterThan(before.calls);
  });

  it('says it in JSON', async () => {
    const { code, stdout } = await uplift(['plan', good.plan, ...at(good), '-o', 'json']);
    const plan = JSON.parse(stdout) as { waves: { targets: { verdict: string; call: { method: string } }[] }[] };
    expect(plan).toMatchObject({ version: 1, changes: true, counts: { upgrade: 6 }, budget: { max: 2 } });
    const targets = plan.waves.flatMap((wave) => wave.targets);
    expect(targets.map(({ verdict, call }) => `${verdict} ${call.method}`)).toEqual(
      Array<string>(6).fill('upgrade POST'),
    );
    expect(code).toBe(2);
  });

  it('says that there is nothing to do: exit 0', async () => {
    const inventory = (await (await fetch(`${good.url}/_simulator/inventory`)).json()) as {
      id: string;
      family: string;
      version: string;
    }[];
    const graph = inventory.find(({ family }) => family === 'ges');
    const file = changed('at-target', ({ spec }) => {
      spec.targets = [{ service: 'ges-v2', account: 'huawei-sim', id: graph?.id, version: graph?.version }];
      spec.waves = [{ name: 'all', rest: true }];
    });
    const { code, stdout } = await uplift(['plan', file, ...at(good)]);
    expect(stdout).toMatch(/Every resource is at its target: nothing to do\.\n$/);
    expect(code).toBe(0);
    const applied = await uplift(['apply', file, ...at(good), '--address', '127.0.0.1:1']);
    expect(applied.stdout).toMatch(/^nothing to do: every resource of good-[0-9a-f]{8} is at its target\n$/);
    expect(applied.code).toBe(0);
  });

  it('shows what a dry run found, with its place and a remedy: exit 1', async () => {
    const { code, stdout, stderr } = await uplift(['plan', blocked.plan, ...at(blocked)]);
    expect(stdout).toContain('1 to upgrade, 1 blocked.');
    expect(stdout).toMatch(/es-cn-\w+ +failed +check\w+ +cluster\w+ +Cluster\w+ /);
    expect(stdout).toMatch(/1 target cannot be upgraded as planned: nothing can be applied\.\n$/);
    expect(linesOf(stderr)).toHaveLength(1);
    expect(stderr).toMatch(
      /rollout\.yaml:\d+: spec\.targets\[\d\]\S*: elasticsearch es-cn-\w+: precheck failed: .*\(mend what the checks name/,
    );
    expect(code).toBe(1);
  });

  it('refuses a version that is not above the current one, and an id that is not there', async () => {
    const file = changed('below', ({ spec }) => {
      const [first, second] = spec.targets;
      Object.assign(first ?? {}, { version: '1.0.5' });
      Object.assign(second ?? {}, { ids: ['00000000-0000-4000-8000-000000000000'] });
      spec.waves = [{ name: 'all', rest: true }];
    });
    const { code, stderr } = await uplift(['plan', file, ...at(good)]);
    expect(stderr).toMatch(/target 1\.0\.5 is not above the current version .*\(name a later version/);
    expect(stderr).toMatch(/ges-v2 00000000-0000-4000-8000-000000000000: .*\(check the id/);
    expect(code).toBe(1);
  });

  it('names an endpoint that is not there', async () => {
    const [port] = (await freePorts(1)) as [number];
    const file = join(good.directory, 'nowhere-accounts.yaml');
    writeFileSync(file, readFileSync(good.accounts, 'utf8').replaceAll(good.url, `http://127.0.0.1:${port}`));
    const plan = changed('one', ({ spec }) => {
      spec.targets = spec.targets.slice(-1);
      spec.waves = [{ name: 'all', rest: true }];
    });
    const { code, stderr } = await uplift(['plan', plan, '--accounts', file]);
    expect(stderr).toContain(`127.0.0.1:${port}`);
    expect(stderr).toContain(
      '(check `endpoints.elasticsearch` of account "alibaba-sim" and the network, then try again)',
    );
    expect(code).toBe(1);
  });

  it('names the variable of a missing key', async () => {
    const file = join(good.directory, 'env-accounts.yaml');
    writeFileSync(file, readFileSync(good.accounts, 'utf8').replaceAll(/file: .*/g, 'env: TEAM_A'));
    const { code, stderr } = await uplift(['plan', good.plan, '--accounts', file]);
    expect(stderr).toContain('environment variable TEAM_A_AK is not set');
    expect(code).toBe(1);
  });
});

describe('apply', () => {
  it('refuses before anything is started, without a server even', async () => {
    const { code, stdout, stderr } = await uplift(['apply', blocked.plan, ...at(blocked), '--address', '127.0.0.1:1']);
    expect(linesOf(stderr)).toHaveLength(1);
    expect(stderr).toContain('precheck failed');
    expect(stdout).toBe('');
    expect(code).toBe(1);
    expect((await truth(blocked)).submits).toEqual([]);
  });
});

describe('output', () => {
  it('has colours when forced, and none for NO_COLOR', async () => {
    const plan = ['plan', good.plan, ...at(good)];
    const escape = '\u001b[';
    expect((await uplift(plan, { FORCE_COLOR: '1' })).stdout).toContain(escape);
    expect((await uplift(plan, { FORCE_COLOR: '1', NO_COLOR: '1' })).stdout).not.toContain(escape);
    expect((await uplift(plan)).stdout).not.toContain(escape);
  });

  it('keeps to COLUMNS', async () => {
    for (const columns of [80, 120]) {
      const { stdout } = await uplift(['plan', good.plan, ...at(good)], { COLUMNS: String(columns) });
      // Calls and file names stay whole: they are what somebody approves, or copies.
      const lines = stdout.split('\n').filter((line) => !line.startsWith('  POST') && !line.includes(good.plan));
      expect(lines.length).toBeGreaterThan(20);
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
    }
  });

  it('explains itself', async () => {
    const { code, stdout } = await uplift(['--help']);
    expect(stdout).toContain('Exit codes:');
    expect(code).toBe(0);
    for (const command of [
      'validate',
      'plan',
      'apply',
      'status',
      'watch',
      'report',
      'doctor',
      'dev',
      'worker',
      'simulator',
    ]) {
      expect(stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
    }
    expect((await uplift(['--version'])).stdout).toBe(
      `${(JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version}\n`,
    );
  });

  it('tells no key', async () => {
    const outputs = await Promise.all([
      uplift(['plan', good.plan, ...at(good), '-o', 'json']),
      uplift(['plan', blocked.plan, ...at(blocked)], { UPLIFT_DEBUG: '1' }),
      uplift(['doctor', ...at(good), '--address', '127.0.0.1:1'], { UPLIFT_DEBUG: '1' }),
    ]);
    const secrets = [...good.secrets, ...blocked.secrets];
    expect(secrets).toHaveLength(4);
    for (const { stdout, stderr } of outputs) {
      expect((stdout + stderr).length).toBeGreaterThan(100);
      for (const secret of secrets) expect(stdout + stderr).not.toContain(secret);
    }
  });
});

describe('the simulator', () => {
  it('lets go wrong what --fault says, rule by rule', async () => {
    const rules = [
      '{fault: {kind: status, status: 503}, family: ges, calls: [read]}',
      '{"fault":{"kind":"throttled"},"family":"cse","calls":["read"]}',
    ];
    const place = await rehearsal('--graphs', '1', '--engines', '1', ...rules.flatMap((rule) => ['--fault', rule]));
    try {
      expect((await uplift(['plan', place.plan, ...at(place)])).code).toBe(2);
      const { faults } = (await (await fetch(`${place.url}/_simulator/truth`)).json()) as { faults: unknown };
      expect(faults).toEqual({ 'status-503': 1, throttled: 1 });
    } finally {
      await place.dispose();
    }
  });

  it.each([
    ['{fault: {kind: nonsense}}', 'fault.kind: use one of throttled, '],
    ['{fault: {kind: throttled}, family: gse}', 'family: use one of ges, cse, dcs, elasticsearch'],
    ['[', 'is neither YAML nor JSON'],
  ])('refuses the rule %s in one line', async (rule, problem) => {
    const { code, stdout, stderr } = await uplift(['simulator', '--fault', rule]);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr.split('\n')[0]).toContain(problem);
    expect(stderr.trim().split('\n').slice(1)).toEqual(['(--help shows how it is used)']);
  });
});

async function truth(place: Rehearsal): Promise<{ submits: unknown[]; calls: number }> {
  return (await (await fetch(`${place.url}/_simulator/truth`)).json()) as { submits: unknown[]; calls: number };
}
